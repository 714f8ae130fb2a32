"""The page of one example of a batch, with the mean over the examples as its last lines."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.errors import ArgumentError, GraphError
from deltarule.explain.derivation.derivation import Deriver
from deltarule.explain.derivation.single_example import one_example
from deltarule.explain.page.batch_mean import Batch
from deltarule.explain.page.page import columns
from deltarule.shapes import Dimension
from deltarule.tensor.explain import run, value_sampler

N = Dimension("N")


def dense():
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


@pytest.mark.notes("C-NN-06", "BP-10")
@pytest.mark.parametrize("size", [N, 6])
def test_a_matrix_of_targets_of_any_size(size, golden, read_latex):
    d = dr.derive(
        dense(), losses.CrossEntropy(), input_shape=(size, 4), batch="example"
    )
    text = str(d).split("proved")[0]
    if size is N:
        golden("derivation_mean_of_a_batch", text)
    assert "L  = −yᵀ log ŷ" in text and "x ∈ ℝ⁴, y ∈ ℝ³, Σy = 1" in text
    assert f"mean over a batch of {size} examples" in text
    assert (
        f"∂J/∂W₁ = 1/{size} Σᵢ δ₁⁽ⁱ⁾x⁽ⁱ⁾ᵀ" in text
        and f"= Δ₁ᵀX/{size}, examples as rows" in text
    )
    assert d.check(points=3) and "∂J/∂W₁" in str(d.check(points=3))
    read_latex(d.latex())
    assert "mean over a batch" in d.html() and "mean over a batch" in d._repr_html_()


LOSSES = {
    "regularised": lambda p, y, w: ((p - y) ** 2).mean() + 0.1 * (w * w).sum(),
    "sum": lambda p, y, w: -((p - y) ** 2).sum(),
    "mean of rows": lambda p, y, w: 0.5 * ((p - y) ** 2).sum(axis=1).mean(),
    "difference": lambda p, y, w: ((p - y) ** 2).mean() - p.mean(),
    "softmax by hand": lambda p, y, w: -(y * nn.log_softmax(p)).sum() / 6,
    "parts": lambda p, y, w: (
        (p[:, 1:] * y[:, :-1]).mean()
        + dr.concatenate([p, y], axis=1).max(axis=1).mean()
    ),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("layout", ["denominator", "numerator"])
def test_losses_of_a_batch(name, layout):
    X, Y, W, b = (
        dr.symbol(n, s)
        for n, s in (("X", (6, 4)), ("Y", (6, 3)), ("W", (3, 4)), ("b", (3,)))
    )
    d = dr.derive(
        LOSSES[name](nn.relu(X @ W.T + b), Y, W),
        wrt=[W, b],
        batch="example",
        layout=layout,
    )
    assert d.check(points=3), str(d.check(points=3))
    assert ("sum over a batch" if name == "sum" else "mean over a batch") in str(d)
    assert all(columns(line) <= 100 for line in str(d).splitlines())
    if layout == "numerator" and name == "sum":
        assert "∂J/∂W = Σᵢ x⁽ⁱ⁾δ₁⁽ⁱ⁾ " in str(d)


def test_images_and_labels():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    )
    d = dr.derive(
        model, losses.CrossEntropy(), input_shape=(N, 6, 6, 1), batch="example"
    )
    assert d.check(points=3) and "∂J/∂W₁ = 1/N Σᵢ x⁽ⁱ⁾ ⋆ Δ₁⁽ⁱ⁾" in str(d)
    X, c, W = (
        dr.symbol("X", (5, 4)),
        dr.symbol("c", (5,), dtype="int64"),
        dr.symbol("W", (3, 4)),
    )
    d = dr.derive(losses.CrossEntropy()(X @ W.T, c), wrt=[W], batch="example")
    assert "∂J/∂W = 1/5 Σᵢ" in str(d) and d.check(points=3)
    table, words = dr.symbol("E", (7, 3)), dr.symbol("k", (5,), dtype="int64")
    taken = table[words]
    assert dr.derive((taken * taken).mean(), wrt=[table], batch="example").check(
        points=3
    )


def test_a_wrong_mean_is_not_proved():
    """The mean is checked against the gradient of the batch loss itself, here of another loss."""
    X, Y, W = dr.symbol("X", (4, 3)), dr.symbol("Y", (4, 2)), dr.symbol("W", (2, 3))
    loss, other = ((X @ W.T - Y) ** 2).mean(), ((X @ W.T - Y) ** 2).sum()
    example = one_example(loss.node, [W.node])
    derived = Deriver(example.loss, [W.node], {}, "denominator", "steps").derive()
    right = Batch(loss.node, example).check(derived, run, value_sampler(0))
    wrong = Batch(other.node, example).check(derived, run, value_sampler(0))
    assert all(row.proved for row in right) and not any(row.proved for row in wrong)


def test_the_example_is_a_row_of_the_batch():
    X, Y, W = (
        dr.symbol("X", (4, 3), "float64"),
        dr.symbol("Y", (4, 2), "float64"),
        dr.symbol("W", (2, 3), "float64"),
    )
    loss = ((nn.sigmoid(X @ W.T) - Y) ** 2).mean()
    example = one_example(loss.node, [W.node])
    rng = np.random.default_rng(0)
    values = {node: rng.normal(size=node.shape) for node in (X.node, Y.node, W.node)}
    rows = []
    for i in range(4):
        given = {row: values[node][i] for node, row in example.inputs.items()} | {
            W.node: values[W.node]
        }
        rows.append(float(run([example.loss], given)[0]))
    np.testing.assert_allclose(np.mean(rows), run([loss.node], values)[0], rtol=1e-12)


def test_what_has_no_page_of_one_example():
    X, Y, W = dr.symbol("X", (5, 3)), dr.symbol("Y", (5, 3)), dr.symbol("W", (3, 3))
    centred = X @ W.T - (X @ W.T).mean(axis=0, keepdims=True)
    cases = [
        (((centred - Y) ** 2).mean(), "examples"),
        (dr.exp(((X @ W.T - Y) ** 2).sum()), "mean over the examples"),
        ((W * W).sum(), "axis of examples"),
        (((X.T @ (X @ W)) ** 2).mean(), "examples"),
    ]
    for loss, words in cases:
        with pytest.raises(GraphError, match=words):
            dr.derive(loss, wrt=[W], batch="example")
    with pytest.raises(ArgumentError, match="matrices"):
        dr.derive(cases[0][0], wrt=[W], batch="rows")
    normal = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4))
    with pytest.raises(GraphError, match='batch="matrices"'):
        dr.derive(
            normal,
            losses.SquaredError(),
            input_shape=(5, 3),
            mode="training",
            batch="example",
        )
