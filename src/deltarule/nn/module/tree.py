"""The parameters, state and submodules of a module, registered by attribute name."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from deltarule import dtypes
from deltarule.arguments import former_attribute, restore
from deltarule.dtypes import DType
from deltarule.errors import DTypeError
from deltarule.flags import check_constructor, checks_flags, flag
from deltarule.graph.op import Op
from deltarule.losses import Loss
from deltarule.nn.init import DEFAULT_SEED, Initializer, xavier_uniform
from deltarule.nn.module import freezing, numbers, state_dict
from deltarule.nn.numbering import NetworkNumber
from deltarule.runtime.buffers import Array, leaf, value_of
from deltarule.shapes import count
from deltarule.tensor.tensor import Tensor, parameter, tensor
from deltarule.train import History
from deltarule.train.prediction.cached_programs import Predictions


@dataclass(frozen=True)
class ParameterSpec:
    """How a parameter is initialized; its values are drawn at first use, when its name is known.

    >>> from deltarule.nn.init import constant, generator
    >>> ParameterSpec((2,), constant(3.0)).draw(constant(3.0), generator(0, "scale"), "float32").tolist()
    [3.0, 3.0]
    """

    shape: tuple[int, ...]
    initializer: Initializer | None  # None: chosen by the activation that follows
    groups: int = 1
    # equal parts along the first axis (gates, pieces), each drawn separately
    parts: int = 1
    # shape of the weight (out, …, in) that is drawn, if other than ``shape``
    drawn: tuple[int, ...] = ()
    # converts the drawn weight to ``shape``
    place: Callable[[Array], Array] | None = None

    def draw(self, rule: Initializer, random: np.random.Generator, dtype: str) -> Array:
        """Return initial values by a rule, with the fans of one part, in the given element type."""
        first, *rest = self.drawn or self.shape
        shape = (first // self.parts, *rest)
        # with ``place`` values are rounded once, at the end
        kind = dtype if self.place is None else "float64"
        drawn = [
            rule.values(shape, random, kind, self.groups) for _ in range(self.parts)
        ]
        values = drawn[0] if self.parts == 1 else np.concatenate(drawn)
        return values if self.place is None else self.place(values).astype(dtype)


@dataclass
class ModuleState:
    """Internal state of a module, apart from its attributes."""

    declared: dict[str, ParameterSpec] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)  # declared but not initialized yet
    frozen: set[str] = field(default_factory=set)
    # frozen before there was a parameter: later ones are frozen, too
    still: bool = False
    address: str = ""
    parent: weakref.ref[Any] | None = None  # the module that passed on the address
    seed: int | None = None  # given by the user
    inherited_seed: int = DEFAULT_SEED
    # how many networks were built alike before this one; None: not counted yet
    number: int | None = None
    taken: NetworkNumber | None = None  # of a module that is no part of another
    following: Initializer | None = None
    dtype: DType = dtypes.FLOAT32
    loss: Loss | None = None  # of the last fit, which defines what the outputs mean
    history: History | None = None
    predictions: Predictions = field(default_factory=Predictions)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled; the number belongs to both from now on and is not given back."""
        self.taken = None
        return {**self.__dict__, "parent": None}


