"""Shuffled row orders of epochs, prefetched in a thread during the previous epoch if there are many rows.

The steps of the first epoch begin as soon as the first part of its order is ready.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import final

import numpy as np

from deltarule.train.steps.engine import Rows

# number of rows above which shuffling takes longer than starting a thread
_PREFETCH_ROWS = 1 << 17
Parts = tuple[
    Rows, Iterable[int]
]  # rows, and the ends of their parts as these become ready


@final
class EpochOrder:
    """The row order of an epoch, which a thread may still be computing.

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
        """Publish the rows, of which the first ``ready`` are valid."""
        with self._condition:
            self._rows, self._ready = rows, ready
            self._condition.notify_all()

    def compute(self, parts: Callable[[], Parts]) -> None:
        """Compute the rows part by part; after an error ``rows`` computes them again, and raises it."""
        try:
            rows, ends = parts()
            for end in ends:
                self.publish(rows, end)
        except Exception:
            with self._condition:
                self._failed = True
                self._condition.notify_all()

    def rows(self, start: int, stop: int, least: int) -> Rows:
        """Return the ready rows in [start, stop): at least ``least``, and a multiple of it."""
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
    """The row orders of all epochs; prefetching does not change them.

    Args:
        order: Computes the order of an epoch.
        n_rows: Number of rows.
        epochs: Number of epochs.
        parts: Computes the order of an epoch part by part, for an order that is needed at once.

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
        self._epoch = -1  # that is being computed, or is ready
        self._made: EpochOrder | None = None
        self._maker: threading.Thread | None = None

    def prefetch(self, epoch: int) -> None:
        """Start computing the order of the next epoch in a thread."""
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
        """Return the order of an epoch, and prefetch that of the next."""
        order, self._made = (self._made if epoch == self._epoch else None), None
        if order is None:
            order, rows = EpochOrder(lambda: self._order(epoch)), self._order(epoch)
            order.publish(rows, len(rows))
        self.prefetch(epoch + 1)
        return order
