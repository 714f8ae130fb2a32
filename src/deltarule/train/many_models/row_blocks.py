"""Row blocks for batched steps, and a buffer of their metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
RowOrders = Sequence[Rows | None]


def batch_counts(n: int, size: int) -> list[tuple[int, int]]:
    """Return the batches of n rows as (size, count), the smaller last one separately.

    >>> batch_counts(10, 4), batch_counts(8, 4), batch_counts(3, 4)
    ([(4, 2), (2, 1)], [(4, 2)], [(3, 1)])
    """
    full = min(size, n)
    return [(full, n // full), *([(n % full, 1)] if n % full else [])]


def batched_orders(
    orders: RowOrders, size: int, padding_row: int
) -> list[tuple[int, Rows]]:
    """Return (batch size, rows (steps, models, batch size)) for all models at once, larger batches first.

    A model without (further) rows gets the row ``padding_row``.

    >>> [(n, rows.tolist()) for n, rows in batched_orders([np.arange(3), np.arange(2), None], 2, 9)]
    [(2, [[[0, 1], [0, 1], [9, 9]]]), (1, [[[2], [9], [9]]])]
    """
    plans = [
        dict(batch_counts(len(order), size)) if order is not None else {}
        for order in orders
    ]
    starts = [0] * len(orders)
    found = []
    for width in sorted({width for plan in plans for width in plan}, reverse=True):
        steps = max(plan.get(width, 0) for plan in plans)
        rows = np.full((steps, len(orders), width), padding_row, np.int64)
        for i, (order, plan) in enumerate(zip(orders, plans, strict=True)):
            count = plan.get(width, 0)
            if order is not None and count:
                rows[:count, i] = order[starts[i] : starts[i] + count * width].reshape(
                    count, width
                )
                starts[i] += count * width
        found.append((width, rows))
    return found


class MetricsBuffer:
    """Metrics and batch sizes of every model's steps.

    >>> buffer = MetricsBuffer(2)
    >>> buffer.append(np.array([[1.0, 2.0]]), np.array([[True, False]]), size=4)
    >>> buffer.rows(0).tolist(), buffer.sizes(0).tolist()
    ([[1.0]], [4])
    """

    def __init__(self, n: int) -> None:
        self._rows: list[list[Numbers]] = [[] for _ in range(n)]
        self._sizes: list[list[int]] = [[] for _ in range(n)]

    def append(self, metrics: Numbers, mask: npt.NDArray[np.bool_], size: int) -> None:
        """Append steps of one batch size: metrics (steps, metrics · models), and the mask of valid blocks."""
        n = len(self._rows)
        by_model = metrics.reshape(len(metrics), -1, n)
        for i, own in enumerate(self._rows):
            own.append(by_model[mask[: len(metrics), i], :, i])
            self._sizes[i].extend([size] * len(own[-1]))

    def rows(self, i: int) -> Numbers:
        """Return the metrics (steps, metrics) of one model."""
        return np.concatenate(self._rows[i])

    def sizes(self, i: int) -> Rows:
        """Return the batch sizes (steps,) of one model."""
        return np.array(self._sizes[i], np.int64)
