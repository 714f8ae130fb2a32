"""The order of the rows of every epoch, made while the epoch before is at work where there are many rows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import final

from deltarule.train.engine import Rows

_MANY = (
    1 << 17
)  # rows from which on an order takes longer than it takes to start a thread


@final
class Orders:
    """Gives ``order(epoch)``, the same values whether they were made beforehand or not.

    >>> import numpy as np
    >>> orders = Orders(lambda epoch: np.arange(3) + epoch, 3, epochs=2)
    >>> orders.of(0).tolist(), orders.of(1).tolist()
    ([0, 1, 2], [1, 2, 3])
    """

    def __init__(self, order: Callable[[int], Rows], n_rows: int, epochs: int) -> None:
        self._order, self._epochs = order, epochs if n_rows >= _MANY else 0
        self._epoch = -1  # that is being made, or is made
        self._made: list[Rows] = []
        self._maker: threading.Thread | None = None

    def expect(self, epoch: int) -> None:
        """Begin with the order of an epoch that comes next, in a thread of its own."""
        if epoch >= self._epochs or epoch == self._epoch:
            return
        made: list[Rows] = []
        self._epoch, self._made = epoch, made

        def make() -> None:
            try:
                made.append(self._order(epoch))
            except Exception:  # told where the order is asked for, which makes it again
                made.clear()

        self._maker = threading.Thread(target=make, name="deltarule-order", daemon=True)
        self._maker.start()

    def of(self, epoch: int) -> Rows:
        """Return the order of an epoch, and begin with that of the next."""
        found: Rows | None = None
        if epoch == self._epoch and self._maker is not None:
            self._maker.join()
            found = (
                self._made[0] if self._made else None
            )  # None: it failed there, and will tell here
        order = self._order(epoch) if found is None else found
        self.expect(epoch + 1)
        return order
