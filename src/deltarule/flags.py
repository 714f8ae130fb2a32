"""Checks of boolean arguments: a parameter annotated ``bool`` accepts only True or False.

Every non-empty string is true in Python, even ``"no"``, so that an unchecked flag may be silently wrong. Functions and
classes are checked by ``checks_flags``, dataclasses by ``check_fields``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar

from deltarule.errors import ArgumentError

P = ParamSpec("P")
R = TypeVar("R")
_FLAG = frozenset({bool, "bool"})
_FLAG_OR_NONE = frozenset({bool | None, "bool | None"})


def flag(value: Any, where: str) -> bool:
    """Return a Python or NumPy boolean as a bool; raise ArgumentError for anything else.

    >>> flag("no", "Linear bias")
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: Linear bias: expected True or False, got 'no'.
    """
    if value is True or value is False:
        return value
    is_boolean = getattr(getattr(value, "dtype", None), "kind", "") == "b"
    if is_boolean and getattr(value, "shape", None) == ():
        return bool(value)
    raise ArgumentError(where, expected="True or False", got=_shown(value))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def flags_of(function: Callable[..., Any]) -> dict[str, tuple[int | None, bool]]:
    """Return the boolean parameters by name: position (None for keyword-only), and whether None is allowed.

    >>> def f(x, causal: bool = False, *, batched: bool | None = None): ...
    >>> flags_of(f)
    {'causal': (1, False), 'batched': (None, True)}
    """
    found: dict[str, tuple[int | None, bool]] = {}
    for place, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.annotation in _FLAG or parameter.annotation in _FLAG_OR_NONE:
            position = None if parameter.kind is parameter.KEYWORD_ONLY else place
            found[parameter.name] = position, parameter.annotation in _FLAG_OR_NONE
    return found


_flags_of_known = functools.lru_cache(maxsize=256)(flags_of)


def _is_flag(value: Any, optional: bool) -> bool:
    return value is True or value is False or (value is None and optional)


def checks_flags(function: Callable[P, R], where: str = "") -> Callable[P, R]:
    """Return a function with its boolean arguments checked; one without any is returned unchanged.

    >>> @checks_flags
    ... def attention(query, causal: bool = False): ...
    >>> attention(0, causal="no")
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: attention causal: expected True or False, got 'no'.
    """
    flags = flags_of(function)
    if not flags:
        return function
    owner, _, own = function.__qualname__.rpartition(".")
    name = where or (owner.rpartition(".")[2] if own == "__init__" else own)
    positions = [(key, place, optional) for key, (place, optional) in flags.items()]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        given: list[Any] | None = None
        for key, place, optional in positions:
            if key in kwargs:
                value = kwargs[key]
                if not _is_flag(value, optional):
                    kwargs[key] = flag(value, f"{name} {key}")
            elif place is not None and place < len(args):
                value = args[place]
                if not _is_flag(value, optional):
                    given = list(args) if given is None else given
                    given[place] = flag(value, f"{name} {key}")
        return function(*(args if given is None else given), **kwargs)

    return checked


def check_constructor(cls: type) -> None:
    """Add checks of boolean arguments to the constructor of a class of this package."""
    own = cls.__dict__.get("__init__")
    if (
        own is not None
        and cls.__module__.partition(".")[0] == __name__.partition(".")[0]
    ):
        type.__setattr__(cls, "__init__", checks_flags(own, cls.__name__))


def check_fields(made: Any) -> None:
    """Raise ArgumentError unless all fields of a dataclass annotated ``bool`` are True or False."""
    for field in fields(made):
        value = getattr(made, field.name)
        if field.type in _FLAG and value is not True and value is not False:
            object.__setattr__(
                made, field.name, flag(value, f"{type(made).__name__} {field.name}")
            )


def check_parameters(made: Any, names: Callable[..., Any]) -> None:
    """Raise ArgumentError unless the attributes of the boolean parameters of a constructor are True or False."""
    for name, (_, optional) in _flags_of_known(names).items():
        value = getattr(made, name)
        if not (value is None and optional):
            flag(value, f"{type(made).__name__} {name}")


def settles_fields(cls: type) -> None:
    """Let a dataclass check its boolean fields before ``__post_init__``; for ``__init_subclass__`` of a base."""
    own: Callable[[Any], None] = getattr(cls, "__post_init__", lambda _: None)
    if getattr(own, "settles_fields", False):
        return

    @functools.wraps(own)
    def settled(self: Any) -> None:
        check_fields(self)
        own(self)

    settled.settles_fields = True  # type: ignore[attr-defined]  # so that a subclass does not wrap it again
    type.__setattr__(cls, "__post_init__", settled)
