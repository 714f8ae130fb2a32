"""Vector mathematics: float32 against float64 over the whole range, float64 against mpmath; limits of IEEE 754."""

from __future__ import annotations

import ctypes
import functools

import mpmath
import numpy as np
import pytest
import scipy.special

from deltarule.backends.native.llvm.compiler import compile_modules, compile_objects
from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.llvm.machine import TARGETS, host, runs_here
from deltarule.backends.native.mathematics.vector_math import call_math
from deltarule.errors import ArgumentError

RUNNABLE = [name for name in TARGETS if runs_here(host(name))]
ORACLES = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "erf": scipy.special.erf,
    "sin": np.sin,
    "cos": np.cos,
}
EXACT = {name: getattr(mpmath, name) for name in ORACLES}
SPECIAL = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    1.0,
    -1.0,
    -2.0,
    0.5,
    -0.5,
    88.7228,
    88.73,
    -87.4,
    -103.9,
    -104.1,
]
SPECIAL += [1e-45, -1e-45, 1.1754942e-38, 3.4e38, -3.4e38, 16777217.0, -33554432.0]


@functools.cache
def library(target: str, dtype: str, width: int | None = None):
    """Compile all functions as loops over arrays whose length is a multiple of the width."""
    machine = host(target)
    module = Module(machine)
    width = width or machine.lanes(dtype)
    for name in [*ORACLES, "pow"]:
        e = Emitter(module)
        with e.loop(0, "%n", width) as i:
            inputs = ("%x", "%y") if name == "pow" else ("%x",)
            values = tuple(
                e.load(dtype, e.address(dtype, base, i), width) for base in inputs
            )
            e.store(
                dtype,
                call_math(e, name, dtype, values, width),
                e.address(dtype, "%out", i),
                width,
            )
        e.emit("ret void")
        module.add(name, e.function(f"void @{name}(ptr %x, ptr %y, ptr %out, i64 %n)"))
    return compile_modules([module.text()], machine, cache="off")


def evaluate(target, name, *arrays, width=None):
    """Return the function of arrays of any one length."""
    dtype = str(arrays[0].dtype)
    size = -(-arrays[0].size // 64) * 64
    padded = [np.ones(size, dtype) for _ in arrays]
    for whole, part in zip(padded, arrays, strict=True):
        whole[: part.size] = part
    out = np.empty(size, dtype)
    call = library(target, dtype, width).function(
        name, None, *[ctypes.c_void_p] * 3, ctypes.c_int64
    )
    call(padded[0].ctypes.data, padded[-1].ctypes.data, out.ctypes.data, size)
    return out[: arrays[0].size]


def ulps(found, wanted):
    """Return errors of float32 results in units of the last place; infinite where kinds (NaN, ∞, sign) differ."""
    rounded = wanted.astype(np.float32)
    unit = np.spacing(np.maximum(np.abs(rounded), np.finfo(np.float32).tiny)).astype(
        np.float64
    )
    error = np.abs(found.astype(np.float64) - wanted) / unit
    finite = np.isfinite(rounded)
    same = np.where(np.isnan(rounded), np.isnan(found), found == rounded)
    error = np.where(finite, error, np.where(same, 0, np.inf))
    return np.where(
        (rounded == 0) & (wanted == 0) & (np.signbit(found) != np.signbit(wanted)),
        np.inf,
        error,
    )


@pytest.mark.parametrize("name", list(ORACLES))
@pytest.mark.parametrize("target", RUNNABLE)
def test_float32_over_the_whole_range(target, name):
    """Every 1021st float32 of either sign, denormals, infinities and NaN among them."""
    x = np.arange(0, 2**32, 1021, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([np.array(SPECIAL, np.float32), x])
    with np.errstate(all="ignore"):
        error = ulps(evaluate(target, name, x), ORACLES[name](x.astype(np.float64)))
    worst = int(np.argmax(error))
    assert error[worst] <= 2, f"{name}({x[worst]!r}) is off by {error[worst]} units"


@pytest.mark.parametrize("name", list(ORACLES))
def test_float32_densely_where_it_bends(name):
    """A million points in (−12, 12) and near 0 and 1."""
    rng = np.random.default_rng(0)
    parts = [
        rng.uniform(-12, 12, 600_000),
        rng.uniform(-0.7, 0.7, 300_000),
        1 + rng.uniform(-0.01, 0.01, 100_000),
    ]
    x = np.concatenate(parts).astype(np.float32)
    with np.errstate(all="ignore"):
        error = ulps(
            evaluate(RUNNABLE[0], name, x), ORACLES[name](x.astype(np.float64))
        )
    assert error.max() <= 2


def float64_samples(name, count):
    rng = np.random.default_rng(7)
    bits = rng.integers(0, 2**64, count, dtype=np.uint64).view(np.float64)
    parts = [bits, rng.uniform(-10, 10, count), rng.uniform(-750, 750, count)]
    parts.append(rng.standard_normal(count) * 10.0 ** rng.uniform(-12, 12, count))
    x = np.concatenate(parts)
    x = x[np.isfinite(x)]
    if name == "log":
        x = np.abs(x)
    if name == "log1p":
        x = np.where(x < -1, -x, x)
    return x


def float64_error(found, exact):
    if mpmath.isinf(exact) or abs(exact) > float(np.finfo(np.float64).max):
        return 0.0 if np.isinf(found) else np.inf
    if not np.isfinite(found):
        return np.inf
    unit = max(float(np.spacing(abs(float(exact)))), 5e-324)
    return float(abs(mpmath.mpf(float(found)) - exact) / unit)


@pytest.mark.parametrize("name", list(ORACLES))
@pytest.mark.parametrize("target", RUNNABLE)
def test_float64_against_exact_values(target, name):
    x = float64_samples(name, 250)
    found = evaluate(target, name, x)
    with mpmath.workprec(1300):  # sin and cos of 10³⁰⁰
        errors = [
            float64_error(f, EXACT[name](mpmath.mpf(float(v))))
            for f, v in zip(found, x, strict=True)
        ]
    worst = int(np.argmax(errors))
    assert errors[worst] <= 2.5, f"{name}({x[worst]!r}) is off by {errors[worst]} units"


@pytest.mark.parametrize("name", list(ORACLES))
def test_float64_limits(name):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, -2.0, 5e-324])
    with np.errstate(all="ignore"):
        wanted = ORACLES[name](x)
    found = evaluate(RUNNABLE[0], name, x)
    np.testing.assert_allclose(found, wanted, rtol=1e-15)
    assert np.array_equal(np.signbit(found[:2]), np.signbit(wanted[:2]))


