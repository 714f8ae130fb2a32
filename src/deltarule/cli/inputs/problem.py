"""Losses given on the command line as FILE.py:NAME, where NAME is a loss or a function that returns one."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from deltarule.errors import ArgumentError, DeltaruleError
from deltarule.explain.formula.names import canonical
from deltarule.explain.grading.grading import likely_parameters
from deltarule.graph.walk import inputs
from deltarule.shapes import show
from deltarule.tensor.tensor import Tensor, depends_on_parameter

EXPECTED = "FILE.py:NAME, NAME a scalar tensor or a function that returns a loss, or (loss, variables)"


@dataclass(frozen=True)
class Problem:
    """A loss and the variables to differentiate with respect to.

    >>> from deltarule.tensor.tensor import parameter
    >>> w = parameter([1.0, 2.0], name="w")
    >>> Problem((w * w).sum(), (w,)).variable("w") is w
    True
    """

    loss: Tensor
    variables: tuple[Tensor, ...]

    def without(self, names: Collection[str]) -> list[Tensor]:
        """Return the variables other than those with some names."""
        given = {canonical(name) for name in names}
        return [
            variable
            for variable in self.variables
            if canonical(str(variable.node.attributes.get("name") or "")) not in given
        ]

    def variable(self, name: str, what: str = "--wrt") -> Tensor:
        """Return the variable with a name.

        Raises:
            ArgumentError: If there is none; the message lists the names.
        """
        known = {
            canonical(str(node.attributes["name"])): node
            for node in inputs([self.loss.node])
        }
        if canonical(name) not in known:
            raise ArgumentError(
                what, expected=f"names among {', '.join(known)}", got=repr(name)
            )
        node = known[canonical(name)]
        return next((v for v in self.variables if v.node is node), Tensor(node))


def load(place: str, wrt: str | None, *, vectors: bool = False) -> Problem:
    """Run a Python file and return the problem that it defines.

    Args:
        place: FILE.py:NAME.
        wrt: Comma-separated names of the variables; None for all parameters.
        vectors: Whether a vector is accepted in place of the scalar loss.

    Raises:
        ArgumentError: If there is no such file or name, or if it is not a loss.
    """
    found = defined(place, EXPECTED)
    loss, variables = (
        found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    )
    if not isinstance(loss, Tensor) or len(loss.shape) > vectors:
        got = (
            f"a tensor of shape {show(loss.shape)}"
            if isinstance(loss, Tensor)
            else type(loss).__name__
        )
        raise ArgumentError(f"problem {place!r}", expected=EXPECTED, got=got)
    problem = Problem(loss, _variables(loss, variables))
    if wrt is None:
        return problem
    return Problem(
        loss, tuple(problem.variable(part.strip()) for part in wrt.split(","))
    )


def defined(place: str, expected: str) -> Any:
    """Run a Python file and return what it defines under a name; a function is called.

    Args:
        place: FILE.py:NAME.
        expected: What is expected, for the message of the error.

    Raises:
        ArgumentError: If there is no such file or name.
    """
    file, separator, name = place.rpartition(":")
    path = Path(file)
    if not separator or path.suffix != ".py" or not path.is_file():
        raise ArgumentError(
            f"problem {place!r}",
            expected=expected,
            got="no such file" if separator else "no name",
        )
    module = _run(path)
    if not hasattr(module, name):
        raise ArgumentError(
            f"problem {place!r}",
            expected=f"a name that {path.name} defines",
            got=repr(name),
        )
    found = getattr(module, name)
    if callable(found) and not isinstance(found, Tensor):
        found = _guarded(found, path)
    return found


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ArgumentError(
            f"file {path}", expected="a Python file", got="something else"
        )
    module, loader = importlib.util.module_from_spec(spec), spec.loader
    _guarded(lambda: loader.exec_module(module), path)
    return module


def _guarded(run: Callable[[], Any], path: Path) -> Any:
    """Run code of the user's file; raise its exceptions as ArgumentError with the place."""
    try:
        return run()
    except (DeltaruleError, KeyboardInterrupt):
        raise
    except Exception as error:  # any exception of the user's code
        frames = traceback.extract_tb(error.__traceback__)
        lines = [
            frame.lineno
            for frame in frames
            if Path(frame.filename).absolute() == path.absolute()
        ]
        line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
        place = f"file {path}" if line is None else f"file {path}, line {line}"
        got = f"{type(error).__name__}: {error}".rstrip(": ")
        raise ArgumentError(place, expected="code that runs", got=got) from error


def _variables(loss: Tensor, given: Any) -> tuple[Tensor, ...]:
    """Return the given variables; else the parameters; else the inputs whose names are not those of data."""
    if isinstance(given, Sequence):
        return tuple(given)
    if isinstance(given, Tensor):
        return (given,)
    parameters = [node for node in inputs([loss.node]) if depends_on_parameter(node)]
    return tuple(Tensor(node) for node in parameters or likely_parameters(loss.node))
