"""Errors for calls that do not match a signature, which suggest the intended parameter.

Users may know parameters by their names in PyTorch, Keras or scikit-learn (``lr``, ``p``, ``kernel_regularizer``). A
misspelt or unknown keyword, a missing or surplus argument raises ArgumentError with the parameters of the signature.
A successful call of a checked function costs one more call in Python, about 0.1 µs.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from abc import ABCMeta
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

from deltarule.errors import ArgumentError, user_level
from deltarule.synonyms import ELSEWHERE, FORMER_NAMES, SYNONYMS

P = ParamSpec("P")
R = TypeVar("R")


def _ceil_mode(rounding: str) -> bool:
    if rounding not in {"floor", "ceil"}:
        raise ArgumentError(
            "rounding", expected="'floor' or 'ceil'", got=repr(rounding)
        )
    return rounding == "ceil"


_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {"rounding": _ceil_mode}


def _current_name(name: str, names: Collection[str]) -> str | None:
    """Return the one of ``names`` that a former name stands for, or None."""
    if name in names:
        return None
    return next((new for new in FORMER_NAMES.get(name, ()) if new in names), None)


def with_current_names(
    names: Collection[str], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return keyword arguments with names of earlier releases replaced by ``names``, those of the present one.

    >>> with_current_names(["x", "kernel_size"], {"window": 2})
    {'kernel_size': 2}
    """
    current = {}
    for name, value in kwargs.items():
        new = _current_name(name, names)
        if new is None or new in kwargs:
            current[name] = value
        else:
            current[new] = _CONVERSIONS[name](value) if name in _CONVERSIONS else value
    return current


def restore(made: Any, state: Mapping[str, Any]) -> None:
    """Set the attributes of an unpickled object, with former names of its parameters replaced."""
    ours = type(made).__module__.partition(".")[0] == __name__.partition(".")[0]
    if ours and FORMER_NAMES.keys() & state.keys():
        state = with_current_names(inspect.signature(type(made)).parameters, state)
    made.__dict__.update(state)


def former_attribute(made: Any, name: str) -> Any:
    """Return the attribute that has replaced ``name``, with a warning; raise AttributeError if there is none.

    >>> class Pool:
    ...     def __init__(self, kernel_size):
    ...         self.kernel_size = kernel_size
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     former_attribute(Pool(2), "window")
    2
    """
    current = _current_name(name, vars(made))
    if current is None:
        raise AttributeError(f"{type(made).__name__} has no attribute {name!r}")
    message = f"{type(made).__name__}.{name} is now {current}"
    warnings.warn(message, DeprecationWarning, stacklevel=user_level())
    return vars(made)[current]


