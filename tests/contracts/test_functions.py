"""The contract of every named function: expansion, textbook pullback, torch, differences, hash-consing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends import reference
from deltarule.grad.check import directional_errors
from deltarule.grad.reverse import gradients
from deltarule.grad.textbook import TEXTBOOK
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.activation import Activation, activations
from deltarule.graph.function import FUNCTIONS, expansion
from deltarule.graph.node import Node
from deltarule.graph.verify import verify
from support.oracles import called, tf, torch

F64 = dtypes.FLOAT64
LABELS = np.array([2, 0, 1, 1])


@dataclass(frozen=True)
class Case:
    """One named function: how we call it, what torch calls it, operand shapes, which operands are ±1 or labels."""

    name: str
    ours: Callable[..., Node]
    torchs: Callable[..., torch.Tensor] | str
    shapes: tuple[tuple[int, ...], ...] = ((4, 3),)
    fixed: dict[int, Any] = field(default_factory=dict)


def _nchw(pool: str, **options: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: called(pool)(x.permute(0, 3, 1, 2), **options).permute(0, 2, 3, 1)


def _normalized(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(0)) / torch.sqrt(x.var(0, unbiased=False) + 1e-5)


def _multiclass_hinge(a: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    slack = (1 + a - a.gather(1, y[:, None])).clamp(min=0)
    return slack.sum(1) - 1


def _inverses(x: torch.Tensor, power: int) -> torch.Tensor:
    """Torch's trigamma has an error of 5·10⁻¹⁰ for small x; lifted by 30 it has none to speak of."""
    return sum(1 / (x + i) ** power for i in range(30))


PROBABILITIES = np.array([[0.2, 0.3, 0.5], [1, 0, 0], [0, 0.5, 0.5], [0.1, 0.1, 0.8]])
SIGNS = np.array([[1.0, -1, 1], [-1, 1, 1], [1, 1, -1], [-1, -1, 1]])
POSITIVE = np.array(
    [[0.7, 0.9, 1.3], [1.7, 2.6, 5.0], [7.9, 8.1, 30.0], [1.2, 150.0, 3.0]]
)
POOL = {"window": (3, 2), "stride": (2, 2), "padding": ((1, 1), (0, 0))}
# what PyTorch computes, where its function takes other arguments, is less exact, or does not exist
ORACLES: dict[str, Callable[..., torch.Tensor]] = {
    "clip": lambda x, low, high: x.clamp(low, high),
    "cube": lambda x: x**3,
    "gelu": lambda x, approximate: tf.gelu(
        x, approximate="tanh" if approximate else "none"
    ),
    # torch's own derivative is 1/6 in float32
    "hard_sigmoid": lambda x, slope, offset: (slope * x + offset).clamp(0, 1),
    "leaky_relu": lambda x, slope: tf.leaky_relu(x, slope),
    "log_cosh": lambda x: torch.log(torch.cosh(x)),
}


def oracle(declared: Activation) -> Callable[..., torch.Tensor]:
    """What PyTorch computes for a declared activation, given a tensor and the attributes."""
    known = ORACLES.get(declared.name)
    return called(declared.torch) if known is None else known


def _case(declared: Activation, settings: Mapping[str, Any]) -> Case:
    return Case(
        declared.name,
        lambda x: declared.construct(x, **settings),
        lambda x: oracle(declared)(x, **settings),
    )


