"""Native random numbers against the backends' definition in NumPy, to the bit."""

from __future__ import annotations

import ctypes
import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltarule.backends.native.llvm.compiler import compile_modules, compile_objects
from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.llvm.machine import TARGETS, host, runs_here
from deltarule.backends.native.loops.random import Key, emit_uniform, uniform_at
from deltarule.backends.threefry import uniform

RUNNABLE = [name for name in TARGETS if runs_here(host(name))]
SIGNATURE = "ptr %out, i64 %begin, i64 %end, i32 %seed, i32 %stream, i32 %step"
TYPES = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, *[ctypes.c_uint32] * 3]


def module_for(machine, dtype):
    module = Module(machine)
    name = emit_uniform(module, dtype)
    module.add(
        "whole",
        f"define void @whole({SIGNATURE}) {{\n  call void @{name}({SIGNATURE})\n  ret void\n}}\n",
    )
    e = Emitter(module)
    width = machine.lanes(dtype)
    with e.loop("%begin", "%end", width) as index:
        value = uniform_at(e, Key("%seed", "%stream", "%step"), index, dtype, width)
        e.store(dtype, value, e.address(dtype, "%out", index), width)
    e.emit("ret void")
    module.add("vectors", e.function(f"void @vectors({SIGNATURE})"))
    return module.text()


@functools.cache
def library(target, dtype):
    machine = host(target)
    return compile_modules([module_for(machine, dtype)], machine, cache="off")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", RUNNABLE)
@given(
    st.integers(0, 150),
    st.integers(0, 150),
    st.tuples(*[st.integers(0, 2**32 - 1)] * 3),
)
def test_any_range_of_the_sequence(target, dtype, begin, length, key):
    seed, stream, step = key
    call = library(target, dtype).function("whole", None, *TYPES)
    out = np.full(320, -1, dtype)
    call(out.ctypes.data, begin, begin + length, seed, stream, step)
    wanted = np.full(320, -1, dtype)
    wanted[begin : begin + length] = uniform(320, seed, step, stream, dtype)[
        begin : begin + length
    ]
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", RUNNABLE)
def test_single_vectors_anywhere(target, dtype):
    call = library(target, dtype).function("vectors", None, *TYPES)
    out = np.full(640, -1, dtype)
    call(out.ctypes.data, 7, 600, 42, 3, 99)
    wanted = uniform(640, 42, 99, 3, dtype)
    np.testing.assert_array_equal(out[7:600], wanted[7:600])


def test_neon_compiles():
    machine = host("neon")
    for dtype in ("float32", "float64"):
        assert compile_objects([module_for(machine, dtype)], machine, cache="off")[0]
