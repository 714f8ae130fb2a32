"""Tiled contractions against the definition, evaluated by NumPy in float64 over every index."""

from __future__ import annotations

import ctypes
import functools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltarule.backends.native.contraction.contraction import emit_contraction
from deltarule.backends.native.contraction.specification import (
    ContractionIndex,
    ContractionSpec,
)
from deltarule.backends.native.contraction.tiling import Schedule, schedule_contraction
from deltarule.backends.native.llvm.compiler import compile_modules, compile_objects
from deltarule.backends.native.llvm.emitter import Emitter, Module, number
from deltarule.backends.native.llvm.machine import TARGETS, Machine, host, runs_here
from deltarule.errors import ArgumentError

RUNNABLE = [name for name in TARGETS if runs_here(host(name))]
EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}


class Kernel:
    """A compiled contraction."""

    def __init__(self, spec, machine, epilogue=None, scratch=True):
        self.spec = spec
        self.schedule: Schedule | None = schedule_contraction(spec, machine, scratch)
        text = emit_contraction(
            spec, machine, "kernel", epilogue, schedule=self.schedule, scratch=scratch
        )
        library = compile_modules(
            [f'target triple = "{machine.triple}"\n{text}'], machine, cache="off"
        )
        pointers = (
            [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 4 + [ctypes.c_void_p] * scratch
        )
        self._call = library.function("kernel", None, *pointers)
        self._scratch = scratch

    def __call__(self, a, b, c, context=None, part=None):
        rows = part or (0, self.spec.rows, 0, self.spec.columns)
        size = self.schedule.scratch_bytes if self.schedule else 0
        memory = np.full(
            size + 64, 0xFF, np.uint8
        )  # NaN: stale scratch must not leak into results
        skip = -memory.ctypes.data % 64
        scratch = (memory.ctypes.data + skip,) if self._scratch else ()
        address = context.ctypes.data if context is not None else None
        self._call(
            a.ctypes.data, b.ctypes.data, c.ctypes.data, address, *rows, *scratch
        )


def grid(indices, stride, offset):
    """Return positions over the product of the indices, flattened."""
    total = np.zeros(1, np.int64)
    for index in indices:
        total = (
            total[:, None] + np.arange(index.extent) * getattr(index, stride)
        ).reshape(-1)
    return total + offset


def expected(spec, a, b, c):
    """Return C after the contraction, in float64, by the definition."""
    batch, m, n, k = (
        spec.group(getattr(spec, name))
        for name in ("batch", "free_m", "free_n", "reduce")
    )
    batches = int(np.prod([index.extent for index in batch], dtype=np.int64))
    a_at = grid((*batch, *m, *k), "a_stride", spec.a_offset)
    b_at = grid((*batch, *n, *k), "b_stride", spec.b_offset)
    c_at = grid((*batch, *m, *n), "c_stride", spec.c_offset)
    rows = spec.rows // max(batches, 1)
    left = a.astype(np.float64)[a_at].reshape(batches, rows, spec.depth)
    right = b.astype(np.float64)[b_at].reshape(batches, spec.columns, spec.depth)
    product = np.einsum("bmk,bnk->bmn", left, right).reshape(-1)
    scale = np.einsum("bmk,bnk->bmn", abs(left), abs(right)).reshape(-1)
    result = c.astype(np.float64)
    result[c_at] = product + (result[c_at] if spec.accumulate else 0)
    bound = np.zeros(c.shape)
    bound[c_at] = scale + abs(result[c_at])
    return result, bound


def arrays(spec, seed=0):
    rng = np.random.default_rng(seed)

    def one(stride, offset):
        reach = sum(
            max(index.extent - 1, 0) * max(getattr(index, stride), 0)
            for index in spec.indices
        )
        return rng.standard_normal(offset + reach + 1).astype(spec.dtype)

    return (
        one("a_stride", spec.a_offset),
        one("b_stride", spec.b_offset),
        one("c_stride", spec.c_offset),
    )


def check(spec, machine, scratch=True, seed=0):
    a, b, c = arrays(spec, seed)
    wanted, bound = expected(spec, a, b, c)
    Kernel(spec, machine, scratch=scratch)(a, b, c)
    error = np.abs(c - wanted)
    assert np.all(error <= (2 + spec.depth) * EPSILON[spec.dtype] * bound), float(
        error.max()
    )


def matmul(m, n, k, *, transpose_a=False, transpose_b=False, batch=0, **options):
    """Return C[m, n] = Σ A[m, k]·B[k, n] over row-major arrays, either of them transposed, in a batch or not."""
    a = (1, m) if transpose_a else (k, 1)
    b = (1, k) if transpose_b else (n, 1)
    indices = [
        ContractionIndex("m", m, a[0], 0, n),
        ContractionIndex("n", n, 0, b[1], 1),
        ContractionIndex("k", k, a[1], b[0], 0),
    ]
    if transpose_b:
        indices[1:] = [
            ContractionIndex("n", n, 0, k, 1),
            ContractionIndex("k", k, a[1], 1, 0),
        ]
    if batch:
        indices.append(ContractionIndex("b", batch, m * k, k * n, m * n))
    groups = {
        "free_m": ("m",),
        "free_n": ("n",),
        "reduce": ("k",),
        "batch": ("b",) if batch else (),
    }
    return ContractionSpec(tuple(indices), **groups, **options)


def convolution(n, height, width, kernel, channels, filters):
    """Return the forward pass over padded images, channels last; weights (ky, kx, channels, filters)."""
    rows, columns = height + kernel - 1, width + kernel - 1
    return ContractionSpec(
        (
            ContractionIndex(
                "n", n, rows * columns * channels, 0, height * width * filters
            ),
            ContractionIndex("y", height, columns * channels, 0, width * filters),
            ContractionIndex("x", width, channels, 0, filters),
            ContractionIndex("f", filters, 0, 1, 1),
            ContractionIndex(
                "ky", kernel, columns * channels, kernel * channels * filters, 0
            ),
            ContractionIndex("kx", kernel, channels, channels * filters, 0),
            ContractionIndex("c", channels, 1, filters, 0),
        ),
        free_m=("n", "y", "x"),
        free_n=("f",),
        reduce=("ky", "kx", "c"),
    )


def convolution_weights(n, height, width, kernel, channels, filters):
    """Return the gradient with respect to the weights: rows (ky, kx, c), columns f, summed over n, y and x."""
    rows, columns = height + kernel - 1, width + kernel - 1
    return ContractionSpec(
        (
            ContractionIndex(
                "ky", kernel, columns * channels, 0, kernel * channels * filters
            ),
            ContractionIndex("kx", kernel, channels, 0, channels * filters),
            ContractionIndex("c", channels, 1, 0, filters),
            ContractionIndex("f", filters, 0, 1, 1),
            ContractionIndex(
                "n", n, rows * columns * channels, height * width * filters, 0
            ),
            ContractionIndex("y", height, columns * channels, width * filters, 0),
            ContractionIndex("x", width, channels, filters, 0),
        ),
        free_m=("ky", "kx", "c"),
        free_n=("f",),
        reduce=("n", "y", "x"),
    )


def convolution_inputs(n, height, width, kernel, channels, filters):
    """Return the gradient with respect to the inputs: padded dy against the flipped kernel, columns c strided."""
    rows, columns = height + kernel - 1, width + kernel - 1
    last = (kernel * kernel - 1) * channels * filters
    return ContractionSpec(
        (
            ContractionIndex(
                "n", n, rows * columns * filters, 0, height * width * channels
            ),
            ContractionIndex("y", height, columns * filters, 0, width * channels),
            ContractionIndex("x", width, filters, 0, channels),
            ContractionIndex("c", channels, 0, filters, 1),
            ContractionIndex(
                "ky", kernel, columns * filters, -kernel * channels * filters, 0
            ),
            ContractionIndex("kx", kernel, filters, -channels * filters, 0),
            ContractionIndex("f", filters, 1, 1, 0),
        ),
        free_m=("n", "y", "x"),
        free_n=("c",),
        reduce=("ky", "kx", "f"),
        b_offset=last,
    )


def panels(m, n, k):
    """Return the forward product with weights in panels [n/16][k][16]."""
    return ContractionSpec(
        (
            ContractionIndex("m", m, k, 0, n),
            ContractionIndex("outer", n // 16, 0, 16 * k, 16),
            ContractionIndex("inner", 16, 0, 1, 1),
            ContractionIndex("k", k, 1, 16, 0),
        ),
        free_m=("m",),
        free_n=("outer", "inner"),
        reduce=("k",),
    )


def panels_backward(m, n, k):
    """Return dX[m, k] = Σ dY[m, n]·W[n, k] through weights in panels."""
    return ContractionSpec(
        (
            ContractionIndex("m", m, n, 0, k),
            ContractionIndex("k", k, 0, 16, 1),
            ContractionIndex("outer", n // 16, 16, 16 * k, 0),
            ContractionIndex("inner", 16, 1, 1, 0),
        ),
        free_m=("m",),
        free_n=("k",),
        reduce=("outer", "inner"),
    )


def panels_gradient(m, n, k):
    """Return dW[n, k] = Σ dY[m, n]·X[m, k], written into panels."""
    return ContractionSpec(
        (
            ContractionIndex("k", k, 1, 0, 16),
            ContractionIndex("outer", n // 16, 0, 16, 16 * k),
            ContractionIndex("inner", 16, 0, 1, 1),
            ContractionIndex("m", m, k, n, 0),
        ),
        free_m=("k",),
        free_n=("outer", "inner"),
        reduce=("m",),
    )


@pytest.fixture(params=RUNNABLE)
def machine(request) -> Machine:
    return host(request.param)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), (14, 32, 3), (29, 33, 65), (3, 100, 7), (40, 1, 9), (1, 40, 12)],
)
@pytest.mark.parametrize(
    "transposes", [(False, False), (True, False), (False, True), (True, True)]
)
def test_matrix_product(machine, shape, transposes, dtype):
    check(
        matmul(
            *shape, transpose_a=transposes[0], transpose_b=transposes[1], dtype=dtype
        ),
        machine,
    )


@given(
    st.tuples(*[st.integers(0, 40)] * 3),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_any_extent(shape, batch, transpose_a, transpose_b, accumulate):
    spec = matmul(
        *shape,
        transpose_a=transpose_a,
        transpose_b=transpose_b,
        batch=batch,
        accumulate=accumulate,
        dtype="float32",
    )
    check(spec, host())


@st.composite
def specs(draw):
    """Return any contraction: indices in any order in each operand, gaps, reversed and repeated elements."""
    groups = {
        "batch": draw(st.lists(st.integers(1, 3), max_size=2)),
        "free_m": draw(st.lists(st.integers(1, 9), max_size=3)),
        "free_n": draw(st.lists(st.integers(1, 36), max_size=2)),
        "reduce": draw(st.lists(st.integers(1, 8), max_size=3)),
    }
    extents = {
        f"{group}{i}": extent
        for group, sizes in groups.items()
        for i, extent in enumerate(sizes)
    }
    strides = {name: [0, 0, 0] for name in extents}
    offsets = [0, 0, 0]
    members = (
        ("batch", "free_m", "reduce"),
        ("batch", "free_n", "reduce"),
        ("batch", "free_m", "free_n"),
    )
    for operand, of in enumerate(members):
        names = [name for name in extents if name.startswith(of)]
        order = names if draw(st.booleans()) else draw(st.permutations(names))
        step = draw(st.sampled_from((1, 1, 1, 2)))
        for name in reversed(order):
            sign = draw(
                st.sampled_from((1, 1, 1, -1) if operand == 2 else (1, 1, 1, 1, -1, 0))
            )
            strides[name][operand] = sign * step
            if sign < 0:
                offsets[operand] += step * (extents[name] - 1)
            step = step * extents[name] + draw(st.sampled_from((0, 0, 0, 1, 16)))
    indices = tuple(
        ContractionIndex(name, extent, *strides[name])
        for name, extent in extents.items()
    )
    names = {
        group: tuple(f"{group}{i}" for i in range(len(sizes)))
        for group, sizes in groups.items()
    }
    options = {
        "dtype": draw(st.sampled_from(("float32", "float64"))),
        "accumulate": draw(st.booleans()),
    }
    a, b, c = offsets
    return ContractionSpec(
        indices, **names, **options, a_offset=a, b_offset=b, c_offset=c
    )


@given(specs(), st.sampled_from(RUNNABLE), st.booleans(), st.integers(0, 99))
def test_any_contraction(spec, target, scratch, seed):
    check(spec, host(target), scratch, seed)


@pytest.mark.slow
@settings(max_examples=1500)
@given(specs(), st.sampled_from(RUNNABLE), st.booleans(), st.integers(0, 99))
def test_very_many_contractions(spec, target, scratch, seed):
    check(spec, host(target), scratch, seed)


@pytest.mark.parametrize("spec", [convolution, convolution_weights, convolution_inputs])
@pytest.mark.parametrize(
    "shape", [(2, 5, 7, 3, 3, 16), (1, 16, 16, 3, 32, 32), (3, 4, 4, 5, 1, 6)]
)
def test_convolution(machine, spec, shape):
    check(spec(*shape), machine)


@pytest.mark.parametrize("spec", [panels, panels_backward, panels_gradient])
@pytest.mark.parametrize("shape", [(64, 128, 80), (5, 16, 33), (31, 48, 16)])
def test_panels(machine, spec, shape):
    check(spec(*shape), machine)


def test_long_reduction_runs_in_blocks(machine):
    spec = matmul(5, 20, 2500)
    schedule = schedule_contraction(spec, machine)
    assert schedule is not None and schedule.reduce_block < 2500
    check(spec, machine)


def test_colliding_rows_are_copied(machine):
    spec = matmul(30, 16 * machine.lanes("float32"), 1024)
    schedule = schedule_contraction(spec, machine, scratch=True)
    assert schedule is not None and schedule.pack_rows == (
        machine.name != "sse"
    )  # whose tiles have two rows
    assert (schedule.scratch_bytes > 0) == schedule.pack_rows
    check(spec, machine)


def test_rows_of_the_second_factor_on_different_pages_are_copied(machine):
    spec = matmul(200, 1500, 40, transpose_a=True)
    schedule = schedule_contraction(spec, machine, scratch=True)
    assert schedule is not None and schedule.pack_columns
    check(spec, machine)


def test_transposed_colliding_factors(machine):
    check(
        matmul(
            30,
            16 * machine.lanes("float32") + 3,
            1536,
            transpose_b=True,
            accumulate=True,
        ),
        machine,
    )


@pytest.mark.parametrize("scratch", [False, True])
def test_strides_of_every_kind(machine, scratch):
    """Negative strides, broadcast operands, gaps, and columns that are not contiguous in C."""
    spec = ContractionSpec(
        (
            ContractionIndex("b", 2, 0, 40, 70),
            ContractionIndex("m", 5, -3, 0, 14),
            ContractionIndex("n", 7, 0, 0, -2),
            ContractionIndex("k", 4, 2, 5, 0),
            ContractionIndex("j", 3, 0, -1, 0),
        ),
        free_m=("m",),
        free_n=("n",),
        reduce=("k", "j"),
        batch=("b",),
        a_offset=20,
        b_offset=6,
        c_offset=15,
        dtype="float64",
        accumulate=True,
    )
    assert schedule_contraction(spec, machine, scratch) is None
    check(spec, machine, scratch)


def test_without_scratch_a_transposed_factor_runs_as_loops(machine):
    spec = matmul(6, 9, 5, transpose_b=True)
    assert schedule_contraction(spec, machine) is None
    check(spec, machine, scratch=False)


def test_an_empty_sum_is_zero_and_an_empty_range_writes_nothing(machine):
    c = np.ones(6, np.float32)
    kernel = Kernel(matmul(2, 3, 0), machine)
    kernel(c, c, c, part=(1, 1, 0, 3))
    assert np.all(c == 1)
    kernel(c, c, c)
    assert np.all(c == 0)


def bias_relu(
    emitter: Emitter, value: str, row: str, column: str, width: int, context: str
) -> str:
    """Add a bias of the column and the number of the row, and cut at zero."""
    dtype = "float32"
    bias = emitter.load(
        dtype, emitter.address(dtype, context, column), width, emitter.lanes
    )
    place = emitter.broadcast(
        dtype, emitter.assign(f"sitofp i64 {row} to float"), width
    )
    total = emitter.binary(
        "fadd", dtype, emitter.binary("fadd", dtype, value, bias, width), place, width
    )
    return emitter.intrinsic("maxnum", dtype, (total, number(0.0, dtype, width)), width)


def long_epilogue(
    emitter: Emitter, value: str, row: str, column: str, width: int, context: str
) -> str:
    """Do the same after 20 additions and subtractions, and subtract the earlier result at the same place."""
    for _ in range(10):
        value = emitter.binary(
            "fadd", "float32", value, number(4.0, "float32", width), width
        )
        value = emitter.binary(
            "fsub", "float32", value, number(4.0, "float32", width), width
        )
    return bias_relu(emitter, value, row, column, width, context)


@pytest.mark.parametrize("epilogue", [bias_relu, long_epilogue])
@pytest.mark.parametrize("depth", [3, 2100])
@pytest.mark.parametrize("batch", [0, 2])
def test_epilogue_runs_once_on_each_result(machine, epilogue, depth, batch):
    spec = matmul(19, 37, depth, batch=batch)
    a, b, c = arrays(spec)
    bias = np.random.default_rng(1).standard_normal(64).astype(np.float32)
    wanted, bound = expected(spec, a, b, c)
    wanted = np.maximum(
        wanted.reshape(-1, 37) + bias[:37] + np.arange(spec.rows)[:, None], 0
    ).reshape(-1)
    Kernel(spec, machine, epilogue)(a, b, c, bias)
    np.testing.assert_array_less(np.abs(c - wanted), 1e-4 + 1e-6 * bound)


def test_epilogue_sees_the_place_in_arrays_laid_out_like_the_result(machine):
    def add_other(emitter, value, row, column, width, context):
        other = emitter.load(
            "float32",
            emitter.address("float32", context, emitter.offset),
            width,
            emitter.lanes,
        )
        return emitter.binary("fadd", "float32", value, other, width)

    spec = panels_gradient(12, 48, 29)
    a, b, c = arrays(spec)
    other = np.arange(c.size, dtype=np.float32)
    wanted, _ = expected(spec, a, b, c)
    Kernel(spec, machine, add_other)(a, b, c, other)
    np.testing.assert_allclose(c, wanted + other, rtol=1e-5, atol=1e-4)


@functools.cache
def _thread_case(name: str):
    builders = {
        "dense": lambda: matmul(67, 130, 1100),
        "batched": lambda: matmul(9, 40, 30, batch=5),
        "images": lambda: convolution(4, 6, 6, 3, 8, 20),
        "weights": lambda: convolution_weights(4, 6, 6, 3, 8, 20),
        "backward": lambda: panels_backward(33, 64, 100),
    }
    return builders[name]()


@pytest.mark.parametrize("by", ["auto", "rows", "columns"])
@pytest.mark.parametrize("name", ["dense", "batched", "images", "weights", "backward"])
def test_bits_are_equal_for_any_number_of_threads(machine, name, by):
    spec = _thread_case(name)
    kernel = Kernel(spec, machine, long_epilogue)
    assert kernel.schedule is not None
    a, b, first = arrays(spec)
    bias = np.ones(256, np.float32)
    kernel(a, b, first, bias)
    for threads in (2, 3, 4):
        c = np.zeros_like(first)
        parts = kernel.schedule.split(threads, by)
        crew = [
            threading.Thread(target=kernel, args=(a, b, c, bias, part))
            for part in parts
        ]
        for member in crew:
            member.start()
        for member in crew:
            member.join()
        written = np.unique(grid(spec.indices, "c_stride", 0))
        np.testing.assert_array_equal(
            c[written].view(np.int32), first[written].view(np.int32)
        )


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 9))
def test_splits_cover_every_element_once(m, n, parts):
    schedule = schedule_contraction(matmul(m, n, 8), host())
    assert schedule is not None
    for by in ("rows", "columns", "auto"):
        seen = np.zeros((m, n), int)
        for row_begin, row_end, column_begin, column_end in schedule.split(parts, by):
            seen[row_begin:row_end, column_begin:column_end] += 1
        assert np.all(seen == 1)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "spec", [matmul(30, 50, 70, transpose_b=True), convolution(1, 6, 6, 3, 3, 20)]
)
def test_every_target_compiles_to_an_object(target, spec):
    foreign = host(target)
    text = emit_contraction(spec, foreign, "kernel", long_epilogue, scratch=True)
    (code,) = compile_objects(
        [f'target triple = "{foreign.triple}"\n{text}'], foreign, cache="off"
    )
    assert b"kernel" in code and len(code) > 1000


