"""Element types and their promotion.

float32 is the default; float64 stays float64. Python scalars are weakly typed: they take the type of the tensor
operand. Integers promote to floats, and to the wider integer type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deltarule.errors import DTypeError

__all__ = [
    "BOOL",
    "DTYPES",
    "FLOAT32",
    "FLOAT64",
    "INT32",
    "INT64",
    "UINT8",
    "UINT32",
    "DType",
    "dtype",
    "promote",
]

Scalar = bool | int | float


@dataclass(frozen=True)
class DType:
    """An element type.

    Attributes:
        name: Name, as in NumPy.
        kind: "bool", "uint", "int" or "float".
        bits: Width in bits.

    >>> FLOAT32.is_float, FLOAT32.itemsize
    (True, 4)
    """

    name: str
    kind: str  # "bool", "uint", "int", "float"
    bits: int

    @property
    def is_float(self) -> bool:
        """Whether values are floating-point numbers, which can have a gradient."""
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        """Whether values are integers, signed or not."""
        return self.kind in {"int", "uint"}

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return max(1, self.bits // 8)

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest and largest value of an integer type.

        >>> UINT8.bounds, INT32.bounds
        ((0, 255), (-2147483648, 2147483647))
        """
        low = -(2 ** (self.bits - 1)) if self.kind == "int" else 0
        return low, low + 2**self.bits - 1

    def __repr__(self) -> str:
        return self.name


BOOL: Final = DType("bool", "bool", 8)
UINT8: Final = DType("uint8", "uint", 8)
UINT32: Final = DType("uint32", "uint", 32)
INT32: Final = DType("int32", "int", 32)
INT64: Final = DType("int64", "int", 64)
FLOAT32: Final = DType("float32", "float", 32)
FLOAT64: Final = DType("float64", "float", 64)

SHORT_SUM: Final = 32  # longer sums of float32 are accumulated in float64

DTYPES: Final = {
    t.name: t for t in (BOOL, UINT8, UINT32, INT32, INT64, FLOAT32, FLOAT64)
}
_RANK: Final = {t: rank for rank, t in enumerate(DTYPES.values())}


def dtype(name: str | DType) -> DType:
    """Return the element type of a name.

    >>> dtype("float32")
    float32
    """
    if isinstance(name, DType):
        return name
    if name not in DTYPES:
        raise DTypeError(
            "dtype", expected=f"one of {', '.join(DTYPES)}", got=repr(name)
        )
    return DTYPES[name]


def promote(*types: DType) -> DType:
    """Return the common type of a mixed operation: the highest of bool < uint8 < … < float64.

    uint32 and int32 promote to int64, which holds the values of both.

    >>> promote(INT64, FLOAT32), promote(UINT32, INT32)
    (float32, int64)
    """
    highest = max(types, key=_RANK.__getitem__)
    return INT64 if highest is INT32 and UINT32 in types else highest


def of_scalar(value: Scalar, tensor_dtype: DType | None = None) -> DType:
    """Return the type of a Python scalar in an operation with a tensor of type ``tensor_dtype`` (weak typing).

    >>> of_scalar(0.5, FLOAT64), of_scalar(2, FLOAT32), of_scalar(0.5, INT64)
    (float64, float32, float32)
    """
    if isinstance(value, bool):
        return BOOL if tensor_dtype is None else tensor_dtype
    if isinstance(value, int):
        return INT64 if tensor_dtype is None or tensor_dtype is BOOL else tensor_dtype
    return (
        tensor_dtype if tensor_dtype is not None and tensor_dtype.is_float else FLOAT32
    )
