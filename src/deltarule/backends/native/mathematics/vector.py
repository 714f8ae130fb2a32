"""Vector arithmetic with operators: a ``Vector`` is a register of the function that is being emitted.

Operators emit instructions; Python numbers become constants. Comparisons return vectors of booleans for ``where``.
"""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.backends.native.llvm.emitter import Emitter, number, type_of

_FLOATS = ("float32", "float64")
_SAME_BITS = {
    "float32": "int32",
    "float64": "int64",
    "int32": "float32",
    "int64": "float64",
}
_NAMES = {
    "+": ("fadd", "add"),
    "-": ("fsub", "sub"),
    "*": ("fmul", "mul"),
    "/": ("fdiv", "sdiv"),
}


class Vector:
    """A register or constant with ``width`` lanes of one element type.

    >>> from deltarule.backends.native.llvm.emitter import Module
    >>> from deltarule.backends.native.llvm.machine import host
    >>> e = Emitter(Module(host(target="avx2")))
    >>> y = Vector(e, "%x", "float32", 8) + 1.0
    >>> print(e.lines[0].strip())
    %t1 = fadd <8 x float> %x, splat (float 0x3FF0000000000000)
    """

    def __init__(self, emitter: Emitter, text: str, dtype: str, width: int) -> None:
        self.emitter, self.text, self.dtype, self.width = emitter, text, dtype, width

    @property
    def floating(self) -> bool:
        """Whether the lanes are floating-point numbers."""
        return self.dtype in _FLOATS

    def like(self, text: str, dtype: str | None = None) -> Vector:
        """Return a register with the width of this one."""
        return Vector(self.emitter, text, dtype or self.dtype, self.width)

    def constant(self, value: float) -> Vector:
        """Return a constant with the type of this vector."""
        return self.like(number(value, self.dtype, self.width))

    def _operand(self, other: Vector | float) -> Vector:
        return other if isinstance(other, Vector) else self.constant(other)

    def _binary(self, operation: str, other: Vector | float) -> Vector:
        kind = type_of(self.dtype, self.width)
        expression = f"{operation} {kind} {self.text}, {self._operand(other).text}"
        return self.like(self.emitter.assign(expression))

    def _arithmetic(self, sign: str, other: Vector | float) -> Vector:
        return self._binary(_NAMES[sign][0 if self.floating else 1], other)

    def __add__(self, other: Vector | float) -> Vector:
        return self._arithmetic("+", other)

    def __sub__(self, other: Vector | float) -> Vector:
        return self._arithmetic("-", other)

    def __rsub__(self, other: float) -> Vector:
        return self.constant(other)._arithmetic("-", self)

    def __mul__(self, other: Vector | float) -> Vector:
        return self._arithmetic("*", other)

    def __truediv__(self, other: Vector | float) -> Vector:
        return self._arithmetic("/", other)

    def __rtruediv__(self, other: float) -> Vector:
        return self.constant(other)._arithmetic("/", self)

    def __neg__(self) -> Vector:
        if self.floating:
            return self.like(
                self.emitter.assign(
                    f"fneg {type_of(self.dtype, self.width)} {self.text}"
                )
            )
        return self.constant(0) - self

    def __and__(self, other: Vector | int) -> Vector:
        return self._binary("and", other)

    def __or__(self, other: Vector | int) -> Vector:
        return self._binary("or", other)

    def __xor__(self, other: Vector | int) -> Vector:
        return self._binary("xor", other)

    def __lshift__(self, other: Vector | int) -> Vector:
        return self._binary("shl", other)

    def __rshift__(self, other: Vector | int) -> Vector:
        """Shift right, filling with zeros."""
        return self._binary("lshr", other)

    def arithmetic_shift(self, by: int) -> Vector:
        """Shift right, filling with the sign."""
        return self._binary("ashr", by)

    def compare(self, relation: str, other: Vector | float) -> Vector:
        """Compare with a predicate (eq, ne, lt, le, gt, ge), ordered except for ne, and signed for integers."""
        if self.floating:
            operation = "fcmp " + ("une" if relation == "ne" else "o" + relation)
        else:
            operation = "icmp " + (
                relation if relation in ("eq", "ne") else "s" + relation
            )
        return self.like(self._binary(operation, other).text, "bool")

    def __lt__(self, other: Vector | float) -> Vector:
        return self.compare("lt", other)

    def __gt__(self, other: Vector | float) -> Vector:
        return self.compare("gt", other)

    def __le__(self, other: Vector | float) -> Vector:
        return self.compare("le", other)

    def __ge__(self, other: Vector | float) -> Vector:
        return self.compare("ge", other)

    def equals(self, other: Vector | float) -> Vector:
        """Return in which lanes the values are equal."""
        return self.compare("eq", other)

    def is_nan(self) -> Vector:
        """Return which lanes are NaN."""
        return self.compare("ne", self)

    def times_plus(self, factor: Vector | float, addend: Vector | float) -> Vector:
        """Return self · factor + addend, fused if the machine has the instruction."""
        operands = (self.text, self._operand(factor).text, self._operand(addend).text)
        return self.like(self.emitter.multiply_add(self.dtype, *operands, self.width))

    def _unary_intrinsic(self, name: str) -> Vector:
        return self.like(
            self.emitter.intrinsic(name, self.dtype, (self.text,), self.width)
        )

    def absolute(self) -> Vector:
        """Return |self|."""
        return self._unary_intrinsic("fabs")

    def with_sign_of(self, other: Vector) -> Vector:
        """Return |self| with the sign of ``other``."""
        return self.like(
            self.emitter.intrinsic(
                "copysign", self.dtype, (self.text, other.text), self.width
            )
        )

    def bits(self) -> Vector:
        """Reinterpret the bits of floating-point lanes as integers, and the other way round."""
        other = _SAME_BITS[self.dtype]
        text = f"bitcast {type_of(self.dtype, self.width)} {self.text} to {type_of(other, self.width)}"
        return self.like(self.emitter.assign(text), other)

    def convert(self, dtype: str, unsigned: bool = False) -> Vector:
        """Convert to another element type; floats are truncated towards zero and must be in range."""
        if dtype == self.dtype:
            return self
        text = f"{self._conversion(dtype, unsigned)} {type_of(self.dtype, self.width)} {self.text} to "
        return self.like(self.emitter.assign(text + type_of(dtype, self.width)), dtype)

    def _conversion(self, dtype: str, unsigned: bool) -> str:
        if self.floating and dtype in _FLOATS:
            return "fpext" if dtype == "float64" else "fptrunc"
        if self.floating:
            return "fptosi"
        if dtype in _FLOATS:
            return "uitofp" if unsigned or self.dtype == "bool" else "sitofp"
        if self.dtype == "bool":
            return "zext"
        if dtype == "int64":
            return "zext" if unsigned else "sext"
        return "trunc"


