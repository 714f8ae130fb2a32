"""What ``forward`` does to a module beside its output: state that is assigned or set anew while a graph is built.

In a graph nothing may change: every assignment becomes the next value of a state tensor, which the training step
carries out once a step. The module itself is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deltarule.errors import ArgumentError, ShapeError
from deltarule.shapes import show
from deltarule.tensor import tracing
from deltarule.tensor.tensor import Tensor

if TYPE_CHECKING:
    from deltarule.nn.module.tree import Tree


@dataclass
class Effects:
    """The next values of state tensors, by path."""

    state: dict[str, Tensor] = field(default_factory=dict)


@contextmanager
def observed(module: Tree, *, training: bool = True) -> Iterator[Effects]:
    """Run ``forward`` with symbols: note what is assigned to tensors of the module, and take it back afterwards.

    Raises ArgumentError where a parameter is changed, or a tensor that is no state of the module, for its next value
    would be lost; in training also where state would get another shape.
    """
    effects = Effects()
    before = list(module._tensors())
    state = {id(item) for _, item in module.named_state()}
    kept = [
        entry for entry in before if entry[3].requires_grad or id(entry[3]) in state
    ]
    places = list(_places(module))
    with tracing.inner_trace() as record:
        try:
            yield effects
            found = {
                id(tensor): Tensor(tensor._node)
                for tensor, _ in record.assigned.values()
            }
        finally:
            for tensor, node in record.assigned.values():
                tensor._node = node
            rebound = _taken_back(kept, places)
    names = {id(item): path for path, _, _, item in before}
    for tensor, _ in record.assigned.values():
        if id(tensor) not in state:
            raise _lost(
                module, names.get(id(tensor), tensor.name or "a tensor"), tensor
            )
        effects.state[names[id(tensor)]] = found[id(tensor)].detach()
    for path, old, new in rebound:
        if id(old) not in state:
            raise _lost(module, path, old)
        if training and new.shape != old.shape:
            raise ShapeError(
                f"forward of {type(module).__name__}",
                expected=f"state {path} of shape {show(old.shape)}",
                got=show(new.shape),
                hint="State keeps its shape: begin with zeros of the shape that it is to have.",
            )
        effects.state[path] = new.astype(old.dtype).detach()


def _places(module: Tree) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (holder, key, value) of every attribute, and of every entry of the lists and dictionaries among them."""
    for _, owner in module.named_modules():
        for name in [name for name in owner.__dict__ if name != "_own"]:
            yield from _entries(owner.__dict__, name)


def _entries(holder: Any, key: Any) -> Iterator[tuple[Any, Any, Any]]:
    value = holder[key]
    if isinstance(value, (Tensor, tuple)):
        yield holder, key, value
    elif isinstance(value, (list, dict)):
        yield holder, key, value
        for inner in list(value) if isinstance(value, dict) else range(len(value)):
            yield from _entries(value, inner)


def _taken_back(
    before: Sequence[tuple[str, Tree, str, Tensor]],
    places: Sequence[tuple[Any, Any, Any]],
) -> list[tuple[str, Tensor, Tensor]]:
    """Give places that hold other tensors now their own ones again; return path, own and other tensor."""
    owners = {id(owner): owner for _, owner, _, _ in before}
    found = {key: dict(owner._found()) for key, owner in owners.items()}
    rebound = []
    for path, owner, name, item in before:
        now = found[id(owner)].get(name, item)
        if now is not item and isinstance(now, Tensor):
            rebound.append((path, item, now))
    own = {id(item) for _, item, _ in rebound}
    for holder, key, value in places:
        if not _holds(value, own):
            continue
        if isinstance(holder, dict):
            holder[key] = value
        else:
            holder[key : key + 1] = [value]
    return rebound


def _holds(value: Any, own: set[int]) -> bool:
    """Whether a value is one of the tensors, or a container with one of them."""
    if isinstance(value, (list, tuple)):
        return any(_holds(item, own) for item in value)
    if isinstance(value, dict):
        return any(_holds(item, own) for item in value.values())
    return id(value) in own


def _lost(module: Tree, name: str, tensor: Tensor) -> ArgumentError:
    if tensor.requires_grad:
        expected, hint = (
            "parameters that the optimiser alone changes",
            "Keep what forward changes in a dr.tensor.",
        )
    else:
        expected = "state of the module to be assigned"
        hint = "Set the tensor as an attribute of the module, with a name that does not begin with an underscore."
    return ArgumentError(
        f"forward of {type(module).__name__}",
        expected=expected,
        got=f"a new value of {name}",
        hint=hint,
    )
