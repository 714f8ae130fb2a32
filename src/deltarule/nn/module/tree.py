"""What a module consists of: parameters and submodules found among its attributes, by name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from deltarule import dtypes
from deltarule.arguments import NamedArguments
from deltarule.dtypes import DType
from deltarule.errors import DTypeError
from deltarule.flags import check_constructor, checks_flags, flag
from deltarule.graph.op import Op
from deltarule.losses import Loss
from deltarule.nn.init import DEFAULT_SEED, Initializer, generator, xavier_uniform
from deltarule.nn.module import freezing, state_dict
from deltarule.runtime.buffers import Array, leaf, value_of
from deltarule.shapes import count
from deltarule.tensor.tensor import Tensor, parameter, tensor
from deltarule.train import History
from deltarule.train.prediction.cached_programs import Predictions

if TYPE_CHECKING:
    from deltarule.nn.module.module import Module


@dataclass(frozen=True)
class ParameterSpec:
    """How a parameter is made; it is drawn at first use, when its name, and so its numbers, are settled."""

    shape: tuple[int, ...]
    initializer: Initializer | None  # None: chosen by the activation that follows
    groups: int = 1
    parts: int = (
        1  # equal parts along the first axis (gates, pieces), each drawn by itself
    )
    drawn: tuple[
        int, ...
    ] = ()  # the weight (out, …, in) whose numbers are drawn, if it is not of ``shape``
    place: Callable[[Array], Array] | None = None  # brings what is drawn to ``shape``

    def draw(self, rule: Initializer, random: np.random.Generator, dtype: str) -> Array:
        """Return first values by a rule, whose fans are those of one part, in an element type."""
        first, *rest = self.drawn or self.shape
        shape = (first // self.parts, *rest)
        kind = (
            dtype if self.place is None else "float64"
        )  # what is placed is rounded once, at the end
        drawn = [
            rule.values(shape, random, kind, self.groups) for _ in range(self.parts)
        ]
        values = drawn[0] if self.parts == 1 else np.concatenate(drawn)
        return values if self.place is None else self.place(values).astype(dtype)


@dataclass
class ModuleState:
    """What a module keeps about itself, apart from its attributes."""

    declared: dict[str, ParameterSpec] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)  # declared and not drawn yet
    frozen: set[str] = field(default_factory=set)
    still: bool = (
        False  # frozen before there was a parameter: those that come are frozen too
    )
    address: str = ""
    seed: int | None = None
    inherited_seed: int = DEFAULT_SEED
    following: Initializer | None = None
    dtype: DType = dtypes.FLOAT32
    loss: Loss | None = None  # of the last fit: what the outputs mean
    history: History | None = None
    predictions: Predictions = field(default_factory=Predictions)


class Tree(metaclass=NamedArguments):
    """The part of ``Module`` that finds, names, freezes, draws, loads and copies parameters and submodules."""

    _own: ModuleState

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG004  # so that a subclass need not call super().__init__
        """Make a module with nothing in it."""
        made = super().__new__(cls)
        object.__setattr__(made, "_own", ModuleState())
        return made

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_constructor(cls)

    # ---------------------------------------------------------------- parameters

    def declare(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: Initializer | None = None,
        groups: int = 1,
        **how: Any,
    ) -> None:
        """Declare a parameter, drawn at first use by (seed, its name); see ``nn.init``, ``ParameterSpec``."""
        self._own.declared[name] = ParameterSpec(shape, initializer, groups, **how)
        self._own.pending.add(name)

    def _first_values(self, name: str) -> Array:
        own = self._own
        declared = own.declared[name]
        rule = declared.initializer or own.following or xavier_uniform()
        seed = own.inherited_seed if own.seed is None else own.seed
        return declared.draw(rule, generator(seed, self._path(name)), own.dtype.name)

    def _path(self, name: str) -> str:
        return f"{self._own.address}.{name}" if self._own.address else name

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__.get("_own")
        if own is not None and name in own.pending:
            made = Tensor(
                leaf(self._first_values(name), self._path(name)),
                name=self._path(name),
                requires_grad=True,
            )
            own.pending.discard(name)
            object.__setattr__(self, name, made)
            return made
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        self._own.pending.discard(name)
        object.__setattr__(self, name, value)
        if isinstance(value, (Tree, list, tuple, dict)):
            self._address_children()

    def __delattr__(self, name: str) -> None:
        if name not in self._own.pending:
            object.__delattr__(self, name)
        self._own.pending.discard(name)

    def _address_children(self) -> None:
        """Tell submodules their names, on which the first values of their parameters depend."""
        own = self._own
        for name, child in self.named_children():
            child._own.address = self._path(name)
            child._own.inherited_seed = (
                own.inherited_seed if own.seed is None else own.seed
            )
            child._address_children()

    # ---------------------------------------------------------------- what there is

    def _found(self) -> Iterator[tuple[str, Module | Tensor]]:
        """Yield modules and tensors among the attributes: declared parameters first, in order."""
        for name in self._own.declared:
            if name in self._own.pending or name in self.__dict__:
                yield from _inside(getattr(self, name), name)
        for name, value in list(self.__dict__.items()):
            if name != "_own" and name not in self._own.declared:
                yield from _inside(value, name)

    def named_children(self) -> list[tuple[str, Module]]:
        """Return direct submodules by name (``blocks.0`` for those in a list)."""
        found: list[tuple[str, Module]] = []
        for name, value in list(self.__dict__.items()):
            if name != "_own":
                found.extend(
                    (path, item)
                    for path, item in _inside(value, name)
                    if not isinstance(item, Tensor)
                )
        return found

    def named_modules(self, prefix: str = "") -> list[tuple[str, Module]]:
        """Return this module ("") and all below it, each once, by path."""
        self._address_children()
        found = list(_unique(self._walk(prefix)))
        for _, module in found:
            if module._own.still:
                module._own.still = False
                freezing.freeze(module, (), frozen=True)
        return found

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, cast("Module", self)  # the one class that is a Tree
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name)

    def own_tensors(self) -> list[tuple[str, Tensor]]:
        """Return the tensors that are attributes of this very module: parameters and state."""
        return [
            (name, item) for name, item in self._found() if isinstance(item, Tensor)
        ]

    def _tensors(self) -> Iterator[tuple[str, Module, str, Tensor]]:
        """Yield (path, owner, name in the owner, tensor) for each tensor once."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, item in module.own_tensors():
                if id(item) not in seen:
                    seen.add(id(item))
                    yield (f"{path}.{name}" if path else name), module, name, item

    @checks_flags
    def named_parameters(
        self, *, include_frozen: bool = False
    ) -> list[tuple[str, Tensor]]:
        """Return the parameters that are learned (and the frozen ones, if asked) by name, each once."""
        return [
            (path, item)
            for path, owner, name, item in self._tensors()
            if item.requires_grad and (include_frozen or name not in owner._own.frozen)
        ]

    def named_frozen(self) -> list[tuple[str, Tensor]]:
        """Return the parameters that are kept as they are, by name."""
        return [
            (path, item)
            for path, owner, name, item in self._tensors()
            if (item.requires_grad and name in owner._own.frozen)
            or (not item.requires_grad and name in owner._own.declared)
        ]

    def as_matrix(self, name: str, weight: Tensor) -> Tensor:
        """Return the matrix that one of this very module's weights stands for; a layer without some edges says so."""
        del name
        return weight

    def named_matrices(self) -> list[tuple[str, Tensor]]:
        """Return the learned parameters by name, with the zeros of edges that are absent (for penalties of rows)."""
        return [
            (path, owner.as_matrix(name, item))
            for path, owner, name, item in self._tensors()
            if item.requires_grad and name not in owner._own.frozen
        ]

    @checks_flags
    def parameters(self, *, include_frozen: bool = False) -> list[Tensor]:
        """Return the parameters that are learned (and the frozen ones, if asked)."""
        return [
            item for _, item in self.named_parameters(include_frozen=include_frozen)
        ]

    def named_state(self) -> list[tuple[str, Tensor]]:
        """Return the tensors that are kept and not learned: running statistics, constants."""
        return [
            (path, item)
            for path, _, name, item in self._tensors()
            if _is_state(name, item)
        ]

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of this very module's parameters, without drawing any."""
        own = self._own
        shapes = {
            name: own.declared[name].shape
            for name in own.declared
            if name in own.pending
        }
        return shapes | {name: item.shape for name, item in self._drawn()}

    def _drawn(self) -> Iterator[tuple[str, Tensor]]:
        """Yield this very module's parameters that have values already."""
        for name, value in list(self.__dict__.items()):
            if name != "_own":
                for path, item in _inside(value, name):
                    if isinstance(item, Tensor) and item.requires_grad:
                        yield path, item

    @property
    def n_parameters(self) -> int:
        """Number of learnable numbers, frozen ones included, shared ones once."""
        modules = [module for _, module in self.named_modules()]
        drawn = {
            id(item): item.size for module in modules for _, item in module._drawn()
        }
        pending = (
            m._own.declared[name].shape for m in modules for name in m._own.pending
        )
        return sum(drawn.values()) + sum(count(shape) for shape in pending)

    @property
    def depth(self) -> int:
        """Number of layers with weights; the input is no layer (NN-03)."""
        return sum(module.has_weights for _, module in self.named_modules())

    @property
    def has_weights(self) -> bool:
        """Whether this very module has weights, and not only biases or scales."""
        drawn = any(len(declared.drawn) > 1 for declared in self._own.declared.values())
        return drawn or any(
            len(shape) > 1 for shape in self.parameter_shapes().values()
        )

    @property
    def kept_predictions(self) -> Predictions:
        """The compiled programs of ``predict``, each kept as long as it fits."""
        return self._own.predictions

    # ---------------------------------------------------------------- changing it

    def freeze(self, *names: str) -> None:
        """Keep parameters as they are: names or patterns (``"0"``, ``"encoder.*"``, ``"*.bias"``); all without names.

        A module whose parameters are all frozen keeps its running statistics too.
        """
        freezing.freeze(self, names, frozen=True)

    @property
    def trainable(self) -> bool:
        """Whether any parameter is learned (True where there is none); setting it freezes or unfreezes all of them.

        >>> from deltarule import nn
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        >>> model[0].trainable = False
        >>> [name for name, _ in model.named_parameters()]
        ['1.weight', '1.bias']
        """
        return not self.parameters(include_frozen=True) or bool(self.parameters())

    @trainable.setter
    def trainable(self, value: bool) -> None:
        frozen = not flag(value, f"{type(self).__name__} trainable")
        freezing.freeze(self, (), frozen=frozen)
        self._own.still = frozen and not self.parameters(include_frozen=True)

    def unfreeze(self, *names: str) -> None:
        """Let parameters learn again: names or patterns; all without names."""
        freezing.freeze(self, names, frozen=False)

    def initialize(self, seed: int = DEFAULT_SEED) -> None:
        """Draw all declared parameters anew, by (seed, name); running statistics begin anew too.

        Without a call of it the seed is 0: two networks built alike start with the same weights, wherever they are
        made. Give those of an ensemble seeds of their own.

        >>> from deltarule import nn
        >>> members = [nn.Linear(2, 2) for _ in range(2)]
        >>> for seed, member in enumerate(members):
        ...     member.initialize(seed)
        >>> bool((members[0].weight.numpy() == members[1].weight.numpy()).any())
        False
        """
        self._address_children()
        for _, module in self.named_modules():
            module._own.seed = seed
            module.restart()

    def restart(self) -> None:
        """Draw this very module's declared parameters anew; a layer with running statistics resets those too."""
        for name in self._own.declared:
            if name not in self._own.pending:
                getattr(self, name).assign(self._first_values(name))

    def astype(self, dtype: str | DType) -> Self:
        """Convert all floating-point parameters and state in place (new tensors take their places); return self."""
        kind = dtypes.dtype(dtype)
        if not kind.is_float:
            raise DTypeError(
                "astype of a module", expected="float32 or float64", got=str(kind)
            )
        changed: dict[int, Any] = {}
        for _, owner, _, item in list(self._tensors()):
            if item.dtype.is_float:
                make = parameter if item.requires_grad else tensor
                changed[id(item)] = make(item.numpy().astype(kind.name), name=item.name)
            owner._own.dtype = kind
        for _, module in self.named_modules():
            for name, value in list(module.__dict__.items()):
                if name != "_own":
                    object.__setattr__(module, name, _replaced(value, changed))
        return self

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and state by name."""
        return {path: item.numpy() for path, item in self.named_tensors()}

    def named_tensors(self) -> list[tuple[str, Tensor]]:
        """Return parameters, frozen or not, and state by name."""
        return [
            (p, item)
            for p, _, name, item in self._tensors()
            if item.requires_grad or _is_state(name, item)
        ]

    @checks_flags
    def load_state_dict(self, values: dict[str, Any], *, strict: bool = True) -> None:
        """Take over values by name; nothing is changed if something does not fit.

        Raises ArgumentError that lists missing, unexpected and misshapen entries; with ``strict=False`` missing
        and unexpected names are passed over, wrong shapes never.
        """
        state_dict.load(self, values, strict=strict)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy structure and values; the copy shares nothing with the original."""
        twin: Self = type(self).__new__(type(self))
        memo[id(self)] = twin
        for _, item in self.own_tensors():
            make = parameter if item.requires_grad else tensor
            memo.setdefault(id(item), make(item.numpy(), name=item.name))
        for name, value in self.__dict__.items():
            object.__setattr__(twin, name, copy.deepcopy(value, memo))
        return twin