def test_equal_specs_give_equal_text():
    spec = matmul(20, 30, 40)
    assert emit_contraction(spec, host(), "kernel") == emit_contraction(
        spec, host(), "kernel"
    )


def test_helpers_go_to_a_given_module_once():
    module = Module(host())
    spec = matmul(20, 30, 40, transpose_b=True)
    first = emit_contraction(spec, host(), "first", module=module, scratch=True)
    second = emit_contraction(spec, host(), "second", module=module, scratch=True)
    text = f"{module.text()}\n{first}\n{second}"
    assert text.count("define internal void @pack.transpose") == 1
    assert compile_objects([text], host(), cache="off")[0]


def test_illegal_specs_are_refused():
    with pytest.raises(ArgumentError, match="each index once"):
        ContractionSpec(
            (ContractionIndex("m", 2, 1, 0, 1),),
            free_m=("m", "m"),
            free_n=(),
            reduce=(),
        )
    with pytest.raises(ArgumentError, match="stride 0 in B"):
        ContractionSpec(
            (ContractionIndex("m", 2, 1, 1, 1),), free_m=("m",), free_n=(), reduce=()
        )
    with pytest.raises(ArgumentError, match="extent of at least 0"):
        ContractionSpec(
            (ContractionIndex("m", -1, 1, 0, 1),), free_m=("m",), free_n=(), reduce=()
        )
    with pytest.raises(ArgumentError, match="float32 or float64"):
        matmul(2, 2, 2, dtype="int32")