def _renamed(
    function: Callable[..., Any], where: str, kwargs: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return arguments under their current names, with a warning; None if no former name is used."""
    if not FORMER_NAMES.keys() & kwargs.keys():
        return None
    names = inspect.signature(function).parameters
    current = with_current_names(names, kwargs)
    former = [name for name in kwargs if name not in current]
    if not former:
        return None
    changes = ", ".join(
        f"{name}= is now {_current_name(name, names)}=" for name in former
    )
    warnings.warn(f"{where}: {changes}", DeprecationWarning, stacklevel=user_level())
    return current


def unfitting(
    function: Callable[..., Any],
    where: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> ArgumentError | None:
    """Return the error for a call that does not match the signature, or None if it matches.

    Args:
        function: The function.
        where: Its name in the error message.
        args: Positional arguments.
        kwargs: Keyword arguments.

    >>> print(unfitting(len, "len", (), {"x": 1}) is None)
    False
    """
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return _signature_error(signature, where, args, kwargs)
    return None


def _signature_error(
    signature: inspect.Signature,
    where: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> ArgumentError:
    every = [p for p in signature.parameters.values() if p.name != "self"]
    parameters = [p for p in every if p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
    names = [p.name for p in parameters]
    placed = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    given = len(args) - ("self" in signature.parameters)
    shown = [f"*{p.name}" for p in every if p.kind is p.VAR_POSITIONAL] + names
    expected = f"arguments among {', '.join(shown)}" if shown else "no arguments"
    foreign = [name for name in kwargs if name not in names]
    if foreign and not any(p.kind is p.VAR_KEYWORD for p in every):
        hints = dict.fromkeys(filter(None, (_meant(name, names) for name in foreign)))
        got = ", ".join(f"{name}=" for name in foreign)
        return ArgumentError(where, expected=expected, got=got, hint=" ".join(hints))
    if given > len(placed) and len(shown) == len(names):
        rest = ", ".join(f"{name}=" for name in names if name not in placed)
        count = {0: "no argument", 1: "1 argument"}.get(
            len(placed), f"at most {len(placed)} arguments"
        )
        in_order = f" ({', '.join(placed)})" if placed else ""
        hint = f"By name only: {rest}." if rest else ""
        return ArgumentError(
            where, expected=f"{count} by position{in_order}", got=str(given), hint=hint
        )
    twice = [name for name in placed[:given] if name in kwargs]
    needed = [p.name for p in parameters if p.default is p.empty]
    missing = [
        name for name in needed if name not in kwargs and name not in placed[:given]
    ]
    got = f"{', '.join(twice)} twice" if twice else f"no {', '.join(missing)}"
    return ArgumentError(where, expected=expected, got=got)


def _meant(name: str, names: Sequence[str]) -> str:
    """Return a hint to the intended parameter for an unknown keyword."""
    ours = next((one for one in SYNONYMS.get(name, ()) if one in names), None)
    if ours is None and name in ELSEWHERE:
        return ELSEWHERE[name]
    near = [ours] if ours else get_close_matches(name.lower(), names, n=1, cutoff=0.7)
    return f"Did you mean {near[0]}= for {name}=?" if near else ""


def names_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that raises ArgumentError for misspelt, unknown, missing and surplus arguments.

    >>> @names_arguments
    ... def fit(x, *, learning_rate=0.1): ...
    >>> fit(0, lr=0.5)
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: fit: expected arguments among x, learning_rate, got lr=.
      Did you mean learning_rate= for lr=?
    """

    @functools.wraps(function)
    def checked_call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            current = _renamed(function, function.__name__, kwargs)
            if current is not None:
                return checked_call(*args, **current)
            wrong = unfitting(function, function.__name__, args, kwargs)
            if wrong is None:
                raise
        raise wrong

    return checked_call


def _names_arguments_of_method(
    function: Callable[..., Any], name: str | None = None
) -> Callable[..., Any]:
    """Return a method that raises ArgumentError for arguments that it does not accept.

    Args:
        function: The method; its first parameter, ``self`` or ``cls``, is not part of the message.
        name: The name in the message; by default that of the class.
    """

    @functools.wraps(function)
    def checked_call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            if not args:  # called on the class, without an instance
                raise
            cls = args[0] if isinstance(args[0], type) else type(args[0])
            current = _renamed(function, name or cls.__name__, kwargs)
            if current is not None:
                return checked_call(*args, **current)
            bound = functools.partial(function, args[0])
            wrong = unfitting(bound, name or cls.__name__, args[1:], kwargs)
            if wrong is None:
                raise
        raise wrong

    return checked_call


def check_calls(module: str) -> None:
    """Let the public functions and classes that a module defines raise ArgumentError for unsuitable arguments.

    Called as ``check_calls(__name__)`` at the end of a public module. Functions are treated as by ``names_arguments``,
    constructors and public methods of classes likewise. Exceptions and protocols are left alone, and so are special
    methods (``__add__``).

    >>> from deltarule import data
    >>> data.KFold(n_splits=5)
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: KFold: expected arguments among k, shuffle, seed, got n_splits=.
      Did you mean k= for n_splits=?
    """
    namespace = vars(sys.modules[module])
    checked: dict[int, Callable[..., Any]] = {}
    for name, found in list(namespace.items()):
        if getattr(found, "__module__", None) != module:
            continue
        if isinstance(found, type):
            _check_methods(found)
        if name.startswith("_"):
            continue
        if isinstance(found, FunctionType):
            if id(found) not in checked:
                checked[id(found)] = names_arguments(found)
            namespace[name] = checked[id(found)]
        elif isinstance(found, type) and not isinstance(found, NamedArguments):
            _check_constructor(found)


def _check_constructor(cls: type) -> None:
    method = "__new__" if issubclass(cls, tuple) else "__init__"
    function = cls.__dict__.get(method)
    own = not issubclass(cls, BaseException) and not getattr(cls, "_is_protocol", False)
    if isinstance(function, staticmethod):
        function = function.__func__
    if own and isinstance(function, FunctionType):
        setattr(cls, method, _names_arguments_of_method(function))


def _check_methods(cls: type) -> None:
    """Let the public methods that a class defines raise ArgumentError for unsuitable arguments."""
    if issubclass(cls, BaseException) or getattr(cls, "_is_protocol", False):
        return
    for name, found in list(vars(cls).items()):
        descriptor = type(found)
        function = getattr(found, "__func__", found)
        if name.startswith("_") or not isinstance(function, FunctionType):
            continue
        if function.__globals__ is globals():  # checked already
            continue
        if descriptor is staticmethod:
            type.__setattr__(cls, name, staticmethod(names_arguments(function)))
            continue
        checked: Any = _names_arguments_of_method(function, name)
        if descriptor is classmethod:
            checked = classmethod(checked)
        type.__setattr__(cls, name, checked)


class NamedArguments(ABCMeta):
    """Metaclass that raises ArgumentError for arguments that a constructor does not accept.

    The public methods of classes of this package are checked too.

    >>> class Dropout(metaclass=NamedArguments):
    ...     def __init__(self, drop_probability=0.5): ...
    >>> Dropout(p=0.5)
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: Dropout: expected arguments among drop_probability, got p=.
      Did you mean drop_probability= for p=?
    """

    def __init__(cls, *args: Any, **kwargs: Any) -> None:
        """Define a class."""
        super().__init__(*args, **kwargs)
        if cls.__module__.partition(".")[0] == __name__.partition(".")[0]:
            _check_methods(cls)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Construct an instance."""
        # object() accepts any arguments if there is a __new__
        if (args or kwargs) and _constructor(cls) is _nothing:
            raise _signature_error(
                inspect.signature(_nothing), cls.__name__, (None, *args), kwargs
            )
        try:
            return super().__call__(*args, **kwargs)
        except TypeError:
            wrong = None
            current = _renamed(_constructor(cls), cls.__name__, kwargs)
            if current is not None:
                return cls(*args, **current)
            if not inspect.isabstract(cls):
                wrong = unfitting(
                    _constructor(cls), cls.__name__, (None, *args), kwargs
                )
            if wrong is None:
                raise
        raise wrong

    @property
    def __signature__(cls) -> inspect.Signature:
        """The parameters of the constructor, for ``help`` and editors."""
        signature = inspect.signature(_constructor(cls))
        return signature.replace(parameters=list(signature.parameters.values())[1:])


def _constructor(cls: type) -> Callable[..., Any]:
    """Return the own or inherited ``__init__`` of a class."""
    found = (
        base.__dict__["__init__"]
        for base in cls.__mro__[:-1]
        if "__init__" in base.__dict__
    )
    constructor: Callable[..., Any] = next(found, _nothing)
    return constructor


def _nothing(self: object) -> None:
    """Stand for the constructor of a class without one."""
