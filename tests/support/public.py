"""The public names of the package: what is reachable from ``deltarule`` through ``__all__``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import deltarule as dr


def public_callables() -> dict[str, Any]:
    """Return all public callables, by module and name."""
    found: dict[str, Any] = {}
    modules: list[ModuleType] = [dr]
    seen: set[str] = set()
    while modules:
        module = modules.pop()
        if module.__name__ in seen:
            continue
        seen.add(module.__name__)
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.ismodule(value):
                modules += [value] if value.__name__.startswith("deltarule.") else []
            elif callable(value):
                found[f"{module.__name__}.{name}"] = value
    return found


def public_functions() -> dict[str, Any]:
    """Return the public functions, each once, by the module that defines it."""
    return {
        f"{value.__module__}.{value.__qualname__}": value
        for value in public_callables().values()
        if inspect.isfunction(value)
    }


def public_classes() -> dict[str, type]:
    """Return the public classes, each once, by the module that defines it."""
    return {
        f"{value.__module__}.{value.__qualname__}": value
        for value in public_callables().values()
        if inspect.isclass(value)
    }


def public_methods() -> dict[str, Any]:
    """Return the methods without underscore of public classes and their bases in the package.

    A method that overrides one of a base class is left out: the example of the base class is enough. Properties are
    left out as well.
    """
    bases = {
        base
        for cls in public_classes().values()
        for base in cls.__mro__
        if base.__module__.startswith("deltarule.")
    }
    return {
        f"{cls.__module__}.{cls.__qualname__}.{name}": method
        for cls in bases
        for name, method in _methods_of(cls)
    }


def _methods_of(cls: type) -> Iterator[tuple[str, Any]]:
    above = [b for b in cls.__mro__[1:] if b.__module__.startswith("deltarule.")]
    for name, value in vars(cls).items():
        method = (
            value.__func__ if isinstance(value, classmethod | staticmethod) else value
        )
        is_new = not any(name in vars(base) for base in above)
        if name[0] != "_" and inspect.isfunction(method) and is_new:
            yield name, method
