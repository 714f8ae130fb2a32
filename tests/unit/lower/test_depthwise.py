"""Convolutions of few channels a group: values and both gradients beside PyTorch, bits beside another thread."""

from __future__ import annotations

import numpy as np
import pytest

from deltarule.graph import build
from deltarule.graph.program import Program
from deltarule.lower.loops import Contraction
from deltarule.lower.lower import lower
from deltarule.runtime.devices import backend
from deltarule.tensor.tensor import Tensor, symbol
from deltarule.tensor.transforms import grad
from support.oracles import torch

# batch, spatial sizes, groups, outputs and inputs a group, kernel, stride, dilation, padding, type
CASES = [
    (2, (9, 12), 16, 1, 1, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), "float32"),
    (3, (7, 7), 40, 1, 1, (5, 5), (1, 1), (1, 1), ((2, 2), (2, 2)), "float32"),
    (2, (11, 8), 33, 1, 1, (3, 3), (2, 2), (1, 1), ((1, 1), (1, 1)), "float32"),
    (2, (11, 9), 8, 1, 1, (3, 2), (3, 1), (2, 3), ((0, 2), (3, 1)), "float64"),
    (2, (8, 8), 6, 2, 1, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), "float32"),
    (1, (8, 5), 5, 3, 2, (2, 3), (2, 1), (1, 2), ((0, 1), (2, 2)), "float64"),
    (2, (6, 6), 4, 1, 2, (3, 3), (1, 2), (1, 1), ((1, 1), (0, 0)), "float32"),
    (2, (40,), 17, 1, 1, (9,), (1,), (1,), ((4, 4),), "float32"),
    (2, (33,), 3, 2, 2, (4,), (3,), (2,), ((0, 3),), "float64"),
    (2, (5, 6, 4), 16, 1, 1, (3, 3, 3), (1, 1, 1), (1, 1, 1), ((1, 1),) * 3, "float32"),
    (
        1,
        (5, 6, 7),
        2,
        2,
        1,
        (2, 1, 3),
        (1, 2, 3),
        (2, 1, 1),
        ((1, 0), (0, 0), (1, 1)),
        "float64",
    ),
    # the border in place, without a copy: blocks of columns, partial vectors, strides whose signals are spread
    (1, (9, 96), 36, 1, 1, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), "float32"),
    (2, (6, 56), 64, 1, 1, (3, 3), (1, 2), (1, 1), ((1, 1), (1, 1)), "float32"),
    (1, (8, 10), 20, 1, 1, (3, 3), (2, 2), (1, 1), ((0, 1), (0, 1)), "float64"),
    (1, (13, 11), 12, 1, 1, (4, 5), (3, 2), (1, 1), ((2, 2), (3, 1)), "float32"),
    (2, (9, 7), 8, 1, 1, (3, 3), (2, 3), (2, 2), ((2, 2), (4, 4)), "float32"),
    (1, (3, 2), 9, 1, 1, (3, 3), (1, 1), (3, 1), ((3, 3), (1, 1)), "float32"),
    (1, (50,), 24, 1, 1, (5,), (2,), (1,), ((2, 2),), "float32"),
    (1, (1, 1), 4, 1, 1, (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), "float32"),
    (
        2,
        (9, 9),
        3,
        1,
        1,
        (9, 9),
        (1, 1),
        (1, 1),
        ((4, 4), (4, 4)),
        "float64",
    ),  # more places than are written out
]


def _random(case):  # type: ignore[no-untyped-def]
    batch, sizes, groups, outputs, inputs, kernel, stride, dilation, padding, kind = (
        case
    )
    random = np.random.default_rng(len(sizes) + groups)
    out = [
        (size + sum(around) - reach * (width - 1) - 1) // step + 1
        for size, around, reach, width, step in zip(
            sizes, padding, dilation, kernel, stride, strict=True
        )
    ]
    shapes = (
        (batch, *sizes, groups * inputs),
        (groups * outputs, *kernel, inputs),
        (batch, *out, groups * outputs),
    )
    return [random.normal(size=shape).astype(kind) for shape in shapes]


