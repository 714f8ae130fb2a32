"""Panel layouts and layer contractions against NumPy's products and torch's convolutions in float64."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from panels import (
    Convolution,
    Images,
    PanelLayout,
    dense_forward,
    dense_input_gradient,
    dense_weight_gradient,
)

from deltarule.backends.native.contraction.contraction import (
    emit_contraction,
    schedule_contraction,
)
from deltarule.backends.native.llvm.compiler import compile_modules
from deltarule.backends.native.llvm.machine import TARGETS, host, runs_here
from deltarule.errors import ShapeError
from support.oracles import torch

RUNNABLE = [name for name in TARGETS if runs_here(host(name))]
TYPES = [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 4 + [ctypes.c_void_p]


@pytest.fixture(params=RUNNABLE)
def machine(request):
    return host(request.param)


def run(spec, machine, a, b, c):
    schedule = schedule_contraction(spec, machine, scratch=True)
    assert schedule is not None, "a layer must run as tiles"
    text = emit_contraction(spec, machine, "kernel", schedule=schedule, scratch=True)
    module = f'target triple = "{machine.triple}"\n{text}'
    call = compile_modules([module], machine, cache="off").function(
        "kernel", None, *TYPES
    )
    memory = np.zeros(schedule.scratch_bytes + 64, np.uint8)
    scratch = memory.ctypes.data + -memory.ctypes.data % 64
    call(
        a.ctypes.data,
        b.ctypes.data,
        c.ctypes.data,
        None,
        0,
        spec.rows,
        0,
        spec.columns,
        scratch,
    )


@given(st.integers(1, 50), st.integers(1, 9))
def test_packing_and_unpacking(outputs, inputs):
    layout = PanelLayout(outputs, inputs)
    weight = np.arange(outputs * inputs, dtype=np.float32).reshape(outputs, inputs) + 1
    panels = layout.pack(weight)
    assert panels.shape == (layout.size,)
    np.testing.assert_array_equal(layout.unpack(panels), weight)
    assert panels.sum() == weight.sum()  # padding is zero
    assert panels[layout.offset(outputs - 1, inputs - 1)] == weight[-1, -1]


def test_wrong_shapes_are_refused():
    with pytest.raises(ShapeError, match="expected shape"):
        PanelLayout(3, 4).pack(np.zeros((4, 3)))
    with pytest.raises(ShapeError, match="expected 16 elements"):
        PanelLayout(3, 4).unpack(np.zeros(12))
    with pytest.raises(ShapeError, match="phase_input_gradients"):
        Convolution(1, 2, 2, (3, 3), 1, 1, (2, 2)).input_gradient(
            Images(1, 1, 1), Images(1, 1, 1), 4, 4
        )
    with pytest.raises(ShapeError, match="dilation"):
        Convolution(1, 2, 2, (3, 3), 1, 1, dilation=(2, 2)).phase_input_gradients(
            Images(1, 1, 1), Images(1, 1, 1), 4, 4
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape",
    [(32, 64, 30), (7, 10, 33), (5, 1, 64), (3, 5, 1), (64, 7, 12), (1, 100, 16)],
)
def test_dense_layers(machine, shape, dtype):
    rows, outputs, inputs = shape
    rng = np.random.default_rng(0)
    layout = PanelLayout(outputs, inputs)
    weight = rng.standard_normal((outputs, inputs)).astype(dtype)
    packed = layout.pack(weight)
    x = np.full((rows, inputs + 3), np.nan, dtype)
    x[:, :inputs] = rng.standard_normal((rows, inputs))
    dy = np.zeros((rows, layout.padded_outputs), dtype)
    dy[:, :outputs] = rng.standard_normal((rows, outputs))
    tolerance = {"float32": 1e-4, "float64": 1e-12}[dtype]

    y = np.full((rows, layout.padded_outputs), np.nan, dtype)
    run(
        dense_forward(rows, layout, x.shape[1], y.shape[1], dtype),
        machine,
        x,
        packed,
        y,
    )
    np.testing.assert_allclose(y[:, :outputs], x[:, :inputs] @ weight.T, atol=tolerance)
    assert np.all(y[:, outputs:] == 0)

    dx = np.full((rows, inputs + 3), np.nan, dtype)
    run(
        dense_input_gradient(rows, layout, dy.shape[1], dx.shape[1], dtype),
        machine,
        dy,
        packed,
        dx,
    )
    np.testing.assert_allclose(dx[:, :inputs], dy[:, :outputs] @ weight, atol=tolerance)
    assert np.all(np.isnan(dx[:, inputs:]))

    dw = np.full(layout.size, np.nan, dtype)
    run(
        dense_weight_gradient(rows, layout, x.shape[1], dy.shape[1], dtype),
        machine,
        x,
        dy,
        dw,
    )
    np.testing.assert_allclose(
        layout.unpack(dw), dy[:, :outputs].T @ x[:, :inputs], atol=tolerance
    )


def bordered(images, border):
    """Return channels-last images (n, h, w, c) in memory with a border of zeros, flat, and their strides."""
    n, height, width, channels = images.shape
    tall, wide = height + 2 * border, width + 2 * border
    memory = np.zeros((n, tall, wide, channels), images.dtype)
    memory[:, border : border + height, border : border + width] = images
    strides = (tall * wide * channels, wide * channels, channels)
    return memory.reshape(-1), strides, border * (strides[1] + strides[2])


CASES = [  # images, size, kernel, channels, filters, stride, dilation, padding
    (2, (6, 7), (3, 3), 3, 16, (1, 1), (1, 1), 1),
    (1, (8, 8), (5, 5), 4, 6, (1, 1), (1, 1), 0),
    (2, (9, 8), (3, 3), 16, 20, (2, 2), (1, 1), 1),
    (2, (9, 9), (2, 3), 2, 5, (3, 2), (1, 1), 2),
    (1, (7, 7), (1, 1), 8, 32, (2, 2), (1, 1), 0),
    (1, (10, 9), (3, 3), 5, 16, (1, 1), (2, 2), 2),
]


@pytest.mark.parametrize("case", CASES)
def test_convolution_layers(machine, case):
    images, size, kernel, channels, filters, stride, dilation, padding = case
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, *size, channels)).astype(np.float32)
    weight = rng.standard_normal((filters, *kernel, channels)).astype(np.float32)
    inputs = torch.from_numpy(x).double().permute(0, 3, 1, 2).requires_grad_()
    weights = torch.from_numpy(weight).double().permute(0, 3, 1, 2).requires_grad_()
    out = torch.conv2d(inputs, weights, None, stride, padding, dilation)
    height, width = out.shape[2:]
    dy = rng.standard_normal((images, height, width, filters)).astype(np.float32)
    wanted = torch.autograd.grad(
        out, (inputs, weights), torch.from_numpy(dy).double().permute(0, 3, 1, 2)
    )

    convolution = Convolution(
        images, height, width, kernel, channels, filters, stride, dilation
    )
    layout = convolution.layout
    packed = layout.pack(weight.reshape(filters, -1))
    memory, strides, _ = bordered(x, padding)
    source = Images(*strides)
    padded = layout.padded_outputs
    target = Images(height * width * padded, width * padded, padded)
    y = np.full((images, height, width, padded), np.nan, np.float32)
    run(convolution.forward(source, target), machine, memory, packed, y)
    np.testing.assert_allclose(
        y[..., :filters], out.detach().permute(0, 2, 3, 1), atol=1e-4
    )

    wide = np.zeros((images, height, width, padded), np.float32)
    wide[..., :filters] = dy
    dw = np.full(layout.size, np.nan, np.float32)
    run(
        convolution.weight_gradient(source, target),
        machine,
        memory,
        wide.reshape(-1),
        dw,
    )
    found = layout.unpack(dw).reshape(weight.shape)
    np.testing.assert_allclose(found, wanted[1].permute(0, 2, 3, 1), atol=1e-3)

    border = 12
    memory, (image, row, pixel), corner = bordered(wide, border)
    dx = np.full(x.shape, np.nan, np.float32)
    result = Images(size[0] * size[1] * channels, size[1] * channels, channels)
    if stride == (1, 1):
        seen = Images(image, row, pixel, corner + padding * (row + pixel))
        specs = [convolution.input_gradient(seen, result, *size)]
    else:  # the phases are those of the padded input, so its border is written too
        whole = (size[0] + 2 * padding, size[1] + 2 * padding)
        dx = np.full((images, *whole, channels), np.nan, np.float32)
        result = Images(whole[0] * whole[1] * channels, whole[1] * channels, channels)
        specs = convolution.phase_input_gradients(
            Images(image, row, pixel, corner), result, *whole
        )
    for spec in specs:
        run(spec, machine, memory, packed, dx)
    inside = (
        dx[:, padding : padding + size[0], padding : padding + size[1]]
        if stride != (1, 1)
        else dx
    )
    np.testing.assert_allclose(inside, wanted[0].permute(0, 2, 3, 1), atol=1e-3)
