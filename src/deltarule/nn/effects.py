"""What ``forward`` does to a module beside its output: state that is assigned or set anew while a graph is built.

In a graph nothing may change: every assignment becomes the next value of a state tensor, which the training step
carries out once a step. The module itself is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltarule.errors import ArgumentError
from deltarule.tensor import tracing
from deltarule.tensor.tensor import Tensor

if TYPE_CHECKING:
    from deltarule.nn.tree import Tree


@dataclass
class Effects:
    """The next values of state tensors, by path."""

    state: dict[str, Tensor] = field(default_factory=dict)


@contextmanager
def observed(module: Tree) -> Iterator[Effects]:
    """Run ``forward`` with symbols: note what is assigned to tensors of the module, and take it back afterwards.

    Raises ArgumentError where a parameter is changed, or a tensor that is no state of the module, for its next value
    would be lost.
    """
    effects = Effects()
    before = list(module._tensors())
    state = {id(item) for _, item in module.named_state()}
    kept = [entry for entry in before if entry[3].requires_grad or id(entry[3]) in state]
    with tracing.inner_trace() as record:
        try:
            yield effects
            found = {id(tensor): Tensor(tensor._node) for tensor, _ in record.assigned.values()}
        finally:
            for tensor, node in record.assigned.values():
                tensor._node = node
            rebound = _taken_back(kept)
    names = {id(item): path for path, _, _, item in before}
    for tensor, _ in record.assigned.values():
        if id(tensor) not in state:
            raise _lost(module, names.get(id(tensor), tensor.name or "a tensor"), tensor)
        effects.state[names[id(tensor)]] = found[id(tensor)].detach()
    for path, old, new in rebound:
        if id(old) not in state:
            raise _lost(module, path, old)
        effects.state[path] = new.astype(old.dtype).detach()


def _taken_back(before: Sequence[tuple[str, Tree, str, Tensor]]) -> list[tuple[str, Tensor, Tensor]]:
    """Give attributes that were set to other tensors their own ones again; return path, own and other tensor."""
    rebound = []
    for path, owner, name, item in before:
        now = owner.__dict__.get(name, item)
        if now is not item and isinstance(now, Tensor):
            object.__setattr__(owner, name, item)
            rebound.append((path, item, now))
    return rebound


def _lost(module: Tree, name: str, tensor: Tensor) -> ArgumentError:
    if tensor.requires_grad:
        expected, hint = "parameters that the optimiser alone changes", "Keep what forward changes in a dr.tensor."
    else:
        expected = "state of the module to be assigned"
        hint = "Set the tensor as an attribute of the module, with a name that does not begin with an underscore."
    return ArgumentError(
        f"forward of {type(module).__name__}", expected=expected, got=f"a new value of {name}", hint=hint
    )
