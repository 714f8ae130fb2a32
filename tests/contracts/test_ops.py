"""The contract of every primitive: all tables cover it, torch agrees in forward and gradient, derivatives check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends import reference
from deltarule.grad.check import directional_errors
from deltarule.grad.reverse import gradients
from deltarule.grad.rules import RULES
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import ELEMENTWISE, LEAVES, Op
from deltarule.graph.verify import verify
from deltarule.simplify import simplify
from support.oracles import called, torch

F64 = dtypes.FLOAT64


@dataclass(frozen=True)
class Case:
    """One use of a primitive: how we build it, what torch calls it, operand shapes, a safe range of values."""

    op: Op
    ours: Callable[..., Node]
    torchs: Callable[..., torch.Tensor] | str
    shapes: tuple[tuple[int, ...], ...]
    low: float = -2.0
    high: float = 2.0
    name: str = ""

    @property
    def id(self) -> str:
        return f"{self.op.name.lower()}{'-' + self.name if self.name else ''}"


def _conv(x: torch.Tensor, w: torch.Tensor, **options: Any) -> torch.Tensor:
    return torch.nn.functional.conv2d(
        x.permute(0, 3, 1, 2), w.permute(0, 3, 1, 2), **options
    ).permute(0, 2, 3, 1)


def _conv_adjoint(
    wrt: str,
    y: torch.Tensor,
    other: torch.Tensor,
    shape: tuple[int, ...],
    **options: Any,
) -> torch.Tensor:
    """The adjoint of conv2d by autograd itself (differentiable once more)."""
    variable = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    out = (
        _conv(variable, other, **options)
        if wrt == "x"
        else _conv(other, variable, **options)
    )
    return torch.autograd.grad(out, variable, y, create_graph=True)[0]


def _unfold(x: torch.Tensor) -> torch.Tensor:
    return x.unfold(1, 3, 2).unfold(2, 2, 1)


def _fold(y: torch.Tensor) -> torch.Tensor:
    x = torch.zeros((2, 7, 5), dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(_unfold(x), x, y, create_graph=True)[0]


INDICES = np.array([[2, 0], [1, 2]])
STRIDED = {
    "stride": (2, 1),
    "padding": ((1, 1), (2, 2)),
    "dilation": (1, 2),
    "groups": 2,
}
TORCH_STRIDED = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}
X, W, Y = (2, 7, 6, 4), (6, 3, 2, 2), (2, 4, 8, 6)
WINDOWS = {"axes": (1, 2), "window": (3, 2), "stride": (2, 1), "dilation": (1, 1)}
MATRIX = (3, 4)


def _index(node_builder: Callable[[Node], Node]) -> Node:
    return node_builder(build.input_node("indices", INDICES.shape, dtypes.INT64))


def _well(a: torch.Tensor) -> torch.Tensor:
    return a @ a.transpose(-1, -2) + 3 * torch.eye(a.shape[-1], dtype=torch.float64)


def _well_node(a: Node) -> Node:
    eye = build.cast(
        build.equal(build.iota(a.shape, a.rank - 2), build.iota(a.shape, a.rank - 1)),
        a.dtype,
    )
    return build.add(build.matmul(a, build.matrix_transpose(a)), build.multiply(eye, 3))


CASES = [
    Case(Op.NEGATE, build.negate, "torch.neg", (MATRIX,)),
    Case(Op.ABS, build.absolute, "torch.abs", (MATRIX,)),
    Case(
        Op.SIGN,
        lambda x: build.multiply(build.sign(x), x),
        lambda x: torch.sign(x) * x,
        (MATRIX,),
    ),
    Case(
        Op.FLOOR,
        lambda x: build.multiply(build.floor(x), x),
        lambda x: torch.floor(x) * x,
        (MATRIX,),
    ),
    Case(Op.EXP, build.exp, "torch.exp", (MATRIX,)),
    Case(Op.EXPM1, build.expm1, "torch.expm1", (MATRIX,)),
    Case(Op.LOG, build.log, "torch.log", (MATRIX,), 0.3),
    Case(Op.LOG1P, build.log1p, "torch.log1p", (MATRIX,), -0.7),
    Case(Op.SQRT, build.sqrt, "torch.sqrt", (MATRIX,), 0.3),
    Case(Op.SIN, build.sin, "torch.sin", (MATRIX,)),
    Case(Op.COS, build.cos, "torch.cos", (MATRIX,)),
    Case(Op.TANH, build.tanh, "torch.tanh", (MATRIX,)),
    Case(Op.ERF, build.erf, "torch.erf", (MATRIX,)),
    Case(
        Op.NOT,
        lambda x: build.where(build.logical_not(build.less(x, 0)), x, build.exp(x)),
        lambda x: torch.where(~(x < 0), x, torch.exp(x)),
        (MATRIX,),
    ),
    Case(
        Op.CAST,
        lambda x: build.multiply(x, build.cast(build.cast(x, dtypes.INT64), F64)),
        lambda x: x * x.to(torch.int64).to(torch.float64),
        (MATRIX,),
    ),
    Case(
        Op.STOP_GRADIENT,
        lambda x: build.multiply(build.stop_gradient(x), x),
        lambda x: x.detach() * x,
        (MATRIX,),
    ),
    Case(Op.ADD, build.add, "torch.add", (MATRIX, (4,))),
    Case(Op.SUBTRACT, build.subtract, "torch.sub", (MATRIX, (3, 1))),
    Case(Op.MULTIPLY, build.multiply, "torch.mul", (MATRIX, (2, 1, 4))),
    Case(Op.DIVIDE, build.divide, "torch.div", (MATRIX, MATRIX), 0.4),
    Case(Op.FMOD, build.fmod, "torch.fmod", (MATRIX, MATRIX), 0.4),
    Case(Op.POWER, build.power, "torch.pow", (MATRIX, MATRIX), 0.4),
    Case(
        Op.POWER,
        lambda x: build.power(x, 3),
        lambda x: x**3,
        (MATRIX,),
        name="constant",
    ),
    Case(Op.MAXIMUM, build.maximum, "torch.maximum", (MATRIX, MATRIX)),
    Case(Op.MINIMUM, build.minimum, "torch.minimum", (MATRIX, MATRIX)),
    Case(
        Op.EQUAL,
        lambda x, y: build.where(build.equal(x, x), build.multiply(x, y), y),
        "torch.mul",
        (MATRIX, MATRIX),
    ),
    Case(
        Op.LESS,
        lambda x, y: build.where(build.less(x, y), x, build.exp(y)),
        lambda x, y: torch.where(x < y, x, torch.exp(y)),
        (MATRIX, MATRIX),
    ),
    Case(
        Op.AND,
        lambda x, y: build.where(
            build.logical_and(build.less(x, y), build.less(0, y)), x, build.exp(y)
        ),
        lambda x, y: torch.where((x < y) & (y > 0), x, torch.exp(y)),
        (MATRIX, MATRIX),
    ),
    Case(
        Op.OR,
        lambda x, y: build.where(
            build.logical_or(build.less(x, y), build.less(0, y)), x, build.exp(y)
        ),
        lambda x, y: torch.where((x < y) | (y > 0), x, torch.exp(y)),
        (MATRIX, MATRIX),
    ),
    Case(
        Op.WHERE,
        lambda x, y: build.where(build.less(x, 0), x, y),
        lambda x, y: torch.where(x < 0, x, y),
        (MATRIX, (4,)),
    ),
    Case(
        Op.CHECK,
        lambda x: build.check(
            x, build.less(x, 9.0), where="x", expected="small numbers"
        ),
        lambda x: x * 1,
        (MATRIX,),
    ),
    Case(
        Op.SUM,
        lambda x: build.sum_over(x, (0, 2)),
        lambda x: x.sum((0, 2)),
        ((2, 3, 4),),
    ),
    Case(
        Op.MAX,
        lambda x: build.maximum_over(x, (0, 2)),
        lambda x: x.amax((0, 2)),
        ((2, 3, 4),),
    ),
    Case(
        Op.ARGMAX,
        lambda x: build.multiply(x, build.cast(build.argmax(x, 0), F64)),
        lambda x: x * x.argmax(0).to(torch.float64),
        (MATRIX,),
    ),
    Case(
        Op.CUMULATIVE_SUM,
        lambda x: build.cumulative_sum(x, 1),
        lambda x: x.cumsum(1),
        ((2, 5, 4),),
    ),
    Case(
        Op.RESHAPE,
        lambda x: build.reshape(x, (2, -1)),
        lambda x: x.reshape(2, -1),
        (MATRIX,),
    ),
    Case(
        Op.PERMUTE,
        lambda x: build.permute(x, (2, 0, 1)),
        lambda x: x.permute(2, 0, 1),
        ((2, 3, 4),),
    ),
    Case(
        Op.BROADCAST,
        lambda x: build.broadcast_to(x, (2, 3, 4)),
        lambda x: x.expand(2, 3, 4),
        ((3, 1),),
    ),
    Case(
        Op.SLICE,
        lambda x: build.slice_axes(x, (1, 0), (6, 4), (2, 3)),
        lambda x: x[1:6:2, 0:4:3],
        ((7, 5),),
    ),
    Case(
        Op.PAD,
        lambda x: build.pad(x, (1, 0), (2, 1)),
        lambda x: torch.nn.functional.pad(x, (0, 1, 1, 2)),
        (MATRIX,),
    ),
    Case(Op.FLIP, lambda x: build.flip(x, (1,)), lambda x: x.flip(1), (MATRIX,)),
    Case(
        Op.CONCATENATE,
        lambda x, y: build.concatenate([x, y, x], 1),
        lambda x, y: torch.cat([x, y, x], 1),
        (MATRIX, (3, 2)),
    ),
    Case(
        Op.GATHER,
        lambda x: _index(lambda i: build.gather(x, i, 1)),
        lambda x: x[:, torch.tensor(INDICES)],
        ((2, 3, 4),),
    ),
    Case(
        Op.SCATTER_ADD,
        lambda u: _index(lambda i: build.scatter_add(i, u, 0, 4)),
        lambda u: torch.zeros((4, 3), dtype=torch.float64).index_add(
            0, torch.tensor(INDICES).reshape(-1), u.reshape(4, 3)
        ),
        ((2, 2, 3),),
    ),
    Case(
        Op.ARGSORT,
        lambda x: build.multiply(x, build.cast(build.argsort(x, 1), F64)),
        lambda x: x * torch.argsort(x, 1).to(torch.float64),
        (MATRIX,),
    ),
    Case(Op.MATMUL, build.matmul, "torch.matmul", ((2, 3, 4), (4, 5))),
    Case(Op.MATMUL, build.matmul, "torch.matmul", ((3, 4), (4,)), name="vector"),
    Case(
        Op.CONVOLVE,
        lambda x, w: build.convolve(x, w, **STRIDED),
        lambda x, w: _conv(x, w, **TORCH_STRIDED),
        (X, W),
    ),
    Case(
        Op.CONVOLVE_TRANSPOSED,
        lambda y, w: build.convolve_transposed(y, w, **STRIDED, input_shape=X),
        lambda y, w: _conv_adjoint("x", y, w, X, **TORCH_STRIDED),
        (Y, W),
    ),
    Case(
        Op.CONVOLVE_WEIGHT,
        lambda x, y: build.convolve_weight(x, y, **STRIDED, weight_shape=W),
        lambda x, y: _conv_adjoint("w", y, x, W, **TORCH_STRIDED),
        (X, Y),
    ),
    Case(Op.WINDOWS, lambda x: build.windows(x, **WINDOWS), _unfold, ((2, 7, 5),)),
    Case(
        Op.FOLD,
        lambda y: build.fold(y, **WINDOWS, shape=(2, 7, 5)),
        _fold,
        ((2, 3, 4, 3, 2),),
    ),
    Case(
        Op.SOLVE,
        lambda a, b: build.solve(_well_node(a), b),
        lambda a, b: torch.linalg.solve(_well(a), b),
        ((2, 3, 3), (2, 3, 2)),
    ),
    Case(
        Op.LOG_DETERMINANT,
        lambda a: build.log_determinant(_well_node(a)),
        lambda a: torch.linalg.slogdet(_well(a))[1],
        ((2, 3, 3),),
    ),
    Case(
        Op.CHOLESKY,
        lambda a: build.cholesky(_well_node(a)),
        lambda a: torch.linalg.cholesky(_well(a)),
        ((2, 3, 3),),
    ),
]


def _operands(case: Case) -> tuple[list[Node], list[np.ndarray[Any, Any]]]:
    generator = np.random.default_rng(len(case.id))
    arrays = [generator.uniform(case.low, case.high, shape) for shape in case.shapes]
    nodes = [
        build.input_node(f"x{i}", shape, F64) for i, shape in enumerate(case.shapes)
    ]
    return nodes, arrays


def _values(outputs: list[Node], nodes: list[Node], arrays: list[Any]) -> list[Any]:
    values = dict(zip(nodes, arrays, strict=True))
    values.update(
        {
            n: INDICES
            for n in reference.topological(outputs)
            if n.attributes.get("name") == "indices"
        }
    )
    return reference.evaluate(outputs, values)


def _weight(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.cos(np.arange(int(np.prod(shape)), dtype=np.float64)).reshape(shape)


def test_the_tables_cover_every_primitive() -> None:
    assert set(RULES) == set(Op)
    assert set(reference.EVALUATE) == set(Op) - {Op.INPUT, Op.DIMENSION, Op.CALL}


def test_every_primitive_has_a_case() -> None:
    assert {case.op for case in CASES} == set(Op) - LEAVES - {Op.CALL}
    assert {case.op for case in CASES} >= ELEMENTWISE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_forward_and_gradient_agree_with_torch(case: Case) -> None:
    nodes, arrays = _operands(case)
    output = case.ours(*nodes)
    cotangent = build.input_node("cotangent", output.shape, F64)
    results = [output, *gradients(output, nodes, cotangent)]
    verify(results)
    weight = _weight(output.shape)
    ours = _values(results, [*nodes, cotangent], [*arrays, weight])
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected = called(case.torchs)(*tensors)
    slopes = torch.autograd.grad(
        expected, tensors, torch.tensor(weight), allow_unused=True
    )
    np.testing.assert_allclose(
        ours[0], expected.detach().numpy(), rtol=1e-10, atol=1e-10
    )
    for mine, theirs, array in zip(ours[1:], slopes, arrays, strict=True):
        wanted = np.zeros_like(array) if theirs is None else theirs.numpy()
        assert mine.shape == array.shape
        np.testing.assert_allclose(mine, wanted, rtol=1e-10, atol=1e-10)


SMOOTH = [
    case for case in CASES if case.op is not Op.STOP_GRADIENT
]  # its derivative is 0 by definition
ONE_TYPE = [
    case for case in CASES if case.op not in {Op.CAST, Op.ARGMAX, Op.ARGSORT}
]  # those cast to float64


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.id)
def test_derivatives_agree_with_differences_to_second_order(case: Case) -> None:
    nodes, arrays = _operands(case)
    output = case.ours(*nodes)
    weight = build.input_node("weight", output.shape, F64)
    loss = build.sum_over(build.multiply(weight, build.sin(output)))
    values = {**dict(zip(nodes, arrays, strict=True)), weight: _weight(output.shape)}
    values.update(
        {
            n: INDICES
            for n in reference.topological([loss])
            if n.attributes.get("name") == "indices"
        }
    )
    generator = np.random.default_rng(1)
    errors = directional_errors(
        loss,
        nodes,
        values,
        reference.evaluate,
        lambda n: generator.normal(size=n.shape),
    )
    assert errors
    for error in errors:
        assert error.error < 1e-6, error


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_simplified_graphs_are_equal_and_legal(case: Case) -> None:
    nodes, arrays = _operands(case)
    output = case.ours(*nodes)
    loss = build.sum_over(build.multiply(output, build.sin(output)))
    plain = [output, *gradients(loss, nodes)]
    smaller = simplify(plain)
    verify(smaller)
    for a, b in zip(
        _values(plain, nodes, arrays), _values(smaller, nodes, arrays), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", ONE_TYPE, ids=lambda case: case.id)
def test_float32_stays_float32(case: Case) -> None:
    generator = np.random.default_rng(2)
    nodes = [
        build.input_node(f"x{i}", s, dtypes.FLOAT32) for i, s in enumerate(case.shapes)
    ]
    arrays = [
        generator.uniform(case.low, case.high, s).astype(np.float32)
        for s in case.shapes
    ]
    output = case.ours(*nodes)
    results = [output, *gradients(build.sum_over(output), nodes)]
    assert {node.dtype for node in results} == {dtypes.FLOAT32}
    assert {value.dtype for value in _values(results, nodes, arrays)} == {
        np.dtype("float32")
    }