def _inside(value: Any, name: str) -> Iterator[tuple[str, Module | Tensor]]:
    """Yield modules and tensors in a value: itself, or what is in lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Tree):
        yield name, cast("Module", value)
    elif isinstance(value, (list, tuple)):
        for position, item in enumerate(value):
            yield from _inside(item, f"{name}.{position}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _inside(item, f"{name}.{key}")


def _unique(found: Iterator[tuple[str, Module]]) -> Iterator[tuple[str, Module]]:
    seen: set[int] = set()
    for path, module in found:
        if id(module) not in seen:
            seen.add(id(module))
            yield path, module


def _is_state(name: str, item: Tensor) -> bool:
    """Whether a tensor is a value to keep, and neither a parameter nor an input or result that was set aside."""
    known = item._node.op is Op.INPUT and value_of(item._node) is not None
    return known and not item.requires_grad and not name.startswith("_")


def _replaced(value: Any, changed: dict[int, Any]) -> Any:
    """Return a value with tensors exchanged, also in lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return changed.get(id(value), value)
    if isinstance(value, list):
        return [_replaced(item, changed) for item in value]
    if type(value) is tuple:
        return tuple(_replaced(item, changed) for item in value)
    if isinstance(value, dict):
        return {key: _replaced(item, changed) for key, item in value.items()}
    return value
