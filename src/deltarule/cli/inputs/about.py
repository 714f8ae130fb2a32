"""What a model file says of its data, so that answers have names and the test part can be found again."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from deltarule import nn
from deltarule.data import Dataset, TableSchema
from deltarule.data.dataset import Task
from deltarule.errors import CheckpointError
from deltarule.nn.saving import load
from deltarule.train import checkpoint

_KEY = "about"  # entry of the file's JSON document
_KINDS = ("model", "checkpoint")


@dataclass(frozen=True)
class ModelMetadata:
    """The data that a model was trained on; ``fingerprint`` and ``seed`` give its test part back.

    ``schema`` says how the columns of a table became features; older files have none.
    """

    data: str
    task: Task
    model: str
    input_shape: tuple[int, ...]
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    target: str
    seed: int
    fingerprint: str
    schema: TableSchema | None = None
    drop_missing: bool = False

    @staticmethod
    def of(
        data: Dataset,
        model: str,
        target: str,
        seed: int,
        fingerprint: str,
        drop_missing: bool = False,
    ) -> ModelMetadata:
        """Describe a data set and a run on it."""
        return ModelMetadata(
            data.name,
            data.task,
            model,
            data.input_shape,
            data.feature_names,
            data.class_names,
            target,
            seed,
            fingerprint,
            data.schema,
            drop_missing,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a JSON document."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **values,
            "schema": None if self.schema is None else self.schema.to_dict(),
        }

    def write(self, path: Path) -> None:
        """Add this to a model's file; the file is replaced as a whole."""
        container = checkpoint.read(path, *_KINDS)
        checkpoint.write(
            path,
            container.kind,
            container.arrays,
            {**container.document, _KEY: self.to_dict()},
        )


def open_model(path: Path) -> tuple[nn.Module, ModelMetadata]:
    """Return the model of a file and what the file says of its data."""
    document = checkpoint.read(path, *_KINDS).document
    if not isinstance(document.get(_KEY), dict):
        raise CheckpointError(
            f"file {path}",
            expected="a model that 'deltarule train' finished",
            got="one that does not say what its classes and features are",
            hint="Let the run finish ('deltarule train … --resume'), or use dr.load(path) in Python.",
        )
    known = {field.name for field in fields(ModelMetadata)}
    values: dict[str, Any] = {
        key: value for key, value in document[_KEY].items() if key in known
    }
    for name in ("input_shape", "feature_names", "class_names"):
        values[name] = tuple(values[name])
    if values.get("schema") is not None:
        values["schema"] = TableSchema.from_dict(values["schema"])
    if values["model"] == "vae":
        raise CheckpointError(
            f"file {path}",
            expected="a model that predicts",
            got="a variational autoencoder, which draws and reconstructs",
            hint="Its report shows what it does. In Python: dr.load(path).sample(10).",
        )
    return load(path), ModelMetadata(**values)
