"""Element-wise primitives as LLVM IR, in one table: operands and results are registers of any width.

Booleans are i1 in registers and bytes in memory; integers wrap around; minimum and maximum propagate NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deltarule.backends.native.llvm.emitter import Emitter, number
from deltarule.backends.native.mathematics.vector_math import call_math
from deltarule.dtypes import BOOL, INT32, INT64, DType, Scalar
from deltarule.graph.op import Op

_KINDS = {"bool": "i1", "uint8": "i8", "uint32": "i32", "int32": "i32", "int64": "i64"}
_MATHEMATICS = {
    Op.EXP: "exp",
    Op.EXPM1: "expm1",
    Op.LOG: "log",
    Op.LOG1P: "log1p",
    Op.SIN: "sin",
    Op.COS: "cos",
    Op.TANH: "tanh",
    Op.ERF: "erf",
    Op.POWER: "pow",
}

Operands = Sequence[str]


def scalar_kind(dtype: DType) -> str:
    """Return the IR type of one element in a register.

    >>> from deltarule.dtypes import FLOAT32
    >>> scalar_kind(FLOAT32), scalar_kind(BOOL)
    ('float', 'i1')
    """
    return {"float32": "float", "float64": "double"}.get(dtype.name) or _KINDS[
        dtype.name
    ]


def kind(dtype: DType, width: int) -> str:
    """Return the IR type of ``width`` elements in registers.

    >>> from deltarule.dtypes import FLOAT32
    >>> kind(FLOAT32, 8)
    '<8 x float>'
    """
    one = scalar_kind(dtype)
    return one if width == 1 else f"<{width} x {one}>"


def memory_kind(dtype: DType) -> str:
    """Return the IR type of one element in memory.

    >>> memory_kind(BOOL)
    'i8'
    """
    return "i8" if dtype is BOOL else scalar_kind(dtype)


def mangled(dtype: DType, width: int) -> str:
    """Return the mangled type in the name of an intrinsic.

    >>> from deltarule.dtypes import FLOAT32
    >>> mangled(FLOAT32, 8), mangled(INT64, 1)
    ('v8f32', 'i64')
    """
    one = {"float": "f32", "double": "f64"}.get(scalar_kind(dtype), scalar_kind(dtype))
    return one if width == 1 else f"v{width}{one}"


def constant(value: Scalar, dtype: DType, width: int) -> str:
    """Return an IR constant with ``value`` in every lane.

    >>> constant(1, INT64, 4)
    'splat (i64 1)'
    """
    return number(value, scalar_kind(dtype), width)


def apply(
    e: Emitter,
    op: Op,
    dtype: DType,
    operands: Operands,
    source: DType,
    width: int,
    not_nan: bool = False,
) -> str:
    """Return the result of an element-wise primitive.

    Args:
        e: The emitter.
        op: The primitive.
        dtype: Element type of the result.
        operands: Registers or constants.
        source: Element type of the operands.
        width: Number of lanes.
        not_nan: Whether the first operand of a maximum or minimum is known not to be NaN.

    >>> from deltarule.backends.native.llvm.emitter import Module
    >>> from deltarule.backends.native.llvm.machine import host
    >>> from deltarule.dtypes import FLOAT32
    >>> e = Emitter(Module(host(target="avx2")))
    >>> result = apply(e, Op.ADD, FLOAT32, ("%x", "%y"), FLOAT32, 8)
    >>> print(e.lines[0].strip())
    %t1 = fadd <8 x float> %x, %y
    """
    if op in _MATHEMATICS:
        return call_math(e, _MATHEMATICS[op], dtype.name, tuple(operands), width)
    if op is Op.CAST:
        return cast(e, operands[0], source, dtype, width)
    if not_nan and op in {Op.MAXIMUM, Op.MINIMUM} and dtype.is_float:
        relation = "ogt" if op is Op.MAXIMUM else "olt"  # x where x is NaN
        return _select(
            e,
            f"fcmp {relation}",
            dtype,
            operands[0],
            operands[1],
            operands[0],
            operands[1],
            width,
        )
    return _TABLE[op](e, operands, source, width)


def _binary(
    floating: str, whole: str
) -> Callable[[Emitter, Operands, DType, int], str]:
    def emit(e: Emitter, x: Operands, dtype: DType, width: int) -> str:
        operation = floating if dtype.is_float else whole
        return e.assign(f"{operation} {kind(dtype, width)} {x[0]}, {x[1]}")

    return emit


def _compare(
    floating: str, signed: str, unsigned: str
) -> Callable[[Emitter, Operands, DType, int], str]:
    def emit(e: Emitter, x: Operands, dtype: DType, width: int) -> str:
        relation = (
            f"fcmp {floating}"
            if dtype.is_float
            else f"icmp {signed if dtype.kind == 'int' else unsigned}"
        )
        return e.assign(f"{relation} {kind(dtype, width)} {x[0]}, {x[1]}")

    return emit


def _select(
    e: Emitter,
    relation: str,
    dtype: DType,
    a: str,
    b: str,
    then: str,
    otherwise: str,
    width: int,
) -> str:
    condition = e.assign(f"{relation} {kind(dtype, width)} {a}, {b}")
    return select(e, condition, dtype, then, otherwise, width)


def select(
    e: Emitter, condition: str, dtype: DType, then: str, otherwise: str, width: int
) -> str:
    """Return ``then`` where the condition (i1, or a vector of i1) holds, ``otherwise`` elsewhere.

    >>> from deltarule.backends.native.llvm.emitter import Module
    >>> from deltarule.backends.native.llvm.machine import host
    >>> e = Emitter(Module(host(target="avx2")))
    >>> result = select(e, "%c", INT64, "%x", "%y", 4)
    >>> print(e.lines[0].strip())
    %t1 = select <4 x i1> %c, <4 x i64> %x, <4 x i64> %y
    """
    test = f"<{width} x i1>" if width > 1 else "i1"
    return e.assign(
        f"select {test} {condition}, {kind(dtype, width)} {then}, {kind(dtype, width)} {otherwise}"
    )


def intrinsic(
    e: Emitter, name: str, dtype: DType, operands: Operands, width: int, rest: str = ""
) -> str:
    """Return the result of an intrinsic on operands of one type.

    >>> from deltarule.backends.native.llvm.emitter import Module
    >>> from deltarule.backends.native.llvm.machine import host
    >>> from deltarule.dtypes import FLOAT32
    >>> e = Emitter(Module(host(target="avx2")))
    >>> result = intrinsic(e, "sqrt", FLOAT32, ("%x",), 8)
    >>> print(e.lines[0].strip())
    %t1 = call <8 x float> @llvm.sqrt.v8f32(<8 x float> %x)
    """
    listed = ", ".join(f"{kind(dtype, width)} {operand}" for operand in operands)
    return e.assign(
        f"call {kind(dtype, width)} @llvm.{name}.{mangled(dtype, width)}({listed}{rest})"
    )


def _extreme(name: str) -> Callable[[Emitter, Operands, DType, int], str]:
    def emit(e: Emitter, x: Operands, dtype: DType, width: int) -> str:
        if dtype is BOOL:
            return e.assign(
                f"{'or' if name == 'max' else 'and'} {kind(dtype, width)} {x[0]}, {x[1]}"
            )
        prefix = "s" if dtype.kind == "int" else "u"
        return intrinsic(
            e, f"{name}imum" if dtype.is_float else prefix + name, dtype, x, width
        )

    return emit


def _negate(e: Emitter, x: Operands, dtype: DType, width: int) -> str:
    if dtype.is_float:
        return e.assign(f"fneg {kind(dtype, width)} {x[0]}")
    return e.assign(f"sub {kind(dtype, width)} {constant(0, dtype, width)}, {x[0]}")


def _absolute(e: Emitter, x: Operands, dtype: DType, width: int) -> str:
    if dtype.is_float:
        return intrinsic(e, "fabs", dtype, x, width)
    return (
        intrinsic(e, "abs", dtype, x, width, ", i1 false")
        if dtype.kind == "int"
        else x[0]
    )


def _sign(e: Emitter, x: Operands, dtype: DType, width: int) -> str:
    one, zero = constant(1, dtype, width), constant(0, dtype, width)
    if dtype.kind == "uint":
        return _select(e, "icmp ne", dtype, x[0], zero, one, zero, width)
    if dtype.is_float:
        return _sign_of_float(e, x, dtype, width)
    negative = _select(
        e, "icmp slt", dtype, x[0], zero, constant(-1, dtype, width), x[0], width
    )
    return _select(e, "icmp sgt", dtype, x[0], zero, one, negative, width)


def _sign_of_float(e: Emitter, x: Operands, dtype: DType, width: int) -> str:
    """Return ±1 with the sign of x, or x if it is NaN or 0; by bits, since comparisons flush denormals to 0."""
    whole = INT64 if dtype.bits == 64 else INT32
    bits = e.assign(f"bitcast {kind(dtype, width)} {x[0]} to {kind(whole, width)}")
    size = e.assign(
        f"and {kind(whole, width)} {bits}, {constant(2 ** (dtype.bits - 1) - 1, whole, width)}"
    )
    before = e.assign(
        f"sub {kind(whole, width)} {size}, {constant(1, whole, width)}"
    )  # 0 wraps around
    infinity = (255 << 23) if dtype.bits == 32 else (2047 << 52)
    not_nan = e.assign(
        f"icmp ult {kind(whole, width)} {before}, {constant(infinity, whole, width)}"
    )
    unit = intrinsic(e, "copysign", dtype, (constant(1, dtype, width), x[0]), width)
    return select(e, not_nan, dtype, unit, x[0], width)


def _where(e: Emitter, x: Operands, dtype: DType, width: int) -> str:
    return select(e, x[0], dtype, x[1], x[2], width)


def _not(e: Emitter, x: Operands, dtype: DType, width: int) -> str:
    return e.assign(f"xor {kind(dtype, width)} {x[0]}, {constant(1, dtype, width)}")


_TABLE: dict[Op, Callable[[Emitter, Operands, DType, int], str]] = {
    Op.NEGATE: _negate,
    Op.ABS: _absolute,
    Op.SIGN: _sign,
    Op.FLOOR: lambda e, x, dtype, width: (
        intrinsic(e, "floor", dtype, x, width) if dtype.is_float else x[0]
    ),
    Op.SQRT: lambda e, x, dtype, width: intrinsic(e, "sqrt", dtype, x, width),
    Op.NOT: _not,
    Op.STOP_GRADIENT: lambda e, x, dtype, width: x[0],
    Op.ADD: _binary("fadd", "add"),
    Op.SUBTRACT: _binary("fsub", "sub"),
    Op.MULTIPLY: _binary("fmul", "mul"),
    Op.DIVIDE: _binary("fdiv", "sdiv"),
    Op.FMOD: _binary("frem", "srem"),  # a call of fmod for each element
    Op.MAXIMUM: _extreme("max"),
    Op.MINIMUM: _extreme("min"),
    Op.EQUAL: _compare("oeq", "eq", "eq"),
    Op.LESS: _compare("olt", "slt", "ult"),
    Op.AND: _binary("and", "and"),
    Op.OR: _binary("or", "or"),
    Op.WHERE: _where,
}
COVERED = frozenset(_TABLE) | frozenset(_MATHEMATICS) | {Op.CAST}


def cast(e: Emitter, x: str, source: DType, target: DType, width: int) -> str:
    """Return a value in another element type: floats to integers towards zero (saturating), to bool by ≠ 0.

    >>> from deltarule.backends.native.llvm.emitter import Module
    >>> from deltarule.backends.native.llvm.machine import host
    >>> from deltarule.dtypes import FLOAT32, FLOAT64
    >>> e = Emitter(Module(host(target="avx2")))
    >>> result = cast(e, "%x", FLOAT32, FLOAT64, 4)
    >>> print(e.lines[0].strip())
    %t1 = fpext <4 x float> %x to <4 x double>
    """
    if source is target:
        return x
    old, new = kind(source, width), kind(target, width)
    if target is BOOL:
        relation = "fcmp une" if source.is_float else "icmp ne"
        return e.assign(f"{relation} {old} {x}, {constant(0, source, width)}")
    unsigned = source.kind in {"bool", "uint"}
    if target.is_float:
        if source.is_float:
            return e.assign(
                f"{'fpext' if target.bits > source.bits else 'fptrunc'} {old} {x} to {new}"
            )
        return e.assign(f"{'uitofp' if unsigned else 'sitofp'} {old} {x} to {new}")
    if source.is_float:
        sign = "s" if target.kind == "int" else "u"
        name = f"llvm.fpto{sign}i.sat.{mangled(target, width)}.{mangled(source, width)}"
        return e.assign(f"call {new} @{name}({old} {x})")
    bits = 1 if source is BOOL else source.bits
    if target.bits == bits:
        return x
    operation = "trunc" if target.bits < bits else "zext" if unsigned else "sext"
    return e.assign(f"{operation} {old} {x} to {new}")
