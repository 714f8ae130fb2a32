"""Side effects of ``forward`` on a module: state that is assigned or rebound while a graph is built.

A graph is pure: every assignment becomes the next value of a state tensor, which the
training step applies once per step. The module itself is left unchanged.
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
    """The next values of state tensors, by name."""

    state: dict[str, Tensor] = field(default_factory=dict)


@contextmanager
def record_assignments(module: Tree, *, training: bool = True) -> Iterator[Effects]:
    """Run ``forward`` symbolically: record assignments to tensors of the module, and undo them afterwards.

    Raises ArgumentError if a parameter is assigned, or a tensor that is not state of
    the module, since its new value would be lost; in training also if the shape of
    state would change.
    """
    effects = Effects()
    before = list(module._tensors())
    state = {id(item) for _, item in module.named_state()}
    kept = [
        entry for entry in before if entry[3].requires_grad or id(entry[3]) in state
    ]
    places = list(_attribute_slots(module))
    with tracing.record_inner_trace() as record:
        try:
            yield effects
            found = {
                id(tensor): Tensor(tensor._node)
                for tensor, _ in record.assigned.values()
            }
        finally:
            for tensor, node in record.assigned.values():
                tensor._node = node
            rebound = _restore(kept, places)
    names = {id(item): path for path, _, _, item in before}
    for tensor, _ in record.assigned.values():
        if id(tensor) not in state:
            raise _assignment_error(
                module, names.get(id(tensor), tensor.name or "a tensor"), tensor
            )
        effects.state[names[id(tensor)]] = found[id(tensor)].detach()
    for path, old, new in rebound:
        if id(old) not in state:
            raise _assignment_error(module, path, old)
        if training and new.shape != old.shape:
            raise ShapeError(
                f"forward of {type(module).__name__}",
                expected=f"state {path} of shape {show(old.shape)}",
                got=show(new.shape),
                hint="The shape of state is fixed: initialize it with zeros of the final shape.",
            )
        effects.state[path] = new.astype(old.dtype).detach()


def _attribute_slots(module: Tree) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (container, key, value) of every attribute, and of every element of lists and dictionaries among them."""
    for _, owner in module.named_modules():
        for name in [name for name in owner.__dict__ if name != "_own"]:
            yield from _slots_of(owner.__dict__, name)


def _slots_of(holder: Any, key: Any) -> Iterator[tuple[Any, Any, Any]]:
    value = holder[key]
    if isinstance(value, (Tensor, tuple)):
        yield holder, key, value
    elif isinstance(value, (list, dict)):
        yield holder, key, value
        for inner in list(value) if isinstance(value, dict) else range(len(value)):
            yield from _slots_of(value, inner)


def _restore(
    before: Sequence[tuple[str, Tree, str, Tensor]],
    places: Sequence[tuple[Any, Any, Any]],
) -> list[tuple[str, Tensor, Tensor]]:
    """Restore the original tensors of rebound attributes; return name, original and new tensor."""
    owners = {id(owner): owner for _, owner, _, _ in before}
    found = {key: dict(owner._named_attributes()) for key, owner in owners.items()}
    rebound = []
    for path, owner, name, item in before:
        now = found[id(owner)].get(name, item)
        if now is not item and isinstance(now, Tensor):
            rebound.append((path, item, now))
    own = {id(item) for _, item, _ in rebound}
    for holder, key, value in places:
        if not _contains_any(value, own):
            continue
        if isinstance(holder, dict):
            holder[key] = value
        else:
            holder[key : key + 1] = [value]
    return rebound


def _contains_any(value: Any, own: set[int]) -> bool:
    """Whether a value is one of the tensors, or a container of one of them."""
    if isinstance(value, (list, tuple)):
        return any(_contains_any(item, own) for item in value)
    if isinstance(value, dict):
        return any(_contains_any(item, own) for item in value.values())
    return id(value) in own


def _assignment_error(module: Tree, name: str, tensor: Tensor) -> ArgumentError:
    if tensor.requires_grad:
        expected, hint = (
            "parameters that only the optimiser changes",
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