class Tree(metaclass=numbers.CountedNetworks):
    """The part of ``Module`` that registers, freezes, initializes, loads and copies parameters and submodules.

    >>> from deltarule import nn
    >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU()).n_parameters
    9
    """

    _own: ModuleState

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG004  # so that a subclass need not call super().__init__
        """Create a module without attributes."""
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
        *,
        parts: int = 1,
        drawn: tuple[int, ...] = (),
        place: Callable[[Array], Array] | None = None,
    ) -> None:
        """Declare a parameter, initialized at first use from (seed, number of the network, name).

        Args:
            name: Name of the attribute.
            shape: Shape of the parameter.
            initializer: The rule; None for the rule of the activation that follows.
            groups: Number of groups of a grouped convolution, for its fans.
            parts: Number of equal parts along the first axis (gates, pieces), initialized separately.
            drawn: Shape of the weight (out, …, in) that the initializer draws, if other than ``shape``.
            place: Converts the drawn weight to ``shape``.

        >>> from deltarule import nn
        >>> class Scale(nn.Module):
        ...     def __init__(self):
        ...         self.declare("factor", (2,), nn.init.constant(3.0))
        ...     def forward(self, x):
        ...         return x * self.factor
        >>> Scale()([1.0, 2.0]).tolist()
        [3.0, 6.0]
        """
        self._own.declared[name] = ParameterSpec(
            shape, initializer, groups, parts, drawn, place
        )
        self._own.pending.add(name)

    def _initial_values(self, name: str) -> Array:
        own = self._own
        declared = own.declared[name]
        rule = declared.initializer or own.following or xavier_uniform()
        random = numbers.random_generator(self, name)
        return declared.draw(rule, random, own.dtype.name)

    def _path(self, name: str) -> str:
        return f"{self._own.address}.{name}" if self._own.address else name

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__.get("_own")
        if own is not None and name in own.pending:
            made = Tensor(
                leaf(self._initial_values(name), self._path(name)),
                name=self._path(name),
                requires_grad=True,
            )
            own.pending.discard(name)
            object.__setattr__(self, name, made)
            return made
        return former_attribute(self, name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore(self, state)

    def __setattr__(self, name: str, value: Any) -> None:
        self._own.pending.discard(name)
        object.__setattr__(self, name, value)
        if isinstance(value, (Tree, list, tuple, dict)):
            self._name_children()

    def __delattr__(self, name: str) -> None:
        if name not in self._own.pending:
            object.__delattr__(self, name)
        self._own.pending.discard(name)

    def _name_children(self) -> None:
        """Pass names, seeds and the number on to submodules: the initial values of their parameters depend on them."""
        numbers.pass_on(self)

    # ---------------------------------------------------------------- finding parts

    def _named_attributes(self) -> Iterator[tuple[str, Tree | Tensor]]:
        """Yield modules and tensors among the attributes: declared parameters first, in order."""
        for name in self._own.declared:
            if name in self._own.pending or name in self.__dict__:
                yield from _tensors_and_modules_in(getattr(self, name), name)
        for name, value in list(self.__dict__.items()):
            if name != "_own" and name not in self._own.declared:
                yield from _tensors_and_modules_in(value, name)

    def named_children(self) -> Sequence[tuple[str, Tree]]:
        """Return the direct submodules by name (``blocks.0`` for those in a list).

        >>> from deltarule import nn
        >>> nn.Sequential(first=nn.Linear(2, 3), second=nn.ReLU()).named_children()
        [('first', Linear(2→3)), ('second', ReLU)]
        """
        found: list[tuple[str, Tree]] = []
        for name, value in list(self.__dict__.items()):
            if name != "_own" and type(value) not in numbers.PLAIN:
                found.extend(
                    (path, item)
                    for path, item in _tensors_and_modules_in(value, name)
                    if not isinstance(item, Tensor)
                )
        return found

    def named_modules(self, prefix: str = "") -> Sequence[tuple[str, Tree]]:
        """Return this module ("") and all submodules, each once, by path.

        >>> from deltarule import nn
        >>> model = nn.Sequential(nn.Sequential(nn.Linear(2, 3)), nn.ReLU())
        >>> [name for name, _ in model.named_modules()]
        ['', '0', '0.0', '1']
        """
        self._name_children()
        found = list(_unique(self._walk(prefix)))
        for _, module in found:
            if module._own.still:
                module._own.still = False
                freezing.freeze(module, (), frozen=True)
        return found

    def _walk(self, prefix: str) -> Iterator[tuple[str, Tree]]:
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name)

    def own_tensors(self) -> list[tuple[str, Tensor]]:
        """Return the tensors that are attributes of this module itself: parameters and state.

        >>> from deltarule import nn
        >>> [name for name, _ in nn.Sequential(nn.Linear(2, 3)).own_tensors()]
        []
        """
        return [
            (name, item)
            for name, item in self._named_attributes()
            if isinstance(item, Tensor)
        ]

    def _tensors(self) -> Iterator[tuple[str, Tree, str, Tensor]]:
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
        """Return the trainable parameters (with ``include_frozen`` also the frozen ones) by name, each once.

        >>> from deltarule import nn
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> [(name, p.shape) for name, p in model.named_parameters()]
        [('0.weight', (3, 2)), ('0.bias', (3,))]
        """
        return [
            (path, item)
            for path, owner, name, item in self._tensors()
            if item.requires_grad and (include_frozen or name not in owner._own.frozen)
        ]

    def named_frozen(self) -> list[tuple[str, Tensor]]:
        """Return the frozen parameters by name.

        >>> from deltarule import nn
        >>> model = nn.Linear(2, 3)
        >>> model.freeze("weight")
        >>> [name for name, _ in model.named_frozen()]
        ['weight']
        """
        return [
            (path, item)
            for path, owner, name, item in self._tensors()
            if (item.requires_grad and name in owner._own.frozen)
            or (not item.requires_grad and name in owner._own.declared)
        ]

    def as_matrix(self, name: str, weight: Tensor) -> Tensor:
        """Return the matrix that a weight of this module represents; overridden by layers with absent edges."""
        del name
        return weight

    def named_matrices(self) -> list[tuple[str, Tensor]]:
        """Return the trainable parameters by name, with zeros for absent edges (for penalties on rows).

        >>> from deltarule import nn
        >>> [(name, matrix.shape) for name, matrix in nn.MaskedLinear([[1, 0], [1, 1]]).named_matrices()]
        [('weight', (2, 2)), ('bias', (2,))]
        """
        return [
            (path, owner.as_matrix(name, item))
            for path, owner, name, item in self._tensors()
            if item.requires_grad and name not in owner._own.frozen
        ]

    @checks_flags
    def parameters(self, *, include_frozen: bool = False) -> list[Tensor]:
        """Return the trainable parameters (with ``include_frozen`` also the frozen ones).

        >>> from deltarule import nn
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        >>> sum(p.size for p in model.parameters())
        13
        """
        return [
            item for _, item in self.named_parameters(include_frozen=include_frozen)
        ]

    def named_state(self) -> list[tuple[str, Tensor]]:
        """Return the tensors that are saved but not trained, such as running statistics, by name.

        >>> from deltarule import nn
        >>> [name for name, _ in nn.BatchNorm(4).named_state()]
        ['running_mean', 'running_variance']
        """
        return [
            (path, item)
            for path, _, name, item in self._tensors()
            if _is_state(name, item)
        ]

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of this module's own parameters, without initializing any.

        >>> from deltarule import nn
        >>> nn.Linear(2, 3).parameter_shapes()
        {'weight': (3, 2), 'bias': (3,)}
        """
        own = self._own
        shapes = {
            name: own.declared[name].shape
            for name in own.declared
            if name in own.pending
        }
        return shapes | {
            name: item.shape for name, item in self._initialized_parameters()
        }

    def _initialized_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield this module's own parameters that have values already."""
        for name, value in list(self.__dict__.items()):
            if name != "_own":
                for path, item in _tensors_and_modules_in(value, name):
                    if isinstance(item, Tensor) and item.requires_grad:
                        yield path, item

    @property
    def n_parameters(self) -> int:
        """Number of parameter values, frozen ones included, shared ones counted once."""
        modules = [module for _, module in self.named_modules()]
        drawn = {
            id(item): item.size
            for module in modules
            for _, item in module._initialized_parameters()
        }
        pending = (
            m._own.declared[name].shape for m in modules for name in m._own.pending
        )
        return sum(drawn.values()) + sum(count(shape) for shape in pending)

    @property
    def depth(self) -> int:
        """Number of layers with weights; the input layer is not counted."""
        return sum(module.has_weights for _, module in self.named_modules())

    @property
    def has_weights(self) -> bool:
        """Whether this module itself has weights, and not only biases or scales."""
        drawn = any(len(declared.drawn) > 1 for declared in self._own.declared.values())
        return drawn or any(
            len(shape) > 1 for shape in self.parameter_shapes().values()
        )

    @property
    def kept_predictions(self) -> Predictions:
        """The cached compiled programs of ``predict``."""
        return self._own.predictions

    # ---------------------------------------------------------------- changing values

    def freeze(self, *names: str) -> None:
        """Freeze parameters by name or pattern (``"0"``, ``"encoder.*"``, ``"*.bias"``); all of them by default.

        A module whose parameters are all frozen keeps its running statistics, too.

        >>> from deltarule import nn
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        >>> model.freeze("0")
        >>> [name for name, _ in model.named_parameters()]
        ['1.weight', '1.bias']
        """
        freezing.freeze(self, names, frozen=True)

    @property
    def trainable(self) -> bool:
        """Whether any parameter is trainable (True if there is none); setting it freezes or unfreezes all of them.

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
        """Make parameters trainable again by name or pattern; all of them by default.

        >>> from deltarule import nn
        >>> model = nn.Linear(2, 3)
        >>> model.freeze("*")
        >>> model.unfreeze("bias")
        >>> [name for name, _ in model.named_parameters()]
        ['bias']
        """
        freezing.freeze(self, names, frozen=False)

    def initialize(self, seed: int | None = None) -> None:
        """Initialize all declared parameters again, and reset running statistics.

        Networks of one architecture that are initialized with equal seeds have equal
        weights. Without a seed the parameters get back the values that they started
        with: those of the seed of the constructor or of the last ``initialize``, or
        else of the default seed (``dr.manual_seed``) and the number of the network.

        >>> from deltarule import nn
        >>> first, second = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> bool((first.weight == second.weight).numpy().any())
        False
        >>> first.initialize(1)
        >>> second.initialize(1)
        >>> bool((first.weight == second.weight).numpy().all())
        True
        """
        if seed is not None:
            numbers.give_back(self)
        for _, module in self.named_modules():
            if seed is not None:
                module._own.seed = seed
            module.restart()

    def restart(self) -> None:
        """Initialize this module's own parameters again; layers with running statistics reset those, too.

        >>> from deltarule import nn
        >>> layer = nn.Linear(1, 1, init="zeros")
        >>> layer.weight.assign([[5.0]])
        >>> layer.restart()
        >>> layer.weight.tolist()
        [[0.0]]
        """
        for name in self._own.declared:
            if name not in self._own.pending:
                getattr(self, name).assign(self._initial_values(name))

    def astype(self, dtype: str | DType) -> Self:
        """Convert all floating-point parameters and state in place (new tensors replace them); return self.

        >>> from deltarule import nn
        >>> nn.Linear(2, 3).astype("float64").weight.dtype
        float64
        """
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
                    object.__setattr__(module, name, _replace_tensors(value, changed))
        return self

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and state by name.

        >>> from deltarule import nn
        >>> {name: array.shape for name, array in nn.Linear(2, 3).state_dict().items()}
        {'weight': (3, 2), 'bias': (3,)}
        """
        return {path: item.numpy() for path, item in self.named_tensors()}

    def named_tensors(self) -> list[tuple[str, Tensor]]:
        """Return all parameters, frozen or not, and state by name.

        >>> from deltarule import nn
        >>> [name for name, _ in nn.BatchNorm(4).named_tensors()]
        ['scale', 'shift', 'running_mean', 'running_variance']
        """
        return [
            (p, item)
            for p, _, name, item in self._tensors()
            if item.requires_grad or _is_state(name, item)
        ]

    @checks_flags
    def load_state_dict(self, values: dict[str, Any], *, strict: bool = True) -> None:
        """Assign parameters and state by name; nothing is changed if something does not fit.

        Raises ArgumentError that lists missing and unexpected entries and wrong shapes;
        with ``strict=False`` missing and unexpected names are ignored, wrong shapes
        never.

        >>> from deltarule import nn
        >>> first, second = nn.Linear(2, 3, seed=0), nn.Linear(2, 3, seed=1)
        >>> second.load_state_dict(first.state_dict())
        >>> bool((first.weight.numpy() == second.weight.numpy()).all())
        True
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


def _tensors_and_modules_in(
    value: Any, name: str
) -> Iterator[tuple[str, Tree | Tensor]]:
    """Yield the modules and tensors in a value: itself, or the elements of lists, tuples and dictionaries."""
    if isinstance(value, (Tensor, Tree)):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for position, item in enumerate(value):
            yield from _tensors_and_modules_in(item, f"{name}.{position}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _tensors_and_modules_in(item, f"{name}.{key}")


def _unique(found: Iterator[tuple[str, Tree]]) -> Iterator[tuple[str, Tree]]:
    seen: set[int] = set()
    for path, module in found:
        if id(module) not in seen:
            seen.add(id(module))
            yield path, module


def _is_state(name: str, item: Tensor) -> bool:
    """Whether a tensor is a value to keep: neither a parameter nor a symbolic input or result."""
    known = item._node.op is Op.INPUT and value_of(item._node) is not None
    return known and not item.requires_grad and not name.startswith("_")


def _replace_tensors(value: Any, changed: dict[int, Any]) -> Any:
    """Return a value with tensors replaced, also inside lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return changed.get(id(value), value)
    if isinstance(value, list):
        return [_replace_tensors(item, changed) for item in value]
    if type(value) is tuple:
        return tuple(_replace_tensors(item, changed) for item in value)
    if isinstance(value, dict):
        return {key: _replace_tensors(item, changed) for key, item in value.items()}
    return value
