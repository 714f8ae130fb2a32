"""Track the dependencies of a model's ``forward`` other than the values of its tensors, to invalidate cached programs.

A snapshot traverses an object (a module, a loss): attributes, containers, arrays, settings and, for code outside the
library, its functions with their closures and the globals that they use. Objects are compared by identity, arrays by
content. If something can't be tracked (a random generator, an object without attributes, an operating-system module),
there is no snapshot, and nothing is cached.
"""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import sys
import types
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain
from operator import attrgetter, is_
from typing import Any, NamedTuple

import numpy as np

from deltarule.dtypes import DType
from deltarule.graph.node import Node
from deltarule.tensor.tensor import Tensor

_MAX_OBJECTS = 20_000
_COPIED_BYTES = 1 << 16  # larger arrays are compared by digest
_PURE = {
    "abc",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "deltarule",
    "enum",
    "functools",
    "itertools",
    "math",
    "numpy",
    "operator",
    "types",
    "typing",
}


class _Pair(NamedTuple):
    first: int


_DESCRIPTORS = (
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    type(_Pair.first),
)
_IMMUTABLE = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type(Ellipsis),
    type(NotImplemented),
    range,
    slice,
    np.generic,
    np.dtype,
    np.ufunc,
    enum.Enum,
    DType,
    Node,
    types.GenericAlias,
    *_DESCRIPTORS,
)


_UNTRACKED_BUILTINS = {
    "open",
    "input",
    "eval",
    "exec",
    "globals",
    "__import__",
    "id",
    "hash",
}  # their results are not tracked


class _Bare:
    """An object whose state is entirely in its attributes; larger objects have hidden state in C."""


class _CannotBeTrackedError(Exception):
    """An object whose changes cannot be detected."""


