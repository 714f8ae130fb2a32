"""Elementary functions of vectors of any width, in float32 and float64, with an error of at most 2 ulp.

Each function is added to a module once per element type and width, and called (``call_math``). The methods:

=========  ====================================================================================================
exp        x = n·ln 2 + r, a polynomial for eʳ, scaled by 2ⁿ in two steps (denormal results, no early overflow)
expm1      as exp, with eʳ − 1 as a separate term
log        x = 2ᵏ·(1 + f), log(1 + f) by s = f/(2 + f) (fdlibm)
log1p      as log for 1 + x, corrected by the rounding error of 1 + x
tanh       odd polynomial near 0 (float32), t/(t + 2) (float64), 1 − 2/(t + 2) beyond, with t = expm1(2|x|)
erf        odd polynomial near 0, 1 − exp(polynomial) beyond (float32); fdlibm's four regions (float64)
sin, cos   reduction modulo π/2: three-part constants, and a table of 2/π for large x
pow        exp2(y·log2 x) in float64 (float32), or with a double-double logarithm (float64)
=========  ====================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable

from deltarule.backends.native.llvm.emitter import Emitter, Module, type_of
from deltarule.backends.native.mathematics.error_function import error_function
from deltarule.backends.native.mathematics.exponential import (
    exponential,
    exponential_minus_one,
    hyperbolic_tangent,
    logarithm,
    logarithm_plus_one,
)
from deltarule.backends.native.mathematics.power import power
from deltarule.backends.native.mathematics.trigonometry import cosine, sine
from deltarule.backends.native.mathematics.vector import Vector
from deltarule.errors import ArgumentError

_UNARY: dict[str, Callable[[Vector], Vector]] = {
    "exp": exponential,
    "expm1": exponential_minus_one,
    "log": logarithm,
    "log1p": logarithm_plus_one,
    "tanh": hyperbolic_tangent,
    "erf": error_function,
    "sin": sine,
    "cos": cosine,
}


def call_math(
    emitter: Emitter, name: str, dtype: str, arguments: tuple[str, ...], width: int = 1
) -> str:
    """Emit a call of an elementary function on registers of ``width`` lanes; return the register of the result.

    Args:
        emitter: The emitter.
        name: "exp", "expm1", "log", "log1p", "tanh", "erf", "sin", "cos" (one argument) or "pow" (two).
        dtype: "float32" or "float64".
        arguments: Registers.
        width: Number of lanes.

    Raises:
        ArgumentError: the name is unknown.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> e = Emitter(Module(host(target="avx2")))
    >>> call_math(e, "exp", "float32", ("%x",), width=8)
    '%t1'
    >>> print(e.lines[-1].strip())
    %t1 = call <8 x float> @math.exp.float32.8(<8 x float> %x)
    """
    symbol = math_function(emitter.module, name, dtype, width)
    kind = type_of(dtype, width)
    return emitter.assign(
        f"call {kind} @{symbol}({', '.join(f'{kind} {argument}' for argument in arguments)})"
    )


def math_function(module: Module, name: str, dtype: str, width: int) -> str:
    """Add an elementary function to the module, unless it exists; return its symbol.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> math_function(Module(host(target="avx2")), "tanh", "float64", 4)
    'math.tanh.float64.4'
    """
    if name not in _UNARY and name != "pow":
        expected = f"one of {', '.join([*_UNARY, 'pow'])}"
        raise ArgumentError("vector mathematics", expected=expected, got=repr(name))
    symbol = f"math.{name}.{dtype}.{width}"
    if symbol in module:
        return symbol
    emitter = Emitter(module)
    kind = type_of(dtype, width)
    x = Vector(emitter, "%x", dtype, width)
    if name == "pow":
        result = power(x, Vector(emitter, "%y", dtype, width))
        signature = f"{kind} %x, {kind} %y"
    else:
        result = _UNARY[name](x)
        signature = f"{kind} %x"
    emitter.emit(f"ret {kind} {result.text}")
    module.add(symbol, emitter.function(f"internal {kind} @{symbol}({signature})"))
    return symbol
