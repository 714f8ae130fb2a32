"""The contents of a model file: architecture, values, frozen parameters, loss and history of the last fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from deltarule.losses import Loss
from deltarule.runtime.buffers import Array
from deltarule.tensor.tensor import Tensor
from deltarule.train import History, checkpoint


class SaveableModule(Protocol):
    """What a model file is written from; every ``Module`` is one."""

    @property
    def last_loss(self) -> Loss | None:
        """The loss of the last fit."""
        ...

    @property
    def last_history(self) -> History | None:
        """The history of the last fit."""
        ...

    def config(self) -> dict[str, Any] | None:
        """Return the architecture as plain data."""
        ...

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and state by name."""
        ...

    def named_parameters(
        self, *, include_frozen: bool = False
    ) -> list[tuple[str, Tensor]]:
        """Return the trainable parameters, or all of them, by name."""
        ...


def write(module: SaveableModule, path: str | Path) -> None:
    """Write a module to one file, atomically; see ``nn.saving.load``."""
    trainable = {name for name, _ in module.named_parameters()}
    every = [name for name, _ in module.named_parameters(include_frozen=True)]
    loss, history = module.last_loss, module.last_history
    document = {
        "class": type(module).__name__,
        "architecture": module.config(),
        "frozen": [name for name in every if name not in trainable],
        "loss": None if loss is None else loss.config(),
        "history": None if history is None else history.to_dict(),
    }
    arrays = {f"weights/{name}": array for name, array in module.state_dict().items()}
    checkpoint.write(path, "model", arrays, document)
