"""Specification of contractions: sums of products over strided operands, to which all linear algebra is reduced.

::

    C[Σ c·i]  (+)=  Σ over the reduce indices  A[Σ a·i] · B[Σ b·i]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deltarule.backends.native.llvm.emitter import Emitter
from deltarule.backends.native.llvm.machine import element_bytes
from deltarule.errors import ArgumentError

Epilogue = Callable[[Emitter, str, str, str, int, str], str]
"""``epilogue(emitter, value, row, column, width, context) -> value``: IR applied to each finished vector before
the store. ``row`` and ``column`` are i64 registers with the flattened position of the first lane, ``width`` is the
number of lanes (1: a scalar). ``emitter.lanes`` is the number of valid lanes (None: all), ``emitter.offset`` the i64
register with Σ c_stride·i of the first lane, the position in any array with the layout of C."""


@dataclass(frozen=True)
class ContractionIndex:
    """An index of a contraction, with its strides in elements (0 for operands that it does not index).

    >>> ContractionIndex("k", 64, a_stride=1, b_stride=32)
    ContractionIndex(name='k', extent=64, a_stride=1, b_stride=32, c_stride=0)
    """

    name: str
    extent: int
    a_stride: int = 0
    b_stride: int = 0
    c_stride: int = 0


@dataclass(frozen=True)
class ContractionSpec:
    """A contraction.

    ``free_m`` (rows: index A and C), ``free_n`` (columns: index B and C), ``batch`` (index A, B and C) and
    ``reduce`` (index A and B) name all indices, each once, outer to inner. Rows are numbered over
    ``batch + free_m``, columns over ``free_n``, the last index fastest. ``accumulate`` adds to C.

    >>> i, j = ContractionIndex("i", 8, 16, 0, 4), ContractionIndex("j", 4, 0, 1, 1)
    >>> k = ContractionIndex("k", 16, 1, 4, 0)
    >>> spec = ContractionSpec((i, j, k), free_m=("i",), free_n=("j",), reduce=("k",))
    >>> spec.rows, spec.columns, spec.depth, spec.flops
    (8, 4, 16, 1024)
    """

    indices: tuple[ContractionIndex, ...]
    free_m: tuple[str, ...]
    free_n: tuple[str, ...]
    reduce: tuple[str, ...]
    batch: tuple[str, ...] = ()
    dtype: str = "float32"
    a_offset: int = 0
    b_offset: int = 0
    c_offset: int = 0
    accumulate: bool = False

    def __post_init__(self) -> None:
        element_bytes(self.dtype)
        names = [index.name for index in self.indices]
        grouped = [*self.batch, *self.free_m, *self.free_n, *self.reduce]
        if sorted(names) != sorted(grouped) or len(set(names)) != len(names):
            expected = "each index once among batch, free_m, free_n and reduce"
            raise ArgumentError(
                "contraction",
                expected=expected,
                got=f"indices {names}, groups {grouped}",
            )
        for index in self.indices:
            self._check(index)

    def _check(self, index: ContractionIndex) -> None:
        where = f"contraction index {index.name!r}"
        if index.extent < 0:
            raise ArgumentError(
                where, expected="an extent of at least 0", got=str(index.extent)
            )
        absent = {
            "free_m": index.b_stride,
            "free_n": index.a_stride,
            "reduce": index.c_stride,
        }
        for group, stride in absent.items():
            if index.name in getattr(self, group) and stride != 0 and index.extent > 1:
                operand = {"free_m": "B", "free_n": "A", "reduce": "C"}[group]
                raise ArgumentError(
                    where, expected=f"stride 0 in {operand} ({group})", got=str(stride)
                )

    def group(self, names: tuple[str, ...]) -> tuple[ContractionIndex, ...]:
        """Return the indices of these names, in this order."""
        by_name = {index.name: index for index in self.indices}
        return tuple(by_name[name] for name in names)

    def _size(self, names: tuple[str, ...]) -> int:
        size = 1
        for index in self.group(names):
            size *= index.extent
        return size

    @property
    def rows(self) -> int:
        """Return the number of rows, batch included."""
        return self._size(self.batch + self.free_m)

    @property
    def columns(self) -> int:
        """Return the number of columns."""
        return self._size(self.free_n)

    @property
    def depth(self) -> int:
        """Return the number of products per element."""
        return self._size(self.reduce)

    @property
    def flops(self) -> int:
        """Return the number of floating-point operations: 2 · rows · columns · depth."""
        return 2 * self.rows * self.columns * self.depth
