"""Numbers of networks within a module: taken by a new network, passed on to its submodules, given back by its parts."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from deltarule.arguments import NamedArguments
from deltarule.nn.init import generator
from deltarule.nn.numbering import NetworkNumber, take_number

Declared = tuple[str, tuple[int, ...], bool]  # name, shape, whether without values yet
PLAIN = frozenset({bool, float, int, str, type(None)})  # types that hold no module


class HasShape(Protocol):
    """How a parameter is initialized."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter."""
        ...


class Numbered(Protocol):
    """The internal state of a module: its parameters, and what their initial values depend on."""

    address: str
    parent: weakref.ref[Any] | None
    seed: int | None
    inherited_seed: int
    number: int | None
    taken: NetworkNumber | None

    @property
    def declared(self) -> Mapping[str, HasShape]:
        """Declared parameters by name."""
        ...

    @property
    def pending(self) -> Collection[str]:
        """Names of the parameters that have no values yet."""
        ...


class Network(Protocol):
    """A module with submodules."""

    @property
    def _own(self) -> Numbered: ...

    def _path(self, name: str) -> str: ...

    def named_children(self) -> Sequence[tuple[str, Network]]:
        """Return the direct submodules by name."""
        ...


class CountedNetworks(NamedArguments):
    """Metaclass of modules: a network takes its number among those built alike at the end of its constructor."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  # a metaclass
        """Construct a module."""
        made = super().__call__(*args, **kwargs)
        own, counted = made._own, list(_counted(made))
        is_new = own.parent is None and own.number is None
        if is_new and any(pending for _, _, pending in counted):
            _take(made, counted)
        else:
            pass_on(made)
        return made


def random_generator(module: Network, name: str) -> np.random.Generator:
    """Return the random generator of a parameter of a module."""
    own, path = module._own, module._path(name)
    if own.seed is not None:
        return generator(own.seed, path)
    if own.number is None:  # as in the constructor of its network
        whole = _outermost(module)
        _take(whole, _counted(whole))
    if own.number is None:  # that network has lost this module
        _take(module, _counted(module))
    return generator(own.inherited_seed, path, own.number or 0)


def pass_on(module: Network) -> None:
    """Pass name, seed and number of a module on to its submodules; what was a network is a part from now on."""
    own = module._own
    for name, child in module.named_children():
        below = child._own
        if below.taken is not None:
            if all(pending for _, _, pending in _counted(child)):
                below.taken.give_back()
            below.taken = None
        below.address, below.parent = module._path(name), weakref.ref(module)
        if own.seed is None:
            below.inherited_seed, below.number = own.inherited_seed, own.number
        else:
            below.inherited_seed, below.number = own.seed, 0
        pass_on(child)


def give_back(module: Network) -> None:
    """Give back the number of a network that gets a seed instead."""
    if module._own.taken is not None:
        module._own.taken.give_back()
        module._own.taken = None


def _take(module: Network, counted: Iterable[Declared]) -> None:
    """Take the next number among the networks with the same names and shapes, for all submodules."""
    own = module._own
    own.taken = take_number((name, shape) for name, shape, _ in counted)
    own.inherited_seed, own.number = own.taken.seed, own.taken.number
    pass_on(module)


def _outermost(module: Network) -> Network:
    """Return the network that a module is part of."""
    whole, parent = module, module._own.parent
    while parent is not None and (above := parent()) is not None:
        whole, parent = above, above._own.parent
    return whole


def _counted(module: Network, prefix: str = "") -> Iterator[Declared]:
    """Yield the declared parameters of a module and its submodules, except those with a given seed."""
    own = module._own
    if own.seed is not None:
        return
    for name, spec in own.declared.items():
        yield f"{prefix}{name}", spec.shape, name in own.pending
    for name, child in module.named_children():
        yield from _counted(child, f"{prefix}{name}.")
