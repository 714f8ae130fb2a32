"""The default seed of initial weights, and the number of each network among those that are built alike.

Networks are alike if their parameters have the same names and shapes. A network takes its number when it is
constructed, so neither the order nor the process in which networks are first used changes their weights.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from operator import index
from typing import Any

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.nn.init import DEFAULT_SEED

__all__ = ["manual_seed"]


class _Numbering:
    """The numbers taken since the default seed was set, by the digest of names and shapes."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._next: dict[bytes, int] = {}
        self._returned: dict[bytes, list[int]] = {}

    def take(self, kind: bytes) -> int:
        """Return the smallest number that is free."""
        returned = self._returned.get(kind)
        if returned:
            return heappop(returned)
        number = self._next.get(kind, 0)
        self._next[kind] = number + 1
        return number

    def give_back(self, kind: bytes, number: int) -> None:
        """Make a number free again."""
        heappush(self._returned.setdefault(kind, []), number)


@dataclass(frozen=True)
class NetworkNumber:
    """The number of a network among those built alike, and the default seed at that time."""

    seed: int
    number: int
    kind: bytes
    numbering: _Numbering

    def give_back(self) -> None:
        """Make the number free for the next network that is built alike."""
        with _lock:
            self.numbering.give_back(self.kind, self.number)


_numbering = _Numbering(DEFAULT_SEED)
_lock = threading.Lock()


def _after_fork_in_child() -> None:
    """Replace the lock, which a thread that does not exist in the child may have held."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)


def take_number(parameters: Iterable[tuple[str, tuple[int, ...]]]) -> NetworkNumber:
    """Return the number of a new network with parameters of these names and shapes.

    >>> shapes = [("encoder.weight", (3, 7)), ("encoder.bias", (3,))]
    >>> take_number(shapes).number, take_number(shapes).number
    (0, 1)
    """
    kind = hashlib.sha256(repr(list(parameters)).encode()).digest()[:16]
    with _lock:
        return NetworkNumber(_numbering.seed, _numbering.take(kind), kind, _numbering)


def manual_seed(seed: Any) -> None:
    """Set the default seed of initial weights, and count networks anew from 0.

    The initial values of a parameter are a function of (seed, number, name), where number counts the networks that
    have been constructed with the same names and shapes of parameters since this call or the start of the program.
    The first of them has the weights of ``nn.Sequential(…, seed=seed)``. Networks that exist already keep theirs, and
    so do networks and layers with a ``seed`` of their own. The default seed is 0 until this call.

    The order of examples, dropout and random tensors have seeds of their own: ``fit(seed=…)``,
    ``random_normal(shape, seed=…)``.

    Args:
        seed: A whole number.

    Raises:
        ArgumentError: ``seed`` is not a whole number.

    >>> import deltarule as dr
    >>> dr.manual_seed(0)
    >>> first, second = dr.nn.Linear(2, 2), dr.nn.Linear(2, 2)
    >>> dr.manual_seed(0)
    >>> again = dr.nn.Linear(2, 2)
    >>> bool((first.weight == again.weight).numpy().all())
    True
    >>> bool((first.weight == second.weight).numpy().any())
    False
    """
    global _numbering
    try:
        whole = None if isinstance(seed, bool) else index(seed)
    except TypeError:
        whole = None
    if whole is None:
        raise ArgumentError("manual_seed", expected="a whole number", got=repr(seed))
    with _lock:
        _numbering = _Numbering(whole)


check_calls(__name__)
