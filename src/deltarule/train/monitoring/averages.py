"""Averaged weights for validation and for the trained model."""

from __future__ import annotations

from typing import Any, final

from deltarule.errors import ArgumentError
from deltarule.optim import EMA, GradientAccumulation, Optimizer
from deltarule.runtime.buffers import Array
from deltarule.train.monitoring.callbacks import Callback, Session

__all__ = ["UseAverages"]


@final
class UseAverages(Callback):
    """Use the averaged weights of ``optim.EMA`` for validation and for the trained model.

    Training itself continues with the raw weights, also after a resume. Early stopping compares and restores the
    averages. Running statistics of batch normalisation are those of training.

    Raises:
        ArgumentError: Before the first step, unless the optimiser is an ``optim.EMA``.

    Reference: B. Polyak and A. Juditsky, Acceleration of stochastic approximation by averaging, 1992.

    >>> from deltarule import nn, optim
    >>> model = nn.Sequential(nn.Linear(1, 1, bias=False))
    >>> recipe = optim.EMA(inner=optim.SGD(learning_rate=0.1), decay=0.5)
    >>> given = {"loss": "mean_squared_error", "optimizer": recipe, "callbacks": [UseAverages()], "verbose": 0}
    >>> history = model.fit([[1.0]], [[1.0]], epochs=1, **given)
    """

    def on_train_begin(self, session: Any) -> None:
        """Check that the optimiser averages the weights."""
        self._average(session)

    def weights_to_keep(
        self, session: Session, weights: dict[str, Array]
    ) -> dict[str, Array]:
        """Return the weights with the parameters replaced by their averages."""
        names = session.parameter_names
        averages = self._average(session).averages(session.slots(), len(names))
        return weights | dict(zip(names, averages, strict=True))

    @staticmethod
    def _average(session: Any) -> EMA:
        optimizer: Optimizer | None = getattr(session, "optimizer", None)
        while isinstance(optimizer, GradientAccumulation):
            optimizer = optimizer.inner
        if not isinstance(optimizer, EMA):
            raise ArgumentError(
                "UseAverages",
                expected="an optimiser that averages the weights",
                got=type(optimizer).__name__,
                hint="Write optimizer=optim.EMA(inner=optim.Adam(), decay=0.999).",
            )
        return optimizer
