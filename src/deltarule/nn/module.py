"""Module: parameters, submodules, and a call. The base of every layer and of every network that a user writes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deltarule import dtypes, losses, train
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, DTypeError, ShapeError
from deltarule.graph.op import Op
from deltarule.losses import Loss
from deltarule.nn import context as contexts
from deltarule.nn import document, fault, freezing, state
from deltarule.nn.account import Account
from deltarule.nn.context import ForwardContext, Record, Visit
from deltarule.nn.init import DEFAULT_SEED, Initializer, generator, xavier_uniform
from deltarule.nn.summary import Summary, summarize
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape, count
from deltarule.tensor.functional import TensorLike, as_tensor
from deltarule.tensor.tensor import Tensor, parameter, tensor
from deltarule.train import History
from deltarule.train.protocol import Applied, Mode


@dataclass(frozen=True)
class Declared:
    """How a parameter is made; it is drawn at first use, when its name, and so its numbers, are settled."""

    shape: tuple[int, ...]
    initializer: Initializer | None  # None: chosen by the activation that follows
    groups: int = 1


@dataclass
class Own:
    """What a module keeps about itself, apart from its attributes."""

    declared: dict[str, Declared] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)  # declared and not drawn yet
    frozen: set[str] = field(default_factory=set)
    address: str = ""
    seed: int | None = None
    inherited_seed: int = DEFAULT_SEED
    following: Initializer | None = None
    dtype: DType = dtypes.FLOAT32
    loss: Loss | None = None  # of the last fit: what the outputs mean
    history: History | None = None


class Module:
    """Base of layers and networks: write ``forward(self, x)``, set layers and parameters as attributes.

    Attributes are found by name, also in lists, tuples and dictionaries: modules, parameters (``dr.parameter``),
    and state (``dr.tensor`` attributes, such as running statistics; those whose name begins with ``_`` are
    private). Calling a module runs ``forward`` in a mode, ``"inference"`` unless said otherwise; a submodule
    takes the mode of the call that it is part of.

    >>> from deltarule import nn
    >>> class Skip(nn.Module):
    ...     def __init__(self):
    ...         self.inner = nn.Linear(3, 3)
    ...     def forward(self, x):
    ...         return nn.relu(self.inner(x)) + x
    >>> [name for name, _ in Skip().named_parameters()]
    ['inner.weight', 'inner.bias']
    """

    _own: Own

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG004  # so that a subclass need not call super().__init__
        """Make a module with nothing in it."""
        made = super().__new__(cls)
        object.__setattr__(made, "_own", Own())
        return made

    # ---------------------------------------------------------------- to be written by layers and networks

    def forward(self, *inputs: Any) -> Any:
        """Return the output for the inputs."""
        raise ArgumentError(
            f"{type(self).__name__} of {len(inputs)} inputs",
            expected="a method forward(self, x)",
            got="none",
            hint="Write what the network does with its input as forward.",
        )

    def arguments(self) -> dict[str, Any] | None:
        """Return the arguments that construct this layer again, as plain data; None for a class of your own."""
        return None

    def account(self, inputs: Shape, output: Shape) -> Account:  # noqa: ARG002  # layers use them
        """Return the arithmetic of this layer for one example, for ``summary``."""
        return Account(flops=None)

    def example_rank(self) -> int | None:
        """Return how many axes one example has (an input with one more is a batch), or None if any will do."""
        return None

    def label(self) -> str:
        """Return the layer's short form in summaries and errors."""
        return type(self).__name__

    # ---------------------------------------------------------------- parameters

    def declare(
        self, name: str, shape: tuple[int, ...], initializer: Initializer | None = None, groups: int = 1
    ) -> None:
        """Declare a parameter, drawn at first use by (seed, its name in the network); see ``nn.init``."""
        self._own.declared[name] = Declared(shape, initializer, groups)
        self._own.pending.add(name)

    def _first_values(self, name: str) -> Array:
        own = self._own
        declared = own.declared[name]
        rule = declared.initializer or own.following or xavier_uniform()
        seed = own.inherited_seed if own.seed is None else own.seed
        values = rule.draw(declared.shape, generator(seed, self._path(name)), declared.groups)
        return values.astype(own.dtype.name)

    def _path(self, name: str) -> str:
        return f"{self._own.address}.{name}" if self._own.address else name

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__.get("_own")
        if own is not None and name in own.pending:
            made = parameter(self._first_values(name), name=self._path(name))
            own.pending.discard(name)
            object.__setattr__(self, name, made)
            return made
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        self._own.pending.discard(name)
        object.__setattr__(self, name, value)
        if isinstance(value, (Module, list, tuple, dict)):
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
            child._own.inherited_seed = own.inherited_seed if own.seed is None else own.seed
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
                found.extend((path, item) for path, item in _inside(value, name) if isinstance(item, Module))
        return found

    def named_modules(self, prefix: str = "") -> list[tuple[str, Module]]:
        """Return this module ("") and all below it, each once, by path."""
        self._address_children()
        return list(_unique(self._walk(prefix)))

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name)

    def own_tensors(self) -> list[tuple[str, Tensor]]:
        """Return the tensors that are attributes of this very module: parameters and state."""
        return [(name, item) for name, item in self._found() if isinstance(item, Tensor)]

    def _tensors(self) -> Iterator[tuple[str, Module, str, Tensor]]:
        """Yield (path, owner, name in the owner, tensor) for each tensor once."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, item in module.own_tensors():
                if id(item) not in seen:
                    seen.add(id(item))
                    yield (f"{path}.{name}" if path else name), module, name, item

    def named_parameters(self, *, include_frozen: bool = False) -> list[tuple[str, Tensor]]:
        """Return the parameters that are learned (and the frozen ones, if asked) by name, each once."""
        return [
            (path, item)
            for path, owner, name, item in self._tensors()
            if item.requires_grad and (include_frozen or name not in owner._own.frozen)
        ]

    def parameters(self, *, include_frozen: bool = False) -> list[Tensor]:
        """Return the parameters that are learned (and the frozen ones, if asked)."""
        return [item for _, item in self.named_parameters(include_frozen=include_frozen)]

    def named_state(self) -> list[tuple[str, Tensor]]:
        """Return the tensors that are kept and not learned: running statistics, constants."""
        return [(path, item) for path, _, name, item in self._tensors() if _is_state(name, item)]

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of this very module's parameters, without drawing any."""
        own = self._own
        shapes = {name: own.declared[name].shape for name in own.declared if name in own.pending}
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
        drawn = {id(item): item.size for module in modules for _, item in module._drawn()}
        pending = (m._own.declared[name].shape for m in modules for name in m._own.pending)
        return sum(drawn.values()) + sum(count(shape) for shape in pending)

    @property
    def depth(self) -> int:
        """Number of layers with weights; the input is no layer (NN-03)."""
        modules = (module for _, module in self.named_modules())
        return sum(any(len(shape) > 1 for shape in m.parameter_shapes().values()) for m in modules)

    # ---------------------------------------------------------------- changing it

    def freeze(self, *names: str) -> None:
        """Keep parameters as they are: names or patterns (``"0"``, ``"encoder.*"``, ``"*.bias"``); all without names.

        A module whose parameters are all frozen keeps its running statistics too.
        """
        freezing.freeze(self, names, frozen=True)

    def unfreeze(self, *names: str) -> None:
        """Let parameters learn again: names or patterns; all without names."""
        freezing.freeze(self, names, frozen=False)

    def initialize(self, seed: int = DEFAULT_SEED) -> None:
        """Draw all declared parameters anew, by (seed, name); running statistics begin anew too."""
        self._address_children()
        for _, module in self.named_modules():
            module._own.seed = seed
            module.restart()

    def restart(self) -> None:
        """Draw this very module's declared parameters anew; a layer with running statistics resets those too."""
        for name in self._own.declared:
            if name not in self._own.pending:
                getattr(self, name).assign(self._first_values(name))

    def astype(self, dtype: str | DType) -> Module:
        """Convert all floating-point parameters and state in place (new tensors take their places); return self."""
        kind = dtypes.dtype(dtype)
        if not kind.is_float:
            raise DTypeError("astype of a module", expected="float32 or float64", got=str(kind))
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
        return [(p, item) for p, _, name, item in self._tensors() if item.requires_grad or _is_state(name, item)]

    def load_state_dict(self, values: dict[str, Any], *, strict: bool = True) -> None:
        """Take over values by name; nothing is changed if something does not fit.

        Raises ArgumentError that lists missing, unexpected and misshapen entries; with ``strict=False`` missing
        and unexpected names are passed over, wrong shapes never.
        """
        state.load(self, values, strict=strict)

    def __deepcopy__(self, memo: dict[int, Any]) -> Module:
        """Copy structure and values; the copy shares nothing with the original."""
        twin: Module = type(self).__new__(type(self))
        memo[id(self)] = twin
        for _, item in self.own_tensors():
            make = parameter if item.requires_grad else tensor
            memo.setdefault(id(item), make(item.numpy(), name=item.name))
        for name, value in self.__dict__.items():
            object.__setattr__(twin, name, copy.deepcopy(value, memo))
        return twin

    # ---------------------------------------------------------------- calling it

    def __call__(
        self, *inputs: TensorLike, mode: Mode | None = None,
        seed: Tensor | int | None = None, step: Tensor | int | None = None,
    ) -> Any:  # fmt: skip
        """Return ``forward(*inputs)``; arrays become tensors.

        ``mode`` is that of the surrounding call, "inference" for the outermost one. In "training", dropout
        draws from (seed, step), and running statistics take their new values when the call is done.
        """
        tensors = tuple(as_tensor(x) for x in inputs)
        outer = contexts.current()
        if outer is not None:
            batched = self._batched(tensors) if outer.batched is None else outer.batched
            with contexts.entered(replace(outer, mode=_checked(mode or outer.mode), batched=batched)) as inner:
                return self._visit(inner, tensors)
        record = self.record(seed, step)
        output = self.run(record, tensors, mode or "inference", self._batched(tensors))
        record.settle()
        return output

    def apply(
        self, inputs: TensorLike, *, mode: Mode = "inference",
        seed: Tensor | int | None = None, step: Tensor | int | None = None,
    ) -> Applied:  # fmt: skip
        """Return output, new state and penalties for a batch as pure expressions; nothing is assigned."""
        record = self.record(seed, step)
        output = self.run(record, (as_tensor(inputs),), mode, batched=True)
        new = {path: record.updates[id(item)][1] for path, item in self.named_state() if id(item) in record.updates}
        return Applied(output, new, record.penalties)

    def record(self, seed: Tensor | int | None = None, step: Tensor | int | None = None) -> Record:
        """Return an empty record of a call, which knows the names of all modules below."""
        return Record({id(module): path for path, module in self.named_modules()}, seed, step)

    def run(self, record: Record, inputs: tuple[Tensor, ...], mode: Mode, batched: bool | None) -> Any:
        """Run ``forward`` as the outermost module and fill the record, up to the fault if there is one."""
        context = ForwardContext(record, _checked(mode), batched)
        with contexts.entered(context):
            return self._visit(context, inputs)

    def _batched(self, inputs: tuple[Tensor, ...]) -> bool | None:
        rank = self.example_rank()
        return None if rank is None or not inputs else inputs[0].ndim > rank

    def _visit(self, context: ForwardContext, inputs: tuple[Tensor, ...]) -> Any:
        """Run ``forward``; a layer is noted in the trail, an error is told with the path of shapes so far."""
        record = context.record
        try:
            output = self.forward(*inputs)
        except (ShapeError, DTypeError) as error:
            if record.fault is not None and record.fault is error:
                raise
            record.fault = fault.located(error, self, context, inputs)
            raise record.fault from error
        if isinstance(output, Tensor) and not self.named_children():
            record.trail.append(Visit(self, record.names.get(id(self), ""), inputs, output, bool(context.batched)))
        return output

    def hidden_features(self, x: TensorLike, *names: str) -> dict[str, Tensor]:
        """Return the outputs of the named layers (all layers without names) at inference, by path.

        A layer that is called again appears again as ``name#2``, … (NN-08, NN-19).
        """
        inputs, record = (as_tensor(x),), self.record()
        self.run(record, inputs, "inference", self._batched(inputs))
        found: dict[str, Tensor] = {}
        for visit in record.trail:
            calls = sum(key.partition("#")[0] == visit.name for key in found)
            found[f"{visit.name}#{calls + 1}" if calls else visit.name] = visit.output
        unknown = [name for name in names if name not in found]
        if unknown:
            raise ArgumentError(
                "hidden_features", expected=f"layers among {', '.join(found)}", got=", ".join(map(repr, unknown))
            )
        return {name: found[name] for name in names} if names else found

    def summary(self, input_shape: Sequence[int] | Sequence[Sequence[int]]) -> Summary:
        """Return a table of layers: output shapes and parameters with their arithmetic, flops, receptive field.

        ``input_shape`` is that of one example, channels last (a list of shapes for several inputs). If shapes do
        not fit, the table ends at the fault and says what would fit; no error is raised.
        """
        return summarize(self, input_shape)

    # ---------------------------------------------------------------- training it

    @property
    def last_loss(self) -> Loss | None:
        """The loss of the last ``fit``, which says what the outputs mean."""
        return self._own.loss

    @last_loss.setter
    def last_loss(self, loss: Loss | None) -> None:
        self._own.loss = loss

    @property
    def last_history(self) -> History | None:
        """The history of the last ``fit``."""
        return self._own.history

    @last_history.setter
    def last_history(self, history: History | None) -> None:
        self._own.history = history

    def fit(self, inputs: Any, targets: Any, *, loss: str | Loss, **options: Any) -> History:
        """Train on arrays and return the history; the options are those of ``deltarule.train.fit``.

        Among them ``optimizer``, ``epochs``, ``batch_size``, ``validation_data``, ``metrics``, ``regularizers``,
        ``callbacks``, ``seed``, ``device``, ``threads``, ``verbose``, ``checkpoint`` and ``resume``.
        """
        self._own.loss = losses.get(loss)
        self._own.history = train.fit(self, inputs, targets, loss=self._own.loss, **options)
        return self._own.history

    def evaluate(
        self, inputs: Any, targets: Any, loss: str | Loss | None = None, metrics: Sequence[Any] = (),
        **options: Any,
    ) -> dict[str, float]:  # fmt: skip
        """Return loss (that of the last ``fit`` unless given) and metrics in inference mode."""
        return train.evaluate(self, inputs, targets, self._meaning("evaluate", loss), metrics, **options)

    def predict(self, inputs: Any, **options: Any) -> Array:
        """Return the outputs for all inputs in inference mode: scores where the loss takes scores (NN-02)."""
        return train.predict(self, inputs, **options)

    def predict_proba(self, inputs: Any, loss: str | Loss | None = None, **options: Any) -> Array:
        """Return probabilities: the softmax or sigmoid that the loss of the last ``fit`` (or ``loss``) implies."""
        return train.predict(self, inputs, loss=self._meaning("predict_proba", loss), **options)

    def _meaning(self, where: str, loss: str | Loss | None) -> Loss:
        if loss is not None:
            return losses.get(loss)
        if self._own.loss is None:
            raise ArgumentError(
                where, expected="a model that was fitted, or a loss", got="neither",
                hint=f'Write model.{where}(…, loss="cross_entropy").',
            )  # fmt: skip
        return self._own.loss

    # ---------------------------------------------------------------- showing and saving it

    def save(self, path: str | Path) -> None:
        """Write the model to one file, atomically; ``dr.load(path)`` gives it back."""
        document.write(self, path)

    def config(self) -> dict[str, Any] | None:
        """Return plain data from which ``nn.save.build`` makes the architecture again; None for own classes."""
        arguments = self.arguments()
        return None if arguments is None else {"class": type(self).__name__, "arguments": arguments}

    def __repr__(self) -> str:
        children = self.named_children()
        if not children:
            return self.label()
        lines = [f"  {name}: {child!r}".replace("\n", "\n  ") for name, child in children]
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def _checked(mode: Mode) -> Mode:
    if mode not in {"training", "inference"}:
        raise ArgumentError("mode", expected="'training' or 'inference'", got=repr(mode))
    return mode


def _inside(value: Any, name: str) -> Iterator[tuple[str, Module | Tensor]]:
    """Yield modules and tensors in a value: itself, or what is in lists, tuples and dictionaries."""
    if isinstance(value, (Module, Tensor)):
        yield name, value
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
    """Whether a tensor is a value to keep, and neither a parameter nor a result that was set aside."""
    return not item.requires_grad and not name.startswith("_") and item._node.op is Op.INPUT


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