CASES = [
    *(_case(known, settings) for known in activations() for settings in known.settings),
    Case("prelu", f.prelu, "tf.prelu", ((4, 3), (3,))),
    Case(
        "logsumexp", lambda x: f.logsumexp(x, axis=1), lambda x: torch.logsumexp(x, 1)
    ),
    Case("softmax", lambda x: f.softmax(x, axis=0), lambda x: torch.softmax(x, 0)),
    Case(
        "log_softmax",
        lambda x: f.log_softmax(x, axis=1),
        lambda x: torch.log_softmax(x, 1),
    ),
    Case("weighted", f.weighted, lambda y, a: y * a, ((4, 3), (4, 3))),
    Case(
        "squared_error",
        f.squared_error,
        lambda a, b: (a - b) ** 2 / 2,
        ((4, 3), (4, 3)),
    ),
    Case(
        "cross_entropy",
        f.cross_entropy,
        lambda z, t: tf.cross_entropy(z, t, reduction="none"),
        ((4, 3), (4, 3)),
        {1: PROBABILITIES},
    ),
    Case(
        "cross_entropy_of_labels",
        f.cross_entropy_of_labels,
        lambda z, y: tf.cross_entropy(z, y, reduction="none"),
        ((4, 3), (4,)),
        {1: LABELS},
    ),
    Case(
        "binary_cross_entropy",
        f.binary_cross_entropy,
        lambda z, t: tf.binary_cross_entropy_with_logits(z, t, reduction="none"),
        ((4, 3), (4, 3)),
        {1: PROBABILITIES},
    ),
    Case(
        "binary_cross_entropy_of_probabilities",
        lambda z, y: f.binary_cross_entropy_of_probabilities(f.sigmoid(z), y),
        lambda z, t: tf.binary_cross_entropy(torch.sigmoid(z), t, reduction="none"),
        ((4, 3), (4, 3)),
        {1: PROBABILITIES},
    ),
    Case(
        "cross_entropy_of_probabilities",
        lambda z, y: f.cross_entropy_of_probabilities(f.softmax(z, axis=1), y),
        lambda z, t: -(t * torch.softmax(z, 1).log()).sum(1),
        ((4, 3), (4, 3)),
        {1: PROBABILITIES},
    ),
    Case(
        "huber",
        lambda a, b: f.huber(a, b, delta=0.7),
        lambda a, b: tf.huber_loss(a, b, reduction="none", delta=0.7),
        ((4, 3), (4, 3)),
    ),
    Case(
        "hinge",
        f.hinge,
        lambda z, y: (1 - z * y).clamp(min=0),
        ((4, 3), (4, 3)),
        {1: SIGNS},
    ),
    Case(
        "multiclass_hinge",
        lambda a, y: f.multiclass_hinge(a, y, margin=1.0),
        _multiclass_hinge,
        ((4, 3), (4,)),
        {1: LABELS},
    ),
    Case("normalize", lambda x: f.normalize(x, axes=(0,), epsilon=1e-5), _normalized),
    Case(
        "euclidean_norm",
        lambda x: f.euclidean_norm(x, axes=(1,)),
        lambda x: torch.linalg.vector_norm(x, dim=1),
    ),
    Case("lgamma", f.lgamma, "torch.lgamma", fixed={0: POSITIVE}),
    Case(
        "digamma",
        f.digamma,
        lambda x: torch.digamma(x + 30) - _inverses(x, 1),
        fixed={0: POSITIVE},
    ),
    Case(
        "trigamma",
        f.trigamma,
        lambda x: torch.special.polygamma(1, x + 30) + _inverses(x, 2),
        fixed={0: POSITIVE},
    ),
    Case(
        "max_pool",
        lambda x: f.max_pool(x, **POOL),
        _nchw("tf.max_pool2d", kernel_size=(3, 2), stride=2, padding=(1, 0)),
        ((2, 7, 6, 3),),
    ),
    Case(
        "average_pool",
        lambda x: f.average_pool(x, **POOL),
        _nchw("tf.avg_pool2d", kernel_size=(3, 2), stride=2, padding=(1, 0)),
        ((2, 7, 6, 3),),
    ),
]


def _operands(case: Case) -> tuple[list[Node], list[Any]]:
    generator = np.random.default_rng(len(case.name))
    nodes, arrays = [], []
    for i, shape in enumerate(case.shapes):
        array = case.fixed.get(i, generator.normal(size=shape))
        arrays.append(array)
        nodes.append(build.input_node(f"x{i}", shape, dtypes.DTYPES[array.dtype.name]))
    return nodes, arrays


def test_every_named_function_has_a_case() -> None:
    assert {case.name for case in CASES} >= set(f.__all__)
    assert set(TEXTBOOK) <= set(FUNCTIONS)


