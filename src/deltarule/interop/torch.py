"""Conversion of weights to and from PyTorch, through safetensors files; PyTorch itself is not required.

PyTorch stores channels first and has other names for its tensors; they are converted layer by layer::

    Linear, Maxout, Embedding   weight, bias                     the same
    Conv…                       weight (O, *k, I)                weight (O, I, *k)
    ConvTranspose…              weight (I, *k, O)                weight (I, O, *k)
    BatchNorm                   scale, shift, running_mean,      weight, bias, running_mean, running_var
                                running_variance
    LayerNorm, GroupNorm, …     scale, shift                     weight, bias
    PReLU                       alpha                            weight
    RNN, LSTM, GRU              input_weight, hidden_weight,     weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0
                                input_bias, hidden_bias          (cells: without _l0)
    MultiHeadAttention          projection_…, output_…           in_proj_…, out_proj.…
    TransformerBlock            attention, attention_norm,       self_attn, norm1, linear1, linear2, norm2
                                hidden, output, output_norm

After a ``Flatten`` of an image the order of the features differs; with ``input_shape`` they are reordered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from deltarule import nn
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, CheckpointError
from deltarule.flags import checks_flags
from deltarule.interop.image_inputs import ImageInputs
from deltarule.nn.layers.convolution import Convolution
from deltarule.nn.layers.group_normalisation import GroupedNormalisation
from deltarule.nn.layers.recurrent import RecurrentCell, RecurrentLayer
from deltarule.nn.layers.transposed_convolution import TransposedConvolution
from deltarule.shapes import show
from deltarule.tensor.tensor import Tensor
from deltarule.train.checkpoint import write_atomically

Array = npt.NDArray[Any]

__all__ = [
    "load_state_dict",
    "load_weights",
    "read_safetensors",
    "save_weights",
    "state_dict",
]
_NORM = {"scale": "weight", "shift": "bias", "running_variance": "running_var"}
_CELL = {
    "input_weight": "weight_ih",
    "hidden_weight": "weight_hh",
    "input_bias": "bias_ih",
    "hidden_bias": "bias_hh",
}
_ATTENTION = {
    "projection_weight": "in_proj_weight",
    "projection_bias": "in_proj_bias",
    "output_weight": "out_proj.weight",
    "output_bias": "out_proj.bias",
}
_TENSORS: tuple[tuple[type[nn.Module], dict[str, str]], ...] = (
    (nn.BatchNorm, _NORM),
    (nn.LayerNorm, _NORM),
    (GroupedNormalisation, _NORM),
    (nn.PReLU, {"alpha": "weight"}),
    (RecurrentLayer, {ours: f"{theirs}_l0" for ours, theirs in _CELL.items()}),
    (RecurrentCell, _CELL),
    (nn.MultiHeadAttention, _ATTENTION),
)
_CHILDREN: dict[type[nn.Module], dict[str, str]] = {
    nn.TransformerBlock: {
        "attention": "self_attn",
        "attention_norm": "norm1",
        "hidden": "linear1",
        "output": "linear2",
        "output_norm": "norm2",
    },
}
_COUNTER = "num_batches_tracked"  # of PyTorch's batch norm; unused here
_KINDS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


@dataclass(frozen=True)
class _Entry:
    """One tensor: its PyTorch name and shape, and the conversions of its values in both directions."""

    name: str
    item: Tensor
    to_torch: Callable[[Array], Array]
    from_torch: Callable[[Array], Array]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.to_torch(np.empty(self.item.shape, np.uint8)).shape


def state_dict(
    model: nn.Module,
    *,
    input_shape: Sequence[int] | None = None,
    names: Mapping[str, str] | None = None,
) -> dict[str, Array]:
    """Return the parameters and running statistics of a model with PyTorch's names and layouts.

    Args:
        model: Any model of layers; parameters of classes of your own are kept unchanged.
        input_shape: Shape of one example, channels last; required if an image is flattened.
        names: PyTorch's names of modules or tensors that differ, ``{"0": "features.0"}``; they are prefixes of
            everything below. Names that are not listed are kept.

    Raises:
        ArgumentError: A model with a ``Flatten`` and no ``input_shape``, or names that the model does not have.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, kernel_size=5), nn.BatchNorm(8))
    >>> {name: array.shape for name, array in state_dict(model, names={"1": "norm"}).items()}  # doctest: +ELLIPSIS
    {'0.weight': (8, 3, 5, 5), '0.bias': (8,), 'norm.weight': (8,), ..., 'norm.num_batches_tracked': ()}
    """
    entries = _entries(model, input_shape, names or {})
    values = {
        entry.name: np.ascontiguousarray(entry.to_torch(entry.item.numpy()))
        for entry in entries
    }
    counters = [name for name in values if name.rpartition(".")[2] == "running_mean"]
    return values | {
        name.removesuffix("running_mean") + _COUNTER: np.zeros((), np.int64)
        for name in counters
    }


@checks_flags
def load_state_dict(
    model: nn.Module,
    values: Mapping[str, Any],
    *,
    input_shape: Sequence[int] | None = None,
    names: Mapping[str, str] | None = None,
    strict: bool = True,
) -> None:
    """Load the arrays of a PyTorch state dictionary into a model.

    Args:
        model: Any model of layers.
        values: Arrays by name, ``{name: t.numpy() for name, t in torch_model.state_dict().items()}``.
        input_shape: Shape of one example, as in ``state_dict``.
        names: PyTorch's names, as in ``state_dict``.
        strict: Whether missing and unexpected entries are errors; otherwise they are ignored.

    Raises:
        ArgumentError: Entries that are missing, unexpected or of another shape, which are listed by PyTorch's names;
            the model is unchanged then.

    >>> model = nn.Linear(2, 1)
    >>> load_state_dict(model, {"weight": np.ones((1, 2)), "bias": np.zeros(1)})
    >>> model([[2.0, 3.0]]).tolist()
    [[5.0]]
    """
    entries = _entries(model, input_shape, names or {})
    given = {
        name: np.asarray(value)
        for name, value in values.items()
        if not name.endswith(_COUNTER)
    }
    wanted = {entry.name: entry for entry in entries}
    missing = [entry for entry in entries if strict and entry.name not in given]
    unexpected = [name for name in given if strict and name not in wanted]
    wrong = [
        entry
        for entry in entries
        if entry.name in given and given[entry.name].shape != entry.shape
    ]
    lines = [f"missing     {entry.name} {show(entry.shape)}" for entry in missing]
    lines += [f"unexpected  {name} {show(given[name].shape)}" for name in unexpected]
    lines += [
        f"shape       {entry.name}: the model has {show(entry.shape)}, given {show(given[entry.name].shape)}"
        for entry in wrong
    ]
    if lines:
        raise ArgumentError(
            f"PyTorch weights for {type(model).__name__}",
            expected=f"{len(entries)} entries that fit",
            got=f"{len(missing)} missing, {len(unexpected)} unexpected, {len(wrong)} of another shape",
            hint="\n  ".join(
                [*lines, "Other names go into names={our name: PyTorch's name}."]
            ),
        )
    for entry in entries:
        if entry.name in given:
            value = entry.from_torch(given[entry.name])
            entry.item.assign(np.ascontiguousarray(value, entry.item.dtype.name))


def save_weights(
    model: nn.Module,
    path: str | Path,
    *,
    input_shape: Sequence[int] | None = None,
    names: Mapping[str, str] | None = None,
) -> Path:
    """Write the weights of a model to a safetensors file, atomically.

    PyTorch reads it by ``torch_model.load_state_dict(safetensors.torch.load_file(path))``.

    Args:
        model: Any model of layers.
        path: The file.
        input_shape: Shape of one example, as in ``state_dict``.
        names: PyTorch's names, as in ``state_dict``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_weights(nn.Linear(2, 1), f"{folder}/linear.safetensors")
    ...     sorted(read_safetensors(path))
    ['bias', 'weight']
    """
    target = Path(path)
    write_atomically(
        target,
        save(
            state_dict(model, input_shape=input_shape, names=names),
            metadata={"format": "pt"},
        ),
    )
    return target


@checks_flags
def load_weights(
    model: nn.Module,
    path: str | Path,
    *,
    input_shape: Sequence[int] | None = None,
    names: Mapping[str, str] | None = None,
    strict: bool = True,
) -> None:
    """Load the weights of a safetensors file into a model.

    PyTorch writes it by ``safetensors.torch.save_file(torch_model.state_dict(), path)``. Half-precision values are
    converted to the model's element type.

    Args:
        model: Any model of layers.
        path: The file.
        input_shape: Shape of one example, as in ``state_dict``.
        names: PyTorch's names, as in ``state_dict``.
        strict: Whether missing and unexpected entries are errors; otherwise they are ignored.

    Raises:
        ArgumentError: As in ``load_state_dict``.
        CheckpointError: The file is missing, damaged or not a safetensors file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_weights(nn.Linear(2, 1), f"{folder}/linear.safetensors")
    ...     load_weights(nn.Linear(2, 1), path)
    """
    load_state_dict(
        model,
        read_safetensors(path),
        input_shape=input_shape,
        names=names,
        strict=strict,
    )


def read_safetensors(path: str | Path) -> dict[str, Array]:
    """Return the arrays of a safetensors file by name; bfloat16 is converted to float32.

    Raises:
        CheckpointError: The file is missing, damaged or not a safetensors file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     read_safetensors(save_weights(nn.Linear(2, 1), f"{folder}/linear.safetensors"))["weight"].shape
    (1, 2)
    """
    where = f"file {path}"
    try:
        held = deserialize(Path(path).read_bytes())  # type: ignore[no-untyped-call]  # safetensors declares none
    except SafetensorError as error:
        hint = "Files of torch.save are programs and are not read: write it with safetensors.torch.save_file."
        raise CheckpointError(
            where, expected="a whole safetensors file", got=str(error), hint=hint
        ) from error
    except OSError as error:
        raise CheckpointError(
            where, expected="a file that can be read", got=str(error)
        ) from error
    arrays = {}
    for name, entry in held:
        if entry["dtype"] == "BF16":  # the upper half of a float32
            upper = np.frombuffer(entry["data"], "<u2").astype(np.uint32)
            wide = upper << np.uint32(16)
            arrays[name] = wide.view(np.float32).reshape(entry["shape"])
        elif entry["dtype"] in _KINDS:
            arrays[name] = np.frombuffer(entry["data"], _KINDS[entry["dtype"]]).reshape(
                entry["shape"]
            )
        else:
            raise CheckpointError(
                f"{name} in {path}",
                expected=f"one of {', '.join(_KINDS)}",
                got=entry["dtype"],
            )
    return arrays


# -------------------------------------------------------------------- names and layouts


def _same(array: Array) -> Array:
    return array


def _entries(
    model: nn.Module, input_shape: Sequence[int] | None, names: Mapping[str, str]
) -> list[_Entry]:
    """Return the entries of all parameters and running statistics of a model, each once."""
    images = ImageInputs(model, input_shape)
    unused = set(names)
    seen: set[int] = set()
    entries = []
    for path, theirs, module in _walk(model, "", names.get("", ""), names):
        unused.discard(path)
        table = next(
            (table for kind, table in _TENSORS if isinstance(module, kind)), {}
        )
        kept = dict(module.named_tensors())
        for name, item in module.own_tensors():
            if name not in kept or id(item) in seen:
                continue
            seen.add(id(item))
            ours = f"{path}.{name}" if path else name
            unused.discard(ours)
            called = names.get(ours) or (
                f"{theirs}.{table.get(name, name)}" if theirs else table.get(name, name)
            )
            entries.append(
                _Entry(called, item, *_conversions(module, name, item, images))
            )
    if unused:
        known = ", ".join(path for path, _ in model.named_modules() if path)
        raise ArgumentError(
            "names",
            expected=f"modules of the model ({known})",
            got=", ".join(sorted(unused)),
        )
    return entries


def _walk(
    module: nn.Module, path: str, theirs: str, names: Mapping[str, str]
) -> Iterator[tuple[str, str, nn.Module]]:
    """Yield (our path, PyTorch's path, module) of a module and all its descendants."""
    yield path, theirs, module
    renamed = _CHILDREN.get(type(module), {})
    for name, child in module.named_children():
        below = f"{path}.{name}" if path else name
        usual = renamed.get(name, name)
        yield from _walk(
            child,
            below,
            names.get(below, f"{theirs}.{usual}" if theirs else usual),
            names,
        )


def _conversions(
    module: nn.Module, name: str, item: Tensor, images: ImageInputs
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return the conversions of an array to PyTorch's layout and back."""
    if isinstance(module, (Convolution, TransposedConvolution)) and name == "weight":
        return lambda a: np.moveaxis(a, -1, 1), lambda a: np.moveaxis(a, 1, -1)
    if isinstance(module, nn.LayerNorm) and item.ndim > 1 and images.is_image(module):
        return lambda a: np.moveaxis(a, -1, 0), lambda a: np.moveaxis(a, 0, -1)
    by_feature = (
        isinstance(module, (nn.Linear, nn.Maxout)) and name == "weight"
    ) or isinstance(module, (nn.BatchNorm, nn.LayerNorm, nn.PReLU))
    flat = images.flattened_shape(module)
    if flat is None or not by_feature or item.shape[-1] != int(np.prod(flat)):
        return _same, _same
    *sizes, channels = flat

    def to_torch(array: Array) -> Array:
        return np.moveaxis(
            array.reshape(*array.shape[:-1], *sizes, channels), -1, array.ndim - 1
        ).reshape(array.shape)

    def from_torch(array: Array) -> Array:
        return np.moveaxis(
            array.reshape(*array.shape[:-1], channels, *sizes), array.ndim - 1, -1
        ).reshape(array.shape)

    return to_torch, from_torch


check_calls(__name__)
