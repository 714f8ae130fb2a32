"""Convolutions over kernel × stride × padding × dilation × groups × type: values and both gradients on every engine."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from deltarule import dtypes, shapes
from deltarule.dtypes import DType
from deltarule.errors import ShapeError
from deltarule.graph import build
from deltarule.graph.node import Node
from support.fuzz.case import Array, Case
from support.fuzz.isolate import fault

KERNELS, STRIDES, DILATIONS = (1, 2, 3, 5), (1, 2, 3, 5), (1, 2, 3)
PADDINGS = ((0, 0), (1, 1), (2, 0), (2, 3))
CHANNELS = {
    1: (1, 3, 2),
    2: (2, 4, 6),
    4: (4, 4, 4),
}  # groups → groups, channels in and out; the last is depthwise
IMAGES = {1: (13,), 2: (9, 6), 3: (5, 4, 6)}


@dataclass(frozen=True)
class Geometry:
    """One convolution; each axis gets another of the sizes where there are several."""

    rank: int
    kernel: int
    stride: int
    padding: tuple[int, int]
    dilation: int
    groups: int

    def shapes(
        self,
    ) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, object]] | None:
        """Return the shapes of image and weight and the other arguments; None where the kernel does not fit."""
        kernel = [self.kernel, max(1, self.kernel - 1), 2][: self.rank]
        stride = [self.stride, max(1, self.stride - 1), 1][: self.rank]
        padding = [self.padding, self.padding[::-1], (1, 0)][: self.rank]
        dilation = [self.dilation, 1, 1][: self.rank]
        groups, channels, outputs = CHANNELS[self.groups]
        image = (2, *IMAGES[self.rank], channels)
        weight = (outputs, *kernel, channels // groups)
        options = {
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
        }
        try:
            shapes.convolved(image, weight, stride, padding, dilation, groups, "")
        except ShapeError:
            return None
        return image, weight, options


def geometries(rank: int, kernel: int) -> list[Geometry]:
    """Return every convolution of a rank and a kernel that fits."""
    every = itertools.product(STRIDES, PADDINGS, DILATIONS, CHANNELS)
    found = [
        Geometry(rank, kernel, stride, padding, dilation, groups)
        for stride, padding, dilation, groups in every
    ]
    return [geometry for geometry in found if geometry.shapes() is not None]


def _case(several: list[Geometry], kind: DType) -> Case:
    """Return a program of several convolutions with the gradients of a weighted sum in images and weights."""
    generator = np.random.default_rng(len(several))
    values: dict[Node, Array] = {}

    def given(shape: tuple[int, ...]) -> Node:
        node = build.input_node(f"x{len(values)}", shape, kind)
        values[node] = generator.normal(size=shape).astype(kind.name)
        return node

    results: list[tuple[Node, Node | None]] = []
    wrt: list[Node] = []
    for geometry in several:
        image, weight, options = geometry.shapes()  # type: ignore[misc]
        x, w = given(image), given(weight)
        y = build.convolve(x, w, **options)  # type: ignore[arg-type]
        wrt += [x, w]
        results.append((y, given(y.shape)))
    return Case(values, results, wrt, 1)


def _agree(several: list[Geometry], kind: DType) -> None:
    for first in range(0, len(several), 6):  # programs of moderate length
        part = several[first : first + 6]
        if fault(_case(part, kind)):
            faults = {geometry: fault(_case([geometry], kind)) for geometry in part}
            pytest.fail(
                f"{ {g: text for g, text in faults.items() if text} or fault(_case(part, kind)) }",
                pytrace=False,
            )


@pytest.mark.parametrize("kind", [dtypes.FLOAT32, dtypes.FLOAT64], ids=str)
@pytest.mark.parametrize("rank", IMAGES)
def test_a_part_of_all_convolutions(rank: int, kind: DType) -> None:
    every = [geometry for kernel in KERNELS for geometry in geometries(rank, kernel)]
    _agree(every[(5 if kind is dtypes.FLOAT32 else 0) :: 29], kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [dtypes.FLOAT32, dtypes.FLOAT64], ids=str)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("rank", IMAGES)
def test_all_convolutions(rank: int, kernel: int, kind: DType) -> None:
    _agree(geometries(rank, kernel), kind)


def test_there_are_convolutions_of_every_kind() -> None:
    every = [
        geometry
        for rank in IMAGES
        for kernel in KERNELS
        for geometry in geometries(rank, kernel)
    ]
    assert len(every) > 1_200
    for name, wanted in (
        ("kernel", KERNELS),
        ("stride", STRIDES),
        ("padding", PADDINGS),
        ("dilation", DILATIONS),
        ("groups", CHANNELS),
    ):
        assert {getattr(geometry, name) for geometry in every[::29]} == set(wanted)