class Snapshot:
    """The dependencies of an object at the time of construction; ``of`` returns None if they can't be tracked.

    >>> settings = {"scale": 2.0}
    >>> snapshot = Snapshot.of(settings)
    >>> settings["scale"] = 3.0
    >>> snapshot.is_valid()
    False
    """

    def __init__(self, *roots: Any) -> None:
        self.tensors: dict[int, Tensor] = {}
        self._tracked: list[Collection[Any]] = []
        self._functions: list[tuple[Any, tuple[Any, ...]]] = []
        self._tracked_names: list[
            tuple[Callable[[str], Any], tuple[str, ...], tuple[Any, ...]]
        ] = []
        self._arrays: list[tuple[np.ndarray[Any, Any], Any]] = []
        self._methods: dict[str, list[tuple[type, Any]]] = {
            "forward": [],
            "apply": [],
            "predict": [],
        }
        self._seen: dict[int, Any] = {}
        self._classes: set[type] = set()
        self._walk(roots)
        self._lengths = list(map(len, self._tracked))
        self._items_seen = list(chain.from_iterable(self._tracked))
        self._bound = [
            (
                attrgetter(name),
                [cls for cls, _ in found],
                [method for _, method in found],
            )
            for name, found in self._methods.items()
        ]

    @staticmethod
    def of(*roots: Any) -> Snapshot | None:
        """Return a snapshot of objects; None if they can't be tracked."""
        try:
            return Snapshot(*roots)
        except (
            _CannotBeTrackedError,
            RuntimeError,
            ValueError,
        ):  # or changed by another thread meanwhile
            return None

    def is_valid(self) -> bool:
        """Return whether nothing has changed since construction."""
        try:
            if list(map(len, self._tracked)) != self._lengths:
                return False
            if not all(map(is_, chain.from_iterable(self._tracked), self._items_seen)):
                return False
        except RuntimeError:  # changed by another thread during the comparison
            return False
        for method, classes, methods in self._bound:
            if not all(map(is_, map(method, classes), methods)):
                return False
        for get, names, values in self._tracked_names:
            if not all(map(is_, map(get, names), values)):
                return False
        for function, parts in self._functions:
            if not all(map(is_, _parts(function), parts)):
                return False
        return all(_content(array) == content for array, content in self._arrays)

    # ---------------------------------------------------------------- the walk

    def _walk(self, roots: Iterable[Any]) -> None:
        waiting = list(roots)
        while waiting:
            value = waiting.pop()
            if isinstance(value, _IMMUTABLE) or id(value) in self._seen:
                continue
            self._seen[id(value)] = value
            if len(self._seen) > _MAX_OBJECTS:
                raise _CannotBeTrackedError
            waiting.extend(self._visit(value))

    def _visit(self, value: Any) -> Iterable[Any]:
        """Track one object; return the objects that it refers to."""
        if isinstance(value, Tensor):
            self.tensors[id(value)] = value
            return ()
        if isinstance(value, np.ndarray):
            if value.dtype.hasobject or type(value) is not np.ndarray:
                raise _CannotBeTrackedError
            if value.flags.writeable or value.base is not None:
                self._arrays.append((value, _content(value)))
            return ()
        if isinstance(value, (tuple, frozenset)):
            return [*value, *self._attributes(value), *self._class(type(value))]
        if isinstance(value, (list, set, deque)):
            self._tracked.append(value)
            return [*value, *self._attributes(value), *self._class(type(value))]
        if isinstance(value, (dict, types.MappingProxyType)):
            return [
                *self._items(value),
                *self._attributes(value),
                *self._class(type(value)),
            ]
        return self._visit_code(value)

    def _visit_code(self, value: Any) -> Iterable[Any]:
        """Track a function, class or module; anything else is an object with attributes."""
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return value.__self__, value.__func__
        if isinstance(value, functools.partial):
            return value.func, value.args, value.keywords
        if isinstance(value, property):
            return value.fget, value.fset, value.fdel
        if isinstance(value, (staticmethod, classmethod)):
            return (value.__func__,)
        if isinstance(value, types.BuiltinFunctionType):
            owner = value.__self__
            if owner is not None and not _is_pure(owner):
                raise _CannotBeTrackedError
            return ()
        if isinstance(value, types.CellType):
            self._functions.append((value, _parts(value)))
            return _parts(value)
        if isinstance(value, types.ModuleType):
            if not _is_pure(value):
                raise _CannotBeTrackedError
            return ()
        return self._class(value) if isinstance(value, type) else self._object(value)

    def _object(self, value: Any) -> Iterable[Any]:
        cls = type(value)
        if _root(cls) in {
            "onnx",
            "onnx_ml_pb2",
            "google",
        }:  # the content of a file, which never changes
            return ()
        if not hasattr(value, "__dict__") or cls.__basicsize__ > _Bare.__basicsize__:
            raise _CannotBeTrackedError
        return [*self._attributes(value), cls]

    def _attributes(self, value: Any) -> Iterable[Any]:
        """Track the attributes of an object, except a module's own bookkeeping (``Own``)."""
        for slot in (name for base in type(value).__mro__ for name in _slots(base)):
            if hasattr(value, slot):
                raise _CannotBeTrackedError
        attributes = getattr(value, "__dict__", None)
        if attributes is None:
            return ()
        self._items(attributes)
        return [
            item
            for item in attributes.values()
            if type(item).__module__ != "deltarule.nn.module.tree"
        ]

    def _items(self, mapping: Mapping[Any, Any]) -> Iterable[Any]:
        self._tracked += [mapping.keys(), mapping.values()]
        return [*mapping.keys(), *mapping.values()]

    def _class(self, cls: type) -> Iterable[Any]:
        """Track a class and its bases: all attributes of foreign classes, the methods of the library's."""
        found: list[Any] = []
        for base in cls.__mro__:
            if base is object or base in self._classes:
                continue
            if base is cls or _root(base) != "deltarule":
                self._classes.add(base)
            if base is cls and _root(cls) == "deltarule":
                for name in filter(functools.partial(hasattr, cls), self._methods):
                    self._methods[name].append((cls, getattr(cls, name)))
            elif not _is_pure(base) and _root(base) != "builtins":
                self._items(base.__dict__)
                found += [
                    v
                    for name, v in base.__dict__.items()
                    if isinstance(v, types.FunctionType)
                    or not name.startswith(("__", "_abc_"))
                ]
        return found

    def _track_names(
        self, get: Callable[[str], Any], names: tuple[str, ...]
    ) -> tuple[Any, ...]:
        values = tuple(map(get, names))
        self._tracked_names.append((get, names, values))
        return values

    def _function(self, function: types.FunctionType) -> Iterable[Any]:
        self._functions.append((function, _parts(function)))
        found: list[Any] = [
            *(function.__defaults__ or ()),
            *(function.__kwdefaults__ or {}).values(),
        ]
        found += function.__closure__ or ()
        if function.__dict__:
            found += self._items(function.__dict__)
        if (function.__module__ or "").partition(".")[0] not in _PURE:
            found += self._globals(function)
        return found

    def _globals(self, function: types.FunctionType) -> Iterable[Any]:
        """Track the globals that a function uses, and the attributes that it uses of foreign modules."""
        names = tuple(dict.fromkeys(_names(function.__code__)))
        if any(
            name in _UNTRACKED_BUILTINS and name not in function.__globals__
            for name in names
        ):
            raise _CannotBeTrackedError
        found: list[Any] = []
        for value in self._track_names(function.__globals__.get, names):
            if not isinstance(value, types.ModuleType):
                found.append(value)
            elif _root(value) == "numpy" and "random" in names:
                raise _CannotBeTrackedError
            elif not _is_pure(value):
                if _root(value) in sys.stdlib_module_names:
                    raise _CannotBeTrackedError
                inside = self._track_names(vars(value).get, names)
                if any(
                    isinstance(item, types.ModuleType) and not _is_pure(item)
                    for item in inside
                ):
                    raise _CannotBeTrackedError
                found += inside
        return found