@pytest.mark.parametrize("target", RUNNABLE)
def test_float32_powers(target):
    rng = np.random.default_rng(3)
    x = np.abs(
        rng.standard_normal(200_000) * 10.0 ** rng.uniform(-5, 5, 200_000)
    ).astype(np.float32)
    y = (rng.standard_normal(200_000) * 10.0 ** rng.uniform(-3, 2, 200_000)).astype(
        np.float32
    )
    with np.errstate(all="ignore"):
        error = ulps(
            evaluate(target, "pow", x, y),
            np.power(x.astype(np.float64), y.astype(np.float64)),
        )
    assert error.max() <= 1


@pytest.mark.parametrize("target", RUNNABLE)
def test_float64_powers(target):
    rng = np.random.default_rng(4)
    x = np.abs(rng.standard_normal(1500) * 10.0 ** rng.uniform(-5, 5, 1500))
    y = rng.standard_normal(1500) * 10.0 ** rng.uniform(-3, 2, 1500)
    x[:400], y[:400] = rng.uniform(0.9, 1.1, 400), y[:400] * 100
    x[400:450] *= 1e-310
    found = evaluate(target, "pow", x, y)
    with mpmath.workprec(200):
        errors = [
            float64_error(f, mpmath.power(mpmath.mpf(float(a)), mpmath.mpf(float(b))))
            for f, a, b in zip(found, x, y, strict=True)
        ]
    assert max(errors) <= 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", RUNNABLE)
def test_limits_of_powers(target, dtype):
    """All pairs of zeros, ones, infinities, NaN, odd, even and broken exponents, against C's pow."""
    values = [
        0,
        -0.0,
        1,
        -1,
        2,
        -2,
        0.5,
        -0.5,
        3,
        -3,
        np.inf,
        -np.inf,
        np.nan,
        1e30,
        -1e30,
        1e-30,
        2.5,
        -2.5,
    ]
    values += [
        2.0**23 + 1,
        -(2.0**23) - 1,
        2.0**52 + 1,
        2.0**53 - 1,
        2.0**52 + 2,
        2.0**51 + 1,
        2.0**51 + 0.5,
        1e-45,
    ]
    grid = np.array(values, dtype)
    x, y = (part.ravel().copy() for part in np.meshgrid(grid, grid))
    with np.errstate(all="ignore"):
        wanted = np.power(x.astype(np.float64), y.astype(np.float64)).astype(dtype)
    found = evaluate(target, "pow", x, y)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(wanted[number]))


@pytest.mark.parametrize("width", [1, 2, 16, 32])
@pytest.mark.parametrize("name", list(ORACLES))
def test_any_width_gives_the_same_bits(name, width):
    x = np.concatenate(
        [np.random.default_rng(5).standard_normal(900) * 30, [1e6, -1e30, 3e38]]
    ).astype(np.float32)
    wanted = evaluate("avx2" if "avx2" in RUNNABLE else RUNNABLE[0], name, x)
    found = evaluate(
        "avx2" if "avx2" in RUNNABLE else RUNNABLE[0], name, x, width=width
    )
    np.testing.assert_array_equal(found.view(np.int32), wanted.view(np.int32))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_target_compiles(target, dtype):
    machine = host(target)
    module = Module(machine)
    width = machine.lanes(dtype)
    e = Emitter(module)
    value = e.load(dtype, "%x", width)
    for name in ORACLES:
        value = call_math(e, name, dtype, (value,), width)
    e.store(dtype, call_math(e, "pow", dtype, (value, value), width), "%x", width)
    e.emit("ret void")
    module.add("all", e.function("void @all(ptr %x)"))
    assert compile_objects([module.text()], machine, cache="off")[0]


def test_unknown_functions_are_refused():
    with pytest.raises(ArgumentError, match="one of exp"):
        call_math(Emitter(Module(host())), "gamma", "float32", ("%x",))
