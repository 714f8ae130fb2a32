"""The order of the rows of every epoch, made while the epoch before is at work where there are many rows.

The first epoch has none before it: its steps begin as soon as the first part of its order is made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import final

import numpy as np

from deltarule.train.steps.engine import Rows

# rows from which on an order takes longer than it takes to start a thread
_PREFETCH_ROWS = 1 << 17
Parts = tuple[Rows, Iterable[int]]  # rows, and up to where they are made


@final
class EpochOrder:
    """The rows of an epoch, of which a thread may be making the rest.

    >>> order = EpochOrder(lambda: np.arange(9))
    >>> order.publish(np.arange(9), 5)
    >>> order.rows(0, 6, least=2).tolist(), order.rows(4, 9, least=1).tolist()
    ([0, 1, 2, 3], [4])
    """

    def __init__(self, whole: Callable[[], Rows]) -> None:
        self._whole = whole
        self._rows = np.zeros(0, np.int64)
        self._ready, self._failed = 0, False
        self._condition = threading.Condition()

    def publish(self, rows: Rows, ready: int) -> None:
        """Hand over the rows, of which the first ``ready`` are made."""
        with self._condition:
            self._rows, self._ready = rows, ready
            self._condition.notify_all()

    def compute(self, parts: Callable[[], Parts]) -> None:
        """Make the rows part by part; what goes wrong is told where they are asked for, which makes them again."""
        try:
            rows, ends = parts()
            for end in ends:
                self.publish(rows, end)
        except Exception:
            with self._condition:
                self._failed = True
                self._condition.notify_all()

    def rows(self, start: int, stop: int, least: int) -> Rows:
        """Return the rows from ``start`` on, a multiple of ``least`` and at most up to ``stop``: those made so far."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._ready >= start + least or self._failed
            )
        if self._ready < start + least:
            rows = self._whole()
            self.publish(rows, len(rows))
        ready = min(stop, self._ready) - start
        return self._rows[start : start + ready // least * least]


@final
class EpochOrders:
    """Gives the order of every epoch, the same values whether they were made beforehand or not.

    ``order`` makes one at once, ``parts`` part by part, where it is waited for.

    >>> orders = EpochOrders(lambda epoch: np.arange(3) + epoch, 3, epochs=2)
    >>> orders.of(0).rows(0, 3, 3).tolist(), orders.of(1).rows(0, 3, 3).tolist()
    ([0, 1, 2], [1, 2, 3])
    """

    def __init__(
        self,
        order: Callable[[int], Rows],
        n_rows: int,
        epochs: int,
        parts: Callable[[int], Parts] | None = None,
    ) -> None:
        self._order, self._epochs = order, epochs if n_rows >= _PREFETCH_ROWS else 0
        self._parts = parts
        self._epoch = -1  # that is being made, or is made
        self._made: EpochOrder | None = None
        self._maker: threading.Thread | None = None

    def prefetch(self, epoch: int) -> None:
        """Begin with the order of an epoch that comes next, in a thread of its own."""
        if epoch >= self._epochs or epoch == self._epoch:
            return
        before, soon = self._maker, None if self._maker else self._parts
        made = EpochOrder(lambda: self._order(epoch))
        self._epoch, self._made = epoch, made

        def at_once() -> Parts:
            rows = self._order(epoch)
            return rows, [len(rows)]

        def compute() -> None:
            if before is not None:
                before.join()
            made.compute(at_once if soon is None else lambda: soon(epoch))

        self._maker = threading.Thread(
            target=compute, name="deltarule-order", daemon=True
        )
        self._maker.start()

    def of(self, epoch: int) -> EpochOrder:
        """Return the order of an epoch, and begin with that of the next."""
        order, self._made = (self._made if epoch == self._epoch else None), None
        if order is None:
            order, rows = EpochOrder(lambda: self._order(epoch)), self._order(epoch)
            order.publish(rows, len(rows))
        self.prefetch(epoch + 1)
        return order
