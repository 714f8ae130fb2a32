"""Reading of printed formulas: each has the value of the line that it is printed for."""

from __future__ import annotations

import numpy as np

from deltarule import dtypes
from deltarule.explain.formula.term import matrix_shape
from deltarule.explain.page import index_notation, page
from deltarule.explain.page.numerator_layout import in_layout
from deltarule.explain.proof.proof import Precise
from deltarule.explain.reading.printed import repeats
from deltarule.explain.reading.reader import read
from deltarule.explain.reading.vocabulary import vocabulary
from deltarule.graph import build
from deltarule.render.mathematics import to_latex, to_text
from deltarule.tensor.explain import run, value_sampler


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
    precise = Precise(roots, run, value_sampler(0), derived.loss, derived.assumed)
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