def _root(value: Any) -> str:
    """Return the name of the package that a class, function or module belongs to."""
    name = (
        value.__name__
        if isinstance(value, types.ModuleType)
        else getattr(value, "__module__", None)
    )
    return (name or "").partition(".")[0] if isinstance(name, str) else ""


def _is_pure(value: Any) -> bool:
    """Return whether the functions of a module, or of a class's module, are pure."""
    if isinstance(value, types.ModuleType) and value.__name__ == "builtins":
        return True
    if not isinstance(value, (types.ModuleType, type)):
        return False
    name = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
    return _root(value) in _PURE | {"builtins"} and not name.startswith("numpy.random")


def _slots(cls: type) -> tuple[str, ...]:
    names = cls.__dict__.get("__slots__", ())
    names = (names,) if isinstance(names, str) else tuple(names)
    return tuple(name for name in names if name not in {"__dict__", "__weakref__"})


def _names(code: types.CodeType) -> Iterable[str]:
    """Yield the global names and attributes that code reads, including nested functions."""
    if any(step.opname == "IMPORT_NAME" for step in dis.get_instructions(code)):
        raise _CannotBeTrackedError
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _parts(function: Any) -> tuple[Any, ...]:
    """Return the code and defaults of a function, or the content of a closure cell."""
    if isinstance(function, types.CellType):
        return (function.cell_contents,)
    return function.__code__, function.__defaults__, function.__kwdefaults__


def _content(array: np.ndarray[Any, Any]) -> Any:
    """Return the value that an array is compared by: shape, type, and its bytes or their digest."""
    content = (
        np.ascontiguousarray(array).tobytes()
        if array.nbytes <= _COPIED_BYTES
        else _digest(array)
    )
    return array.shape, array.dtype, content


def _digest(array: np.ndarray[Any, Any]) -> bytes:
    return hashlib.blake2b(
        np.ascontiguousarray(array).view(np.uint8).reshape(-1).data
    ).digest()