def _program(case, x, w, y) -> Program:  # type: ignore[no-untyped-def]
    _, _, groups, _, _, _, stride, dilation, padding, kind = case
    image, weight, signal = (
        symbol(name, a.shape, kind) for name, a in zip("xwy", (x, w, y), strict=True)
    )
    out = Tensor(
        build.convolve(image.node, weight.node, stride, padding, dilation, groups)
    )
    outputs = [out, *grad((out * signal).sum(), [image, weight])]
    return Program(
        (image.node, weight.node, signal.node), tuple(result.node for result in outputs)
    )


def _expected(case, x, w, y):  # type: ignore[no-untyped-def]
    _, sizes, groups, _, _, _, stride, dilation, padding, _ = case
    image, weight, signal = (
        torch.from_numpy(a.astype(np.float64)).movedim(-1, 1).clone() for a in (x, w, y)
    )
    image.requires_grad_()
    weight.requires_grad_()
    padded = torch.nn.functional.pad(
        image, [n for around in reversed(padding) for n in around]
    )
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[len(sizes) - 1]
    out = convolve(padded, weight, None, stride, 0, dilation, groups)
    (out * signal).sum().backward()
    return [t.detach().movedim(1, -1).numpy() for t in (out, image.grad, weight.grad)]


@pytest.mark.parametrize(
    "case",
    CASES,
    ids=lambda case: "-".join(map(str, (case[1], *case[2:8]))).replace(" ", ""),
)
def test_values_and_gradients(case) -> None:  # type: ignore[no-untyped-def]
    arrays = _random(case)
    program = _program(case, *arrays)
    found = backend("cpu").compile(program, 1)(*arrays)
    bound = 2e-6 if case[-1] == "float32" else 1e-13
    for value, expected in zip(found, _expected(case, *arrays), strict=True):
        assert value.shape == expected.shape
        assert np.abs(value - expected).max() <= bound * max(
            1.0, np.abs(expected).max()
        )
    for threads in (2, 3) if case[3] == case[4] == 1 else ():
        for value, again in zip(
            found, backend("cpu").compile(program, threads)(*arrays), strict=True
        ):
            np.testing.assert_array_equal(value, again)


def test_depthwise_is_no_matrix_product_of_one_column() -> None:
    arrays = _random(CASES[0])
    statements = lower(_program(CASES[0], *arrays)).program.statements
    assert not any(isinstance(statement, Contraction) for statement in statements)


def test_padding_is_not_copied() -> None:
    for case in CASES[:3]:
        statements = lower(_program(case, *_random(case))).program.statements
        assert not any("pad" in statement.label for statement in statements)


def test_many_kinds_of_border_places_are_copied() -> None:
    case = (
        1,
        (9, 9),
        8,
        1,
        1,
        (7, 7),
        (1, 1),
        (1, 1),
        ((3, 3), (3, 3)),
        "float32",
    )
    statements = lower(_program(case, *_random(case))).program.statements
    assert any("pad" in statement.label for statement in statements)


@pytest.mark.parametrize("stride", [1, 2])
def test_products_of_padding_with_infinite_weights_are_no_numbers(stride: int) -> None:
    around = ((1, 1), (1, 1))
    case = (1, (6, 8), 8, 1, 1, (3, 3), (stride,) * 2, (1, 1), around, "float32")
    x, w, y = _random(case)
    w[0, 0, 1, 0], w[3, 2, 2, 0] = np.inf, np.nan
    whole = _program(case, x, w, y)
    program = Program(whole.inputs, whole.outputs[:1])
    (found,) = backend("cpu").compile(program, 1)(x, w, y)
    (expected,) = backend("reference").compile(program)(x, w, y)
    assert np.isnan(found[..., 0]).any() and not np.isnan(found[..., 0]).all()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_wide_groups_stay_matrix_products() -> None:
    case = (2, (6, 6), 2, 8, 8, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), "float32")
    statements = lower(_program(case, *_random(case))).program.statements
    assert sum(isinstance(statement, Contraction) for statement in statements) == 3
