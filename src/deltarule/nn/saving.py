"""Saving and loading models: the architecture as plain data, the values as named arrays, in one safetensors file.

The architecture of built-in layers is stored with the model. A package above this one
registers its modules as ``package.Class``; loading a file that names one of them
imports that package. A user-defined class is code: construct the module and pass it to
``load``, which fills in its values.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from deltarule import losses
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, CheckpointError
from deltarule.nn import layers
from deltarule.nn.init import DEFAULT_SEED
from deltarule.nn.layers.activation import DeclaredActivation, Function
from deltarule.nn.module import state_dict
from deltarule.nn.module.module import Module
from deltarule.renamed import RENAMED_LAYERS
from deltarule.runtime.buffers import Array
from deltarule.shapes import count, show
from deltarule.train import History, checkpoint

__all__ = ["LAYERS", "build", "load", "register"]


def _built_in() -> Iterator[type[Module]]:
    """Yield the layers of ``nn.layers``: its final classes, except functions, which are code."""
    for found in pkgutil.iter_modules(layers.__path__, f"{layers.__name__}."):
        for kind in vars(importlib.import_module(found.name)).values():
            own = isinstance(kind, type) and kind.__module__ == found.name
            if own and issubclass(kind, Module) and "__final__" in vars(kind):
                yield kind


LAYERS: Mapping[str, type[Module]] = {
    kind.__name__: kind for kind in _built_in() if kind is not Function
}

Factory = Callable[[dict[str, Module], dict[str, Any]], Module]
_PACKAGES = ("generative",)  # packages that a file may refer to
_REGISTERED: dict[str, Factory] = {}


def register(name: str, make: Factory) -> None:
    """Register a module of a package above this one under the name ``package.Class``, so that files can refer to it.

    ``make`` builds the module from its children and its arguments.
    """
    _REGISTERED[name] = make


def _factory(name: str) -> Factory | None:
    """Return the function that makes a module from children and arguments, or None for an unknown class."""
    name = RENAMED_LAYERS.get(name, name)
    package, dot, _ = name.partition(".")
    if dot and package in _PACKAGES and name not in _REGISTERED:
        importlib.import_module(f"deltarule.{package}")
    kind = LAYERS.get(name) or DeclaredActivation.layers.get(name)
    return _REGISTERED.get(name) if kind is None else kind.from_config


def build(
    config: Mapping[str, Any],
    weights: Mapping[str, Array] | None = None,
    path: str = "",
) -> Module:
    """Build a new module from the architecture that ``Module.config`` returned.

    Args:
        config: The architecture: ``class``, ``arguments`` and ``children``.
        weights: The arrays of a file by name. The shapes that the architecture declares are compared with them layer by
            layer, before any memory is allocated.
        path: Name of the module within the network.

    Raises:
        CheckpointError: For an unknown class, or for arguments or shapes that do not fit.

    >>> build({"class": "Linear", "arguments": {"in_features": 3, "out_features": 2}})
    Linear(3→2)
    """
    name, arguments = str(config.get("class")), dict(config.get("arguments", {}))
    children = {
        child: build(inner, weights, f"{path}.{child}" if path else child)
        for child, inner in config.get("children", {}).items()
    }
    make = _factory(name)
    if make is None:
        near = get_close_matches(name, LAYERS, n=1)
        raise CheckpointError(
            f"layer {name[:50]!r}",
            expected="a built-in class" + (f" such as {near[0]}" if near else ""),
            got="a class that this version does not have",
            hint="Update deltarule, or construct the module yourself: load(path, model=…).",
        )
    if weights is not None:
        _check_sizes(arguments, weights, f"layer {path or name}")
    try:
        module = make(children, arguments)
    except (TypeError, ArgumentError) as error:
        got = (
            f"{error.got}, where it takes {error.expected}"
            if isinstance(error, ArgumentError)
            else str(error)
        )
        raise CheckpointError(
            f"layer {name}", expected="arguments that it takes", got=got
        ) from error
    if weights is not None:
        _check_shapes(module, weights, path)
    return module


_UNCHECKED_SIZE = 2**20  # sizes up to this need no array of that size in the file


def _check_sizes(
    arguments: Mapping[str, Any], weights: Mapping[str, Array], where: str
) -> None:
    """Reject sizes beyond every axis of the file's arrays: constructing a layer allocates running statistics."""
    most = max(
        [_UNCHECKED_SIZE, *(size for array in weights.values() for size in array.shape)]
    )
    for name, value in arguments.items():
        sizes = value if isinstance(value, (list, tuple)) else [value]
        large = [
            size for size in sizes if isinstance(size, (int, float)) and size > most
        ]
        if large and "seed" not in name:
            raise CheckpointError(
                where,
                expected=f"{name} as large as the arrays in the file",
                got=str(large[0]),
            )


