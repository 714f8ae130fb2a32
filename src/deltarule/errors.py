"""One exception tree; every message says where, what was expected, what came, and the way out.

::

    DeltaruleError
    ├── ShapeError        shapes that do not fit together            (also a ValueError)
    ├── DTypeError        an element type that an operation refuses  (also a TypeError)
    ├── ArgumentError     an argument outside its domain             (also a ValueError)
    ├── DataError         labels, NaN, empty or mismatched data      (also a ValueError)
    ├── GraphError        an illegal graph or a missing value        (also a ValueError)
    ├── CheckpointError   a file that is damaged, foreign or missing (also an OSError)
    ├── DivergenceError   a loss or parameter became NaN or infinite (also an ArithmeticError)
    └── DependencyError   an optional package is not installed       (also an ImportError)
"""

from __future__ import annotations

from numbers import Integral, Real

from deltarule.visible import shown, visible


class DeltaruleError(Exception):
    """Base of all errors raised on purpose by Deltarule.

    Parameters: ``where`` (operation, layer or argument), ``expected``, ``got``, ``hint`` (the way out).

    >>> print(ShapeError("matmul", expected="inner sizes to agree", got="(2, 3) @ (4, 5)", hint="transpose one"))
    matmul: expected inner sizes to agree, got (2, 3) @ (4, 5).
      transpose one
    """

    def __init__(
        self, where: str, *, expected: str = "", got: str = "", hint: str = ""
    ) -> None:
        self.where = where
        self.expected = expected
        self.got = got
        self.hint = hint
        super().__init__(where)

    def __str__(self) -> str:
        parts = []
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.got:
            parts.append(f"got {self.got}")
        where = shown(self.where)
        message = f"{where}: {', '.join(parts)}." if parts else f"{where}."
        return visible(f"{message}\n  {self.hint}" if self.hint else message)


class ShapeError(DeltaruleError, ValueError):
    """Shapes that do not fit together."""


class DTypeError(DeltaruleError, TypeError):
    """An element type that an operation refuses."""


class ArgumentError(DeltaruleError, ValueError):
    """An argument outside its domain."""


class DataError(DeltaruleError, ValueError):
    """Data that cannot be trained on: bad labels, NaN, empty, mismatched lengths."""


class GraphError(DeltaruleError, ValueError):
    """An illegal graph, or a graph that lacks a value to be run."""


class CheckpointError(DeltaruleError, OSError):
    """A checkpoint that is damaged, foreign or missing; the message, which may quote a file, is cut at 500 characters.

    >>> len(str(CheckpointError("file run.dr", expected="a number", got="7" * 1000, hint="Copy it again."))) <= 500
    True
    """

    def __init__(
        self, where: str, *, expected: str = "", got: str = "", hint: str = ""
    ) -> None:
        super().__init__(
            where, expected=_cut(expected, 150), got=_cut(got, 150), hint=hint
        )

    def __str__(self) -> str:
        return _cut(super().__str__(), 500)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


class DivergenceError(DeltaruleError, ArithmeticError):
    """A loss or a parameter became NaN or infinite."""


class DependencyError(DeltaruleError, ImportError):
    """An optional package is not installed; the hint names the command that installs it."""


class DataWarning(UserWarning):
    """Something in data or model that is probably not what was meant; training goes on."""


def whole_number(value: object, where: str, least: int | None = None) -> int:
    """Return a whole number as an int; raises ArgumentError, which names ``where``, for anything else.

    NumPy's whole numbers count; truth values and floats do not, and nothing below ``least``.

    >>> whole_number(3, "epochs", least=1)
    3
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or (least is not None and value < least):  # type: ignore[operator]  # a number by now
        limit = "" if least is None else f" ≥ {least}"
        raise ArgumentError(where, expected=f"a whole number{limit}", got=repr(value))
    return int(value)  # type: ignore[call-overload,no-any-return]  # a number by now


def real_number(value: object, where: str) -> float:
    """Return a number as an int or float; raises ArgumentError for truth values and anything else.

    >>> real_number(0.5, "momentum")
    0.5
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ArgumentError(where, expected="a number", got=repr(value))
    return int(value) if isinstance(value, Integral) else float(value)
