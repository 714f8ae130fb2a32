"""Element-wise operators and activation functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import onnx

from deltarule import dtypes
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.activation import Activation
from deltarule.graph.node import Node
from deltarule.interop.onnx.call import Call, Results, Translator, element_type


def unary(make: Callable[[Node], Node]) -> Translator:
    """Return the translator of a unary function that keeps the element type."""
    return lambda call: build.cast(make(call[0]), call[0].dtype)


def second(call: Call) -> Node:
    """Return the second operand; before opset 7 it may be aligned with the axes of the first from ``axis`` on."""
    x, y = call[0], call[1]
    if call.version >= 7 or not call.attribute("broadcast", 0) or y.rank == 0:
        return y
    axis = call.attribute("axis")
    start = x.rank - y.rank if axis is None else call.axis(x.rank)
    if start < 0 or start + y.rank > x.rank:
        raise call.unsupported(f"{y.rank} axes from axis {start} on of {x.rank}")
    return build.reshape(y, (*y.shape, *([1] * (x.rank - start - y.rank))))


def binary(make: Callable[[Node, Node], Node]) -> Translator:
    """Return the translator of a binary function."""
    return lambda call: make(call[0], second(call))


def _same_type(make: Callable[[Node, Node], Node]) -> Callable[[Node, Node], Node]:
    return lambda x, y: build.cast(make(x, y), x.dtype)


def _truncate(x: Node) -> Node:
    return build.multiply(build.sign(x), build.floor(build.absolute(x)))


def divide(x: Node, y: Node) -> Node:
    """Return x / y; integer division rounds towards zero.

    >>> from deltarule.tensor.tensor import Tensor, tensor
    >>> Tensor(divide(tensor([7, -7]).node, tensor([2, 2]).node)).tolist()
    [3, -3]
    """
    if x.dtype.is_float:
        return build.divide(x, y)
    quotient = build.divide(
        build.cast(x, dtypes.FLOAT64), build.cast(y, dtypes.FLOAT64)
    )
    return build.cast(_truncate(quotient), x.dtype)


_LARGEST = 3.4028234663852886e38  # of float32


def _mod(call: Call) -> Node:
    x, y = call[0], call[1]
    exact = dtypes.FLOAT64
    quotient = build.divide(build.cast(x, exact), build.cast(y, exact))
    whole = _truncate(quotient) if call.attribute("fmod", 0) else build.floor(quotient)
    rest = build.subtract(
        build.cast(x, exact), build.multiply(whole, build.cast(y, exact))
    )
    if x.dtype.is_float:  # infinite y: x itself, or y where the signs differ
        endless = build.logical_and(
            build.less(_LARGEST, build.absolute(y)),
            build.less(build.absolute(x), math.inf),
        )
        same = build.logical_not(
            build.less(build.multiply(build.sign(x), build.sign(y)), 0)
        )
        fitting = x if call.attribute("fmod", 0) else build.where(same, x, y)
        rest = build.where(endless, build.cast(fitting, exact), rest)
    return build.cast(rest, x.dtype)


def round_half_even(x: Node) -> Node:
    """Round to the nearest integer, ties to even.

    >>> from deltarule.tensor.tensor import Tensor, tensor
    >>> Tensor(round_half_even(tensor([0.5, 1.5, 2.5]).node)).tolist()
    [0.0, 2.0, 2.0]
    """
    low = build.floor(x)
    rest = build.subtract(x, low)
    odd = build.less(
        0, build.subtract(low, build.multiply(build.floor(build.multiply(low, 0.5)), 2))
    )
    up = build.logical_or(
        build.less(0.5, rest), build.logical_and(build.equal(rest, 0.5), odd)
    )
    return build.add(low, build.cast(up, x.dtype))


def ceiling(x: Node) -> Node:
    """Return the smallest integer ≥ x.

    >>> from deltarule.tensor.tensor import Tensor, tensor
    >>> Tensor(ceiling(tensor([0.2, 2.0]).node)).tolist()
    [1.0, 2.0]
    """
    return build.negate(build.floor(build.negate(x)))


def _clip(call: Call) -> Node:
    x = call[0]
    low = call.optional(1) if call.optional(1) is not None else call.attribute("min")
    high = call.optional(2) if call.optional(2) is not None else call.attribute("max")
    if low is not None:
        x = build.maximum(x, low)
    return build.minimum(x, high) if high is not None else x


def _fold(make: Callable[[Node, Node], Node]) -> Translator:
    return lambda call: reduce(make, [call[i] for i in range(len(call.operands))])


def _mean(call: Call) -> Node:
    total = _fold(build.add)(call)
    return (
        build.divide(total, len(call.operands)) if isinstance(total, Node) else call[0]
    )


def _power(call: Call) -> Node:
    x, y = call[0], second(call)
    exact = dtypes.FLOAT64 if not x.dtype.is_float else x.dtype
    return build.cast(build.power(build.cast(x, exact), build.cast(y, exact)), x.dtype)


def _cast(call: Call) -> Node:
    target = call.attribute("to")
    if isinstance(target, bytes):  # before opset 6
        known = onnx.TensorProto.DataType
        name = target.decode()
        named = name.upper() in known.keys()  # noqa: SIM118  # protobuf's wrapper is no mapping
        target = known.Value(name.upper()) if named else name
    return build.cast(call[0], element_type(target))


def _gelu(call: Call) -> Node:
    return f.gelu(call[0], approximate=call.text("approximate", "none") == "tanh")


def _celu(call: Call) -> Node:
    alpha = call.attribute("alpha", 1.0)
    x = call[0]
    return build.add(
        build.maximum(x, 0),
        build.minimum(build.multiply(build.expm1(build.divide(x, alpha)), alpha), 0),
    )


def _selu(call: Call) -> Node:
    alpha, gamma = (
        call.attribute("alpha", 1.67326319217681884765625),
        call.attribute("gamma", 1.05070102214813232421875),
    )
    return build.multiply(f.elu(call[0], alpha=alpha), gamma)


def _shrink(call: Call) -> Node:
    x, bias, limit = call[0], call.attribute("bias", 0.0), call.attribute("lambd", 0.5)
    low = build.where(build.less(x, -limit), build.add(x, bias), 0)
    return build.cast(
        build.where(build.less(limit, x), build.subtract(x, bias), low), x.dtype
    )


def _thresholded(call: Call) -> Node:
    return build.where(build.less(call.attribute("alpha", 1.0), call[0]), call[0], 0)


def _prelu(call: Call) -> Node:
    """PReLU; before opset 7 the slope has one value for each channel, axis 1, later it is broadcast."""
    x, slope = call[0], call[1]
    if call.version < 7 and slope.rank == 1 and slope.shape[0] != 1:
        slope = build.reshape(slope, (*slope.shape, *([1] * (x.rank - 2))))
    return build.where(build.less(x, 0), build.multiply(x, slope), x)


def _swish(call: Call) -> Node:
    return build.multiply(
        call[0], f.sigmoid(build.multiply(call[0], call.attribute("alpha", 1.0)))
    )


def _is_inf(call: Call) -> Node:
    x = call[0]
    high = build.equal(x, math.inf) if call.attribute("detect_positive", 1) else None
    low = build.equal(x, -math.inf) if call.attribute("detect_negative", 1) else None
    if high is not None and low is not None:
        return build.logical_or(high, low)
    nothing = build.full(x.shape, False, dtypes.BOOL)
    return high if high is not None else low if low is not None else nothing


def _xor(x: Node, y: Node) -> Node:
    return build.logical_not(build.equal(x, y))


def _at_most(x: Node, y: Node) -> Node:
    return build.logical_or(build.less(x, y), build.equal(x, y))


def _dropout(call: Call) -> Results:
    """Dropout in inference mode (the identity), with a mask of ones."""
    training = call.optional(2)
    if (
        training is not None
        and bool(call.values(2))
        and (call.optional(1) is None or float(call.values(1)) > 0)
    ):
        raise call.unsupported("training mode: random masks differ between programs")
    return call[0], build.full(call[0].shape, True, dtypes.BOOL)


def declared(function: Activation) -> tuple[str, Translator] | None:
    """Return the translator of the operator of a declared activation, which keeps the element type."""
    operator = function.onnx
    if operator is None:
        return None
    names = operator.attributes

    def translate(call: Call) -> Node:
        settings = {
            ours: call.attribute(name, value) for name, (ours, value) in names.items()
        }
        return build.cast(function.construct(call[0], **settings), call[0].dtype)

    return operator.name, translate


OPERATORS: dict[str, Translator] = {
    "Abs": unary(build.absolute),
    "Acosh": unary(
        lambda x: build.log(
            build.add(x, build.sqrt(build.subtract(build.multiply(x, x), 1)))
        )
    ),
    "Add": binary(_same_type(build.add)),
    "And": binary(build.logical_and),
    "Asinh": unary(
        lambda x: build.multiply(
            build.sign(x),
            build.log(
                build.add(
                    build.absolute(x), build.sqrt(build.add(build.multiply(x, x), 1))
                )
            ),
        )
    ),
    "Atanh": unary(
        lambda x: build.multiply(
            build.subtract(build.log1p(x), build.log1p(build.negate(x))), 0.5
        )
    ),
    "Binarizer": lambda call: build.cast(
        build.less(call.attribute("threshold", 0.0), call[0]), call[0].dtype
    ),
    "Cast": _cast,
    "CastLike": lambda call: build.cast(call[0], call[1].dtype),
    "Ceil": unary(ceiling),
    "Celu": _celu,
    "Clip": _clip,
    "Cos": unary(build.cos),
    "Cosh": unary(
        lambda x: build.multiply(
            build.add(build.exp(x), build.exp(build.negate(x))), 0.5
        )
    ),
    "Div": binary(divide),
    "Dropout": _dropout,
    "Equal": binary(build.equal),
    "Erf": unary(build.erf),
    "Exp": unary(build.exp),
    "Floor": unary(build.floor),
    "Gelu": _gelu,
    "Greater": binary(lambda x, y: build.less(y, x)),
    "GreaterOrEqual": binary(lambda x, y: _at_most(y, x)),
    "Identity": lambda call: call[0],
    "IsInf": _is_inf,
    "IsNaN": lambda call: build.logical_not(build.equal(call[0], call[0])),
    "Less": binary(build.less),
    "LessOrEqual": binary(_at_most),
    "Log": unary(build.log),
    "Max": _fold(build.maximum),
    "Mean": _mean,
    "Min": _fold(build.minimum),
    "Mod": _mod,
    "Mul": binary(_same_type(build.multiply)),
    "Neg": unary(build.negate),
    "Not": lambda call: build.logical_not(call[0]),
    "Or": binary(build.logical_or),
    "PRelu": _prelu,
    "Pow": _power,
    "Reciprocal": unary(lambda x: build.divide(1, x)),
    "Relu": unary(lambda x: f.relu(x) if x.dtype.is_float else build.maximum(x, 0)),
    "Round": unary(round_half_even),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sign": unary(build.sign),
    "Sin": unary(build.sin),
    "Sinh": unary(
        lambda x: build.multiply(
            build.subtract(build.exp(x), build.exp(build.negate(x))), 0.5
        )
    ),
    "Sqrt": unary(build.sqrt),
    "Sub": binary(_same_type(build.subtract)),
    "Sum": _fold(build.add),
    "Swish": _swish,
    "Tan": unary(lambda x: build.divide(build.sin(x), build.cos(x))),
    "Tanh": unary(build.tanh),
    "ThresholdedRelu": _thresholded,
    "Where": lambda call: build.where(call[0], call[1], call[2]),
    "Xor": binary(_xor),
}