@pytest.mark.parametrize("declared", activations(), ids=lambda known: known.name)
def test_every_declaration_is_complete(declared: Activation) -> None:
    assert declared.torch or declared.name in ORACLES, "no oracle"
    assert declared.summary and declared.formula
    assert declared.notation.name or declared.notation.power
    assert set(declared.notation.attributes) <= set(declared.attributes)
    for settings in declared.settings:
        assert set(settings) == set(declared.attributes)
    if declared.onnx:
        named = {ours for ours, _ in declared.onnx.attributes.values()}
        assert named <= set(declared.attributes)
    x = build.input_node("x", (len(declared.examples),), F64)
    output = declared.construct(x, **declared.settings[0])
    (values,) = reference.evaluate([output], {x: np.array([*declared.examples], float)})
    assert [round(float(value), 4) for value in values] == [*declared.examples.values()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_forward_and_gradient_agree_with_torch(case: Case) -> None:
    nodes, arrays = _operands(case)
    output = case.ours(*nodes)
    floats = [n for n in nodes if n.dtype.is_float]
    cotangent = build.input_node("cotangent", output.shape, F64)
    results = [output, expansion(output), *gradients(output, floats, cotangent)]
    verify(results)
    weight = np.cos(np.arange(np.prod(output.shape))).reshape(output.shape)
    ours = reference.evaluate(
        results, {**dict(zip(nodes, arrays, strict=True)), cotangent: weight}
    )
    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    expected = called(case.torchs)(*tensors)
    np.testing.assert_allclose(
        ours[0], expected.detach().numpy(), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(ours[1], ours[0], rtol=1e-12, atol=1e-14)
    slopes = torch.autograd.grad(
        expected, [t for t in tensors if t.requires_grad], torch.tensor(weight)
    )
    for mine, theirs in zip(ours[2:], slopes, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_derivatives_agree_with_differences_to_second_order(case: Case) -> None:
    nodes, arrays = _operands(case)
    output = case.ours(*nodes)
    weight = build.input_node("weight", output.shape, F64)
    loss = build.sum_over(build.multiply(weight, build.sin(output)))
    values = {
        **dict(zip(nodes, arrays, strict=True)),
        weight: np.cos(np.arange(np.prod(output.shape))).reshape(output.shape),
    }
    generator = np.random.default_rng(3)
    floats = [n for n in nodes if n.dtype.is_float]
    errors = directional_errors(
        loss,
        floats,
        values,
        reference.evaluate,
        lambda n: generator.normal(size=n.shape),
    )
    assert len(errors) == 2 * len(floats)
    for error in errors:
        assert error.error < 1e-6, error


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equal_calls_are_the_same_node(case: Case) -> None:
    nodes, _ = _operands(case)
    assert case.ours(*nodes) is case.ours(*nodes)


EXTREME = np.array([-1e4, -800.0, -40.0, 0.0, 40.0, 800.0, 1e4])


@pytest.mark.parametrize(
    "name", ["sigmoid", "softplus", "log_sigmoid", "silu", "gelu", "mish", "softsign"]
)
def test_extreme_arguments_stay_finite_and_exact(name: str) -> None:
    x = build.input_node("x", EXTREME.shape, F64)
    case = next(c for c in CASES if c.name == name)
    output = case.ours(x)
    value, slope = reference.evaluate(
        [output, gradients(build.sum_over(output), [x])[0]], {x: EXTREME}
    )
    t = torch.tensor(EXTREME, requires_grad=True)
    expected = called(case.torchs)(t)
    expected.sum().backward()
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-12, atol=1e-15)
    assert t.grad is not None
    np.testing.assert_allclose(slope, t.grad.numpy(), rtol=1e-10, atol=1e-15)


@pytest.mark.notes("ACT-18", "C-ACT-12")
def test_clip_takes_its_derivative_at_a_bound_from_the_left() -> None:
    x = build.input_node("x", (5,), F64)
    output = f.clip(x, low=0.0, high=1.0)
    slope = gradients(build.sum_over(output), [x])[0]
    value, slopes = reference.evaluate(
        [output, slope], {x: np.array([-1.0, 0, 0.5, 1, 2])}
    )
    np.testing.assert_array_equal(value, [0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(slopes, [0, 0, 1, 1, 0])
    through = gradients(build.sum_over(expansion(output)), [x])[0]
    np.testing.assert_array_equal(
        reference.evaluate([through], {x: np.array([-1.0, 0, 0.5, 1, 2])})[0], slopes
    )