def _check_shapes(module: Module, weights: Mapping[str, Array], path: str) -> None:
    """Compare the parameters that a module declares itself with a file's arrays, without initializing any."""
    for name, shape in module.parameter_shapes().items():
        whole = f"{path}.{name}" if path else name
        array = weights.get(whole)
        if array is not None and array.shape != shape:
            got = f"an array of shape {show(array.shape)}"
            raise CheckpointError(
                f"parameter {whole}", expected=f"shape {show(shape)}", got=got
            )
        if array is None and count(shape) > _UNCHECKED_SIZE:
            raise CheckpointError(
                f"parameter {whole}",
                expected=f"an array of shape {show(shape)}",
                got="none",
            )


def load(path: str | Path, model: Module | None = None) -> Module:
    """Load the model of a file written by ``model.save`` or by a checkpoint of ``fit``.

    Args:
        path: The file. A checkpoint gives the model as it was when the checkpoint was written.
        model: A module to fill with the file's values and return; needed for user-defined classes.

    Raises:
        CheckpointError: If the file is missing, damaged or of another format, or if its architecture is code and no
            ``model`` was given.

    >>> import tempfile
    >>> from deltarule import nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.Linear(2, 1).save(f"{folder}/model.safetensors")
    ...     load(f"{folder}/model.safetensors")
    Linear(2→1)
    """
    file = checkpoint.read(path, "model", "checkpoint")
    with checkpoint.foreign(f"file {path}", "the entries of a model"):
        return _restore(file, path, model)


def _restore(
    file: checkpoint.Container, path: str | Path, model: Module | None
) -> Module:
    """Return the module with a file's values, frozen parameters, loss and history."""
    document, weights = file.document, file.group("weights/")
    module = model if model is not None else _architecture(document, weights, path)
    try:
        state_dict.check_entries(module, weights, strict=True)
    except ArgumentError as error:
        raise CheckpointError(
            f"file {path}",
            expected=f"values for this {type(module).__name__}",
            got=error.got,
            hint=error.hint,
        ) from error
    if any(array.dtype.name == "float64" for array in weights.values()):
        module.astype("float64")
    module.load_state_dict(weights)
    loss, history = document.get("loss"), document["history"]
    if file.kind == "checkpoint":
        loss = document["signature"]["loss"]
        history = {**history, "step_losses": file.arrays["run/step_losses"].tolist()}
    frozen = _frozen(module, document)
    if frozen:
        module.freeze(*frozen)
    module.last_loss = None if loss is None else losses.from_config(loss)
    module.last_history = None if history is None else History.from_dict(history)
    return module


def _architecture(
    document: Mapping[str, Any], weights: Mapping[str, Array], path: str | Path
) -> Module:
    """Build the architecture of a file; raises CheckpointError if it is user-defined code."""
    if document["architecture"] is not None:
        module = build(document["architecture"], weights)
        module.initialize(DEFAULT_SEED)  # not counted: the values come from the file
        return module
    name = document.get("class", "Module")
    raise CheckpointError(
        f"file {path}",
        expected="an architecture of built-in layers",
        got=f"a {name}, which is a user-defined class (or uses one layer in several places)",
        hint=f"Construct the module and pass it: dr.load({str(path)!r}, model={name}(…)).",
    )


def _frozen(module: Module, document: Mapping[str, Any]) -> list[str]:
    """Return the frozen parameters: a model file lists them, a checkpoint lists the trainable ones."""
    if "frozen" in document:
        return list(document["frozen"])
    trainable = {name for name, *_ in document["signature"]["parameters"]}
    return [
        name
        for name, _ in module.named_parameters(include_frozen=True)
        if name not in trainable
    ]


check_calls(__name__)
