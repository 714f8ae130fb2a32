"""Exceptions: every message has the place, what was expected, what was given, and a hint.

::

    DeltaruleError
    ├── ShapeError        shapes that do not fit together            (also a ValueError)
    ├── DTypeError        an unsupported element type                (also a TypeError)
    ├── ArgumentError     an argument outside its domain             (also a ValueError)
    ├── DataError         labels, NaN, empty or mismatched data      (also a ValueError)
    ├── GraphError        an invalid graph or a missing value        (also a ValueError)
    ├── CheckpointError   a damaged, foreign or missing file         (also an OSError)
    ├── DivergenceError   a loss or parameter became NaN or infinite (also an ArithmeticError)
    └── DependencyError   an optional package is not installed       (also an ImportError)
"""

from __future__ import annotations

import os
import sys
from numbers import Integral, Real

from deltarule.visible import shown, visible

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "DTypeError",
    "DataError",
    "DataWarning",
    "DeltaruleError",
    "DependencyError",
    "DivergenceError",
    "GraphError",
    "ShapeError",
]


class DeltaruleError(Exception):
    """Base class of all exceptions of Deltarule.

    Attributes:
        where: The operation, layer or argument.
        expected: What was expected.
        got: What was given.
        hint: How to fix it.

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
    """Shapes that do not fit together.

    >>> print(ShapeError("reshape", expected="6 elements", got="(4)"))
    reshape: expected 6 elements, got (4).
    """


class DTypeError(DeltaruleError, TypeError):
    """An element type that an operation does not support.

    >>> print(DTypeError("negate", expected="numbers", got="bool"))
    negate: expected numbers, got bool.
    """


class ArgumentError(DeltaruleError, ValueError):
    """An argument outside its domain.

    >>> print(ArgumentError("alpha", expected="a number ≥ 0", got="-1"))
    alpha: expected a number ≥ 0, got -1.
    """


class DataError(DeltaruleError, ValueError):
    """Invalid data: bad labels, NaN, no examples, or mismatched lengths.

    >>> print(DataError("targets", expected="labels", got="NaN"))
    targets: expected labels, got NaN.
    """


class GraphError(DeltaruleError, ValueError):
    """An invalid graph, or a graph without a value that is needed to run it.

    >>> print(GraphError("backward", expected="a scalar"))
    backward: expected a scalar.
    """


class CheckpointError(DeltaruleError, OSError):
    """A checkpoint that is damaged, foreign or missing; the message is limited to 500 characters.

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


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


class DivergenceError(DeltaruleError, ArithmeticError):
    """A loss or a parameter became NaN or infinite.

    >>> print(DivergenceError("loss", expected="a finite number", got="nan in step 3"))
    loss: expected a finite number, got nan in step 3.
    """


class DependencyError(DeltaruleError, ImportError):
    """An optional package is not installed; the hint names the command that installs it.

    >>> print(DependencyError("onnx", expected="the package onnx", got="none", hint="Install deltarule[onnx]."))
    onnx: expected the package onnx, got none.
      Install deltarule[onnx].
    """


class DataWarning(UserWarning):
    """Warning about data or a model that are probably not as intended."""


def whole_number(value: object, where: str, least: int | None = None) -> int:
    """Return an integer as an int; raise ArgumentError for anything else.

    NumPy integers are accepted, booleans and floats are not.

    Args:
        value: The argument to check.
        where: Its name in the error message.
        least: The smallest accepted value.

    >>> whole_number(3, "epochs", least=1)
    3
    """
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or (least is not None and value < least):  # type: ignore[operator]  # a number by now
        limit = "" if least is None else f" ≥ {least}"
        raise ArgumentError(where, expected=f"a whole number{limit}", got=repr(value))
    return int(value)  # type: ignore[call-overload,no-any-return]  # a number by now


def real_number(value: object, where: str) -> float:
    """Return a number as an int or float; raise ArgumentError for booleans and anything else.

    >>> real_number(0.5, "momentum")
    0.5
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ArgumentError(where, expected="a number", got=repr(value))
    return int(value) if isinstance(value, Integral) else float(value)


_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def user_level() -> int:
    """Return the ``stacklevel`` of a warning that points to the line outside of this package that led to it.

    >>> user_level()
    1
    """
    level, frame = 1, sys._getframe(1)  # the documented way to read the stack
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level
