"""Gradients, products with Jacobians, Jacobians in both layouts, Hessians, gradient checks, jit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn
from deltarule.errors import ArgumentError, GraphError, ShapeError
from deltarule.tensor import transforms
from support.oracles import torch

W = np.random.default_rng(0).normal(size=(4, 3))
X = np.array([0.3, -1.2, 2.0])


def ours(x: Any) -> dr.Tensor:
    return dr.tanh(dr.tensor(W) @ x) ** 2


def theirs(x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(torch.tensor(W) @ x) ** 2


def test_jacobian_in_both_layouts() -> None:
    expected = torch.autograd.functional.jacobian(theirs, torch.tensor(X)).numpy()
    np.testing.assert_allclose(
        dr.jacobian(ours, X, layout="numerator").numpy(), expected, rtol=1e-10
    )
    np.testing.assert_allclose(dr.jacobian(ours, X).numpy(), expected.T, rtol=1e-10)
    with pytest.raises(ArgumentError, match="numerator"):
        dr.jacobian(ours, X, layout="rows")  # type: ignore[arg-type]  # wrong on purpose


SHAPES = [(), (1,), (3,), (2, 3), (1, 1), (2, 1, 2)]


@pytest.mark.parametrize("of", SHAPES, ids=str)
@pytest.mark.parametrize("by", SHAPES, ids=str)
def test_jacobian_and_hessian_of_every_rank(
    by: tuple[int, ...], of: tuple[int, ...]
) -> None:
    random = np.random.default_rng(3)
    point = random.normal(size=by)
    mixing = random.normal(size=(*of, *by))
    axes = tuple(range(len(of), len(of) + len(by)))

    def mine(x: Any) -> dr.Tensor:
        return (
            dr.sin((dr.tensor(mixing) * x).sum(axes))
            if axes
            else dr.sin(dr.tensor(mixing) * x)
        )

    def other(x: torch.Tensor) -> torch.Tensor:
        mixed = torch.tensor(mixing) * x
        return torch.sin(mixed.sum(axes) if axes else mixed)

    expected = torch.autograd.functional.jacobian(other, torch.tensor(point)).numpy()
    numerator = dr.jacobian(mine, point, layout="numerator")
    assert numerator.shape == (*of, *by)
    np.testing.assert_allclose(numerator.numpy(), expected, rtol=1e-10)
    turned = np.moveaxis(expected, range(len(of)), range(len(by), len(by) + len(of)))
    assert dr.jacobian(mine, point).shape == (*by, *of)
    np.testing.assert_allclose(dr.jacobian(mine, point).numpy(), turned, rtol=1e-10)
    curvature = torch.autograd.functional.hessian(
        lambda x: (other(x) ** 2).sum(), torch.tensor(point)
    ).numpy()
    found = dr.hessian(lambda x: (mine(x) ** 2).sum(), point)
    assert found.shape == (*by, *by)
    np.testing.assert_allclose(found.numpy(), curvature, rtol=1e-9, atol=1e-12)


def test_derivatives_of_numbers() -> None:
    assert dr.jacobian(lambda z: z * z, dr.tensor(2.0)).item() == 4.0
    assert dr.hessian(lambda z: z**3, dr.tensor(2.0)).item() == 12.0
    assert dr.hessian(lambda z: 3.0 * z, dr.tensor(2.0)).item() == 0.0
    assert dr.jacobian(lambda _: dr.tensor([1.0, 2.0]), dr.tensor([3.0])).tolist() == [
        [0.0, 0.0]
    ]
    with pytest.raises(
        ShapeError,
        match=r"hessian: expected a function that returns a scalar, got \(2\)",
    ):
        dr.hessian(lambda z: z, dr.tensor([1.0, 2.0]))
    for transform in (dr.jacobian, dr.hessian):
        with pytest.raises(ArgumentError, match="a function that returns a tensor"):
            transform(lambda _: 3.0, dr.tensor(2.0))


def test_products_with_the_jacobian() -> None:
    v, u = np.array([1.0, 2.0, -1.0]), np.array([1.0, 0.5, -2.0, 3.0])
    value, along = dr.jvp(ours, X, v)
    _, expected = torch.autograd.functional.jvp(
        theirs, torch.tensor(X), torch.tensor(v)
    )
    np.testing.assert_allclose(along.numpy(), expected.numpy(), rtol=1e-10)
    value, pull = dr.vjp(ours, X)
    _, back = torch.autograd.functional.vjp(theirs, torch.tensor(X), torch.tensor(u))
    np.testing.assert_allclose(pull(u).numpy(), back.numpy(), rtol=1e-10)
    np.testing.assert_allclose(
        value.numpy(), theirs(torch.tensor(X)).numpy(), rtol=1e-12
    )
    with pytest.raises(ShapeError, match="jvp"):
        dr.jvp(ours, X, u)


def test_hessian_and_hvp() -> None:
    v = np.array([1.0, 2.0, -1.0])
    expected = torch.autograd.functional.hessian(
        lambda x: theirs(x).sum(), torch.tensor(X)
    ).numpy()
    np.testing.assert_allclose(
        dr.hessian(lambda x: ours(x).sum(), X).numpy(), expected, rtol=1e-9
    )
    np.testing.assert_allclose(
        dr.hvp(lambda x: ours(x).sum(), X, v).numpy(), expected @ v, rtol=1e-9
    )


def test_gradients_of_gradients() -> None:
    x = dr.tensor(X)
    (slope,) = dr.grad((x**3).sum(), [x])
    (curvature,) = dr.grad(slope.sum(), [x])
    np.testing.assert_allclose(curvature.numpy(), 6 * X, rtol=1e-12)


def test_per_example_gradients_sum_to_the_gradient() -> None:
    w = dr.parameter(np.random.default_rng(1).normal(size=(2, 3)), name="W")
    batch = np.random.default_rng(2).normal(size=(5, 3))
    each = dr.per_example_grad(lambda x: ((w @ x) ** 2).sum(), batch, wrt=w)
    whole = dr.grad(((dr.tensor(batch) @ w.T) ** 2).sum(), w)
    assert each.shape == (5, 2, 3)
    np.testing.assert_allclose(each.numpy().sum(0), whole.numpy(), rtol=1e-10)
    np.testing.assert_allclose(
        dr.per_example_grad(lambda x: (x**2).sum(), batch).numpy(),
        2 * batch,
        rtol=1e-12,
    )


def test_fan_out_and_shared_parameters_add_up() -> None:
    w = dr.parameter([[2.0]], name="w")
    x = dr.tensor([3.0])
    once = w @ x
    (w @ (once + x) * once).sum().backward()  # L = w(wx + x)·wx
    assert w.grad is not None
    assert w.grad.item() == pytest.approx(3 * 4 * 9 + 2 * 2 * 9)


def test_kinks_and_ties_follow_the_stated_conventions() -> None:
    zero = dr.tensor([0.0])
    assert dr.grad(nn.relu(zero).sum(), zero).item() == 0
    assert dr.grad(abs(zero).sum(), zero).item() == 0
    assert dr.grad(zero.norm(), zero).item() == 0
    tie = dr.tensor([2.0, 2.0, 1.0])
    assert dr.grad(tie.max(), tie).tolist() == [1.0, 0.0, 0.0]
    assert dr.grad(tie.min() * 0 + dr.maximum(tie[0], tie[1]), tie).tolist() == [
        1.0,
        0.0,
        0.0,
    ]


def test_check_gradients_tells_right_from_wrong() -> None:
    report = dr.check_gradients(lambda x: ours(x).sum(), X)
    assert report and report.max_error < 1e-7 and "agree" in str(report)

    def wrong(x: dr.Tensor) -> dr.Tensor:  # its derivative misses a factor
        return (x * dr.stop_gradient(x)).sum()

    report = dr.check_gradients(wrong, X)
    assert not report and "DISAGREE" in str(report)


def test_gradient_with_respect_to_labels_is_refused() -> None:
    i = dr.tensor([1, 2])
    with pytest.raises(GraphError, match="floating-point"):
        dr.grad((i * 1.0).sum(), i)


# ---------------------------------------------------------------- jit


def test_jit_compiles_once_per_structure() -> None:
    traces = []

    @dr.jit
    def step(x: dr.Tensor, factor: int) -> dict[str, dr.Tensor]:
        traces.append(x.shape)
        return {"y": x * factor}

    assert step(np.ones(3), 2)["y"].tolist() == [2, 2, 2]
    assert step(np.zeros(3), 2)["y"].tolist() == [0, 0, 0]
    assert traces == [(3,)]
    step(np.ones(4), 2), step(np.ones(4), 3)
    assert traces == [(3,), (4,), (4,)]


def test_jit_reads_captured_tensors_anew_and_writes_assigned_ones() -> None:
    scale, count = dr.tensor([2.0]), dr.tensor(0)

    @dr.jit
    def step(x: dr.Tensor) -> dr.Tensor:
        count.assign(count + 1)
        return x * scale

    assert step(np.float32([3])).tolist() == [6]
    scale.assign([10.0])
    assert step(np.float32([3])).tolist() == [30]
    assert count.item() == 2


def test_jit_assigns_to_its_arguments() -> None:
    w = dr.parameter([1.0], name="w")

    @dr.jit
    def step(p: dr.Tensor) -> dr.Tensor:
        old = p * 1.0
        p.assign(p * 0.5)
        return old

    assert step(w).tolist() == [1.0] and w.tolist() == [0.5]
    with pytest.raises(ArgumentError, match=r"dr\.tensor"):
        step(np.float32([1]))


def test_jit_refuses_to_freeze_a_value() -> None:
    @dr.jit
    def step(x: dr.Tensor) -> dr.Tensor:
        return x if x.sum() > 0 else -x

    with pytest.raises(GraphError, match=r"dr\.where"):
        step(np.ones(2))


def test_an_error_while_tracing_leaves_tensors_as_they_were() -> None:
    w = dr.tensor([1.0])

    @dr.jit
    def step(x: dr.Tensor) -> dr.Tensor:
        w.assign(x * 2)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        step(np.float32([1]))
    assert w.tolist() == [1.0]


def test_jacobians_and_hessians_can_be_differentiated_again() -> None:
    point = dr.tensor(np.float64(2.0))
    assert dr.jacobian(lambda z: dr.jacobian(lambda w: w**3, z), point).item() == 12.0
    assert dr.hessian(lambda z: dr.hessian(lambda w: w**4, z), point).item() == 24.0
    assert dr.grad(dr.jacobian(lambda w: w**3, point), point).item() == 12.0
    assert dr.jit(lambda z: dr.jacobian(lambda w: w**3, z))(point).item() == 12.0

    def squares(x: Any) -> Any:
        return (
            torch.autograd.functional.jacobian(theirs, x, create_graph=True) ** 2
        ).sum()

    expected = torch.autograd.functional.jacobian(squares, torch.tensor(X)).numpy()
    found = dr.jacobian(lambda x: (dr.jacobian(ours, x) ** 2).sum(), X).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_rows_of_a_jacobian_in_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dr.jacobian(ours, X).numpy()
    for most in (1, 50):
        monkeypatch.setattr(transforms, "_MAX_BATCH_ELEMENTS", most)
        np.testing.assert_array_equal(dr.jacobian(ours, X).numpy(), whole)


def test_a_jacobian_does_not_see_later_weights() -> None:
    model = dr.nn.Sequential(dr.nn.Linear(3, 2), dr.nn.Tanh())
    expected = dr.jacobian(model, np.ones(3, np.float32)).numpy()
    late = dr.jacobian(model, np.ones(3, np.float32))
    model.fit(
        np.ones((8, 3)), np.ones((8, 2)), loss="squared_error", epochs=2, verbose=0
    )
    np.testing.assert_array_equal(late.numpy(), expected)
