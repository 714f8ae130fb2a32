"""Metadata in model files: the data that a model was trained on, its classes and its test split."""

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

_KEY = "about"  # key in the file's JSON document
_KINDS = ("model", "checkpoint")


@dataclass(frozen=True)
class ModelMetadata:
    """The data that a model was trained on.

    Attributes:
        data: Name of the data set.
        task: "classification" or "regression".
        model: Name of the model.
        input_shape: Shape of one example.
        feature_names: Names of the features.
        class_names: Names of the classes.
        target: Name of the target column.
        seed: Seed of the split; with ``fingerprint`` it identifies the test part.
        fingerprint: SHA-256 of the data.
        schema: How the columns of a table become features; None in older files.
        drop_missing: Whether rows with missing values were dropped.
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
        """Return the metadata of a run on a data set."""
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
        """Add the metadata to a model file, which is replaced atomically."""
        container = checkpoint.read(path, *_KINDS)
        checkpoint.write(
            path,
            container.kind,
            container.arrays,
            {**container.document, _KEY: self.to_dict()},
        )


def open_model(path: Path) -> tuple[nn.Module, ModelMetadata]:
    """Return the model in a file, and its metadata."""
    document = checkpoint.read(path, *_KINDS).document
    if not isinstance(document.get(_KEY), dict):
        raise CheckpointError(
            f"file {path}",
            expected="a model that 'deltarule train' finished",
            got="one without the names of its classes and features",
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
            got="a variational autoencoder, which samples and reconstructs",
            hint="See its report. In Python: dr.load(path).sample(10).",
        )
    return load(path), ModelMetadata(**values)
