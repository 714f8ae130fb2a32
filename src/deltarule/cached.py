"""``cached_property`` without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

Value = TypeVar("Value")


class cached_property(Generic[Value]):  # noqa: N801  # named as in functools, whose place it takes
    """``functools.cached_property`` without the lock that Python 3.11 holds while the value is computed.

    That lock is shared by all instances of a class: threads wait for one another, and a process forked meanwhile
    deadlocks. Two concurrent threads may compute the value twice; the first result is kept.

    >>> class Square:
    ...     @cached_property
    ...     def area(self) -> int:
    ...         print("computed")
    ...         return 9
    >>> square = Square()
    >>> square.area + square.area
    computed
    18
    """

    def __init__(self, function: Callable[[Any], Value]) -> None:
        self._function = function
        self._name = function.__name__
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Value: ...

    def __get__(
        self, instance: object | None, owner: type | None = None
    ) -> Self | Value:
        if instance is None:
            return self
        value: Value = instance.__dict__.setdefault(
            self._name, self._function(instance)
        )
        return value