def where(condition: Vector, then: Vector | float, otherwise: Vector | float) -> Vector:
    """Return ``then`` in the lanes where the condition holds, ``otherwise`` elsewhere; one must be a ``Vector``.

    >>> from deltarule.backends.native.llvm.emitter import Module
    >>> from deltarule.backends.native.llvm.machine import host
    >>> e = Emitter(Module(host(target="avx2")))
    >>> x = Vector(e, "%x", "float32", 8)
    >>> larger = where(x.compare("gt", 0.0), x, 0.0)
    >>> print(e.lines[-1].strip())
    %t2 = select <8 x i1> %t1, <8 x float> %x, <8 x float> splat (float 0x0000000000000000)
    """
    if isinstance(then, Vector):
        first, second = then, then._operand(otherwise)
    elif isinstance(otherwise, Vector):
        first, second = otherwise.constant(then), otherwise
    else:
        first, second = condition.constant(then), condition.constant(otherwise)
    kind, mask = type_of(first.dtype, first.width), type_of("bool", first.width)
    expression = (
        f"select {mask} {condition.text}, {kind} {first.text}, {kind} {second.text}"
    )
    return first.like(first.emitter.assign(expression))


def polynomial(x: Vector, coefficients: Sequence[float]) -> Vector:
    """Return c₀ + c₁·x + c₂·x² + … by Horner's rule.

    >>> from deltarule.backends.native.llvm.emitter import Module
    >>> from deltarule.backends.native.llvm.machine import host
    >>> e = Emitter(Module(host(target="avx2")))
    >>> polynomial(Vector(e, "%x", "float32", 8), [1.0, 2.0, 3.0]).text, len(e.lines)
    ('%t2', 2)
    """
    value = x.constant(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value.times_plus(x, coefficient)
    return value


def two_product(a: Vector, b: Vector | float) -> tuple[Vector, Vector]:
    """Return a·b as the rounded product and its exact error (by Dekker's splitting without fused multiply-add)."""
    other = a._operand(b)
    product = a * other
    if a.emitter.machine.fused:
        return product, a.times_plus(other, -product)
    a_high, a_low = _split(a)
    b_high, b_low = _split(other)
    error = (
        (a_high * b_high - product) + a_high * b_low + a_low * b_high
    ) + a_low * b_low
    return product, error


def two_sum(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """Return a + b as the rounded sum and its exact error (Knuth).

    >>> from deltarule.backends.native.llvm.emitter import Module
    >>> from deltarule.backends.native.llvm.machine import host
    >>> e = Emitter(Module(host(target="avx2")))
    >>> total, error = two_sum(Vector(e, "%x", "float64", 4), Vector(e, "%y", "float64", 4))
    >>> print(e.lines[0].strip())
    %t1 = fadd <4 x double> %x, %y
    """
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


def _split(a: Vector) -> tuple[Vector, Vector]:
    scaled = a * (134217729.0 if a.dtype == "float64" else 4097.0)
    high = scaled - (scaled - a)
    return high, a - high
