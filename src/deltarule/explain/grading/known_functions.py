"""The functions that a formula may name, as terms: σ, tanh, ReLU, norms, traces and slopes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from deltarule import dtypes
from deltarule.errors import ShapeError
from deltarule.explain.formula.algebra import (
    diagonal,
    multiply,
    number,
    power,
    subtract,
    total,
    transpose,
)
from deltarule.explain.formula.term import Apply, Indicator, Term
from deltarule.graph import build, functions
from deltarule.graph.node import Node
from deltarule.shapes import Shape, show


def parameter_node(name: str, shape: Shape) -> Node:
    """Return the placeholder of an argument in the body of a function."""
    return build.input_node(name, shape, dtypes.FLOAT64)


def _element_wise(build_node: Callable[[Node], Node]) -> Callable[[str, Term], Term]:
    def make(name: str, argument: Term) -> Term:
        shape = argument.shape or ()
        parameter = parameter_node("x", shape)
        return Apply(name, (argument,), shape, build_node(parameter), (parameter,))

    return make


def _softmax(name: str, argument: Term) -> Term:
    parameter = parameter_node("x", argument.shape)
    axis = 0 if argument.shape[1:] == (1,) else len(argument.shape) - 1
    return Apply(
        name,
        (argument,),
        argument.shape,
        functions.softmax(parameter, axis=axis),
        (parameter,),
    )


def _step(name: str, argument: Term) -> Term:
    return Indicator(">", argument, number(Fraction(0)), argument.shape)


def _sigmoid(argument: Term) -> Term:
    return _element_wise(functions.sigmoid)("sigmoid", argument)


def _tanh(argument: Term) -> Term:
    return _element_wise(build.tanh)("tanh", argument)


def _sigmoid_slope(argument: Term) -> Term:
    value = _sigmoid(argument)
    return multiply(value, subtract(number(Fraction(1), argument.shape), value))


def _tanh_slope(argument: Term) -> Term:
    value = _tanh(argument)
    one = number(Fraction(1), argument.shape)
    return subtract(one, multiply(value, value))


def norm(name: str, argument: Term) -> Term:
    """Return ‖x‖ = √Σx²."""
    return power(total(multiply(argument, argument)), Fraction(1, 2))


def _trace(name: str, argument: Term) -> Term:
    size = argument.shape[0]
    parameter = parameter_node("A", argument.shape)
    on = build.equal(build.iota(argument.shape, 0), build.iota(argument.shape, 1))
    body = build.sum_over(build.where(on, parameter, 0.0))
    if argument.shape != (size, size):
        raise ShapeError("tr", expected="a square matrix", got=show(argument.shape))
    return Apply("tr", (argument,), (), body, (parameter,))


FUNCTIONS: dict[str, Callable[[str, Term], Term]] = {
    "sigma": lambda name, x: _sigmoid(x),
    "sigmoid": lambda name, x: _sigmoid(x),
    "tanh": lambda name, x: _tanh(x),
    "relu": _element_wise(functions.relu),
    "exp": _element_wise(build.exp),
    "log": _element_wise(build.log),
    "ln": _element_wise(build.log),
    "abs": _element_wise(build.absolute),
    "sign": _element_wise(build.sign),
    "sgn": _element_wise(build.sign),
    "sqrt": lambda name, x: power(x, Fraction(1, 2)),
    "sin": _element_wise(build.sin),
    "cos": _element_wise(build.cos),
    "softplus": _element_wise(functions.softplus),
    "gelu": lambda name, x: _element_wise(
        lambda p: functions.gelu(p, approximate=False)
    )(name, x),
    "silu": _element_wise(functions.silu),
    "softmax": _softmax,
    "diag": lambda name, x: diagonal(x if x.shape[1:] == (1,) else transpose(x)),
    "sum": lambda name, x: total(x),
    "Sigma": lambda name, x: total(x),
    "norm": norm,
    "tr": _trace,
    "trace": _trace,
    "step": _step,
    "I": _step,
    "sigma'": lambda name, x: _sigmoid_slope(x),
    "sigmoid'": lambda name, x: _sigmoid_slope(x),
    "tanh'": lambda name, x: _tanh_slope(x),
    "relu'": _step,
}
