"""Everything that a derivation prints can be read back, and has the value of the line that it was printed for."""

from __future__ import annotations

import derivations as gallery
import numpy as np
import pytest

import deltarule as dr
from deltarule import dtypes, losses, nn
from deltarule.explain.derivation.derivation import Deriver
from deltarule.explain.formula.term import matrix_shape
from deltarule.explain.page import index_notation, page
from deltarule.explain.page.numerator_layout import in_layout
from deltarule.explain.proof.proof import Precise
from deltarule.explain.reading.printed import repeats
from deltarule.explain.reading.reader import read
from deltarule.explain.reading.vocabulary import vocabulary
from deltarule.graph import build
from deltarule.render.mathematics import to_latex, to_text
from deltarule.tensor.explain import run, value_sampler, without_target_checks
from unit.explain.spellings import PROBLEMS


def images():
    model = nn.Sequential(
        nn.Conv2d(1, 2, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(2, 3, kernel_size=2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(3, 2),
    )
    return dr.derive(model, losses.CrossEntropy(), input_shape=(2, 4, 4, 1))


def labels():
    X, W, b = dr.symbol("X", (5, 4)), dr.symbol("W", (3, 4)), dr.symbol("b", (3,))
    c = dr.symbol("c", (5,), dtype="int64")
    return dr.derive(losses.CrossEntropy()(X @ W.T + b, c), wrt=[W, b])


def activations():
    x, y = dr.symbol("x", (3,)), dr.symbol("y", (3,))
    W1, W2, W3 = (dr.symbol(f"W_{i}", (3, 3)) for i in (1, 2, 3))
    hidden = nn.elu(W2 @ nn.leaky_relu(W1 @ x, 0.1), alpha=0.5)
    error = nn.softplus(W3 @ nn.gelu(hidden)) - y
    return dr.derive((error @ error) ** 0.5, wrt=[W1, W2, W3])


def normalised_layers():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.SiLU(), nn.Linear(4, 2))
    return dr.derive(model, losses.MeanSquaredError(), input_shape=(5, 3))


def of_problem(name):
    def make():
        loss, variables = PROBLEMS[name].make()
        return dr.derive(loss, wrt=list(variables.values()))

    return make


NETWORKS = {
    **{make.__name__: make for make in gallery.GALLERY},
    **{
        make.__name__: make for make in (images, labels, activations, normalised_layers)
    },
    **{name: of_problem(name) for name in PROBLEMS},
}
DETAILS = [("denominator", "every"), ("denominator", "answers"), ("numerator", "steps")]


def printed(derived):
    """Yield each printed right-hand side with the kind of its line, and the line."""
    loss, layout = derived.loss_name, derived.layout
    backward = in_layout(derived.backward, layout)
    lines = [("forward", line) for line in derived.forward]
    lines += [("backward", line) for line in backward]
    lines += [("backward", line) for line in in_layout(derived.closed, layout)]
    for kind, line in lines:
        right = page.entry(line, loss).right
        yield kind, to_text(right), line
        yield kind, to_latex(right), line
    by_number = {line.number: line for line in backward}
    for row in index_notation.page(backward, loss).splitlines():
        number, formula = row.split(None, 1)
        yield "backward", formula, by_number[int(number)]


def wrong_readings(derived):
    """Return the printed formulas whose reading differs from the value of their line."""
    names = {
        "forward": vocabulary(derived, asked=derived.loss),
        "backward": vocabulary(derived, layout=derived.layout, asked=derived.loss),
    }
    cases = []
    for kind, text, line in printed(derived):
        truth = wanted_value(derived, kind, line)
        reading = read(text, names[kind], truth.dtype, truth.shape)
        nodes = [reading.node]
        if repeats(reading.tree, names[kind]):
            other = read(text, names[kind], truth.dtype, truth.shape, recall=True)
            nodes.append(other.node)
        cases.append((text, truth, nodes))
    return [
        text
        for (text, *_), fits in zip(cases, right_at_points(derived, cases), strict=True)
        if not fits
    ]


def wanted_value(derived, kind, line):
    """Return the value of a line in the shape and the layout that it is printed in."""
    value = line.value
    kept = value if value.dtype.is_float else build.cast(value, dtypes.FLOAT64)
    truth = build.reshape(kept, matrix_shape(kept.shape))
    turned = derived.layout == "numerator" and kind == "backward" and truth.rank == 2
    return build.matrix_transpose(truth) if turned else truth


def right_at_points(derived, cases):
    """Return whether one of the nodes of each case has the value of its truth at all points."""
    every = [node for _, truth, nodes in cases for node in (truth, *nodes)]
    roots = list(dict.fromkeys([derived.loss, *every]))
    precise = Precise(roots, run, value_sampler(0), derived.loss)
    fits = [[True] * len(nodes) for *_, nodes in cases]
    compared = 0
    for _ in range(3):
        values = iter(precise.values([precise[node] for node in every], precise.draw()))
        for case, own in zip(cases, fits, strict=True):
            truth = np.asarray(next(values))
            found = [np.asarray(next(values)) for _ in case[2]]
            if not all(np.isfinite(value).all() for value in (truth, *found)):
                continue
            compared += 1
            own[:] = [a and agrees(b, truth) for a, b in zip(own, found, strict=True)]
    assert compared > len(cases)
    return [any(own) for own in fits]


def agrees(found, truth):
    if found.size == truth.size == 1:
        found = found.reshape(truth.shape)
    return found.shape == truth.shape and np.allclose(
        found, truth, rtol=1e-5, atol=1e-9, equal_nan=True
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_printed_lines_are_read_back(name):
    derived = NETWORKS[name]().derived
    assert not wrong_readings(derived)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("layout", "detail"), DETAILS)
def test_printed_lines_of_every_layout_and_detail_are_read_back(name, layout, detail):
    derived = NETWORKS[name]().derived
    loss, _ = without_target_checks(derived.loss, {})
    assert not wrong_readings(
        Deriver(loss, derived.wrt, derived.names, layout, detail).derive()
    )
