"""The contents of a model file: architecture, values, frozen parameters, loss and history of the last fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltarule.train import checkpoint

if TYPE_CHECKING:
    from deltarule.nn.module.module import Module


def write(module: Module, path: str | Path) -> None:
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
