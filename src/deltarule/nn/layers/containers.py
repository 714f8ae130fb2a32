"""Networks made of layers: one after another, side by side, with a skip path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, final

from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.nn.layers.activation import Activation
from deltarule.nn.module.module import Module
from deltarule.shapes import show
from deltarule.tensor.functional import TensorLike, concatenate
from deltarule.tensor.tensor import Tensor


def _module(value: object, where: str) -> Module:
    if not isinstance(value, Module):
        raise ArgumentError(
            where,
            expected="modules",
            got=f"{type(value).__name__} {value!r}",
            hint="Write nn.ReLU() for an activation, nn.Function(f) for a function of your own.",
        )
    return value


def choose_initializers(layers: list[Module]) -> None:
    """Tell each layer with weights the rule that the activation after it asks for.

    Between both there may be layers without weights of their own and normalisation; another layer with weights,
    or the end, means that no activation follows: Xavier's rule.
    """
    rule = None
    for layer in reversed(layers):
        if isinstance(layer, Activation):
            rule = layer.initializer()
        elif layer.has_weights or layer.named_children():
            layer._own.following = rule
            rule = None


@final
class Sequential(Module):
    """Layers one after another: f_D ∘ … ∘ f_1 (NN-05, NN-06, NN-18).

    Layers are named by number, or by keyword. ``init="auto"`` layers take the rule that the activation after
    them asks for. ``seed`` decides the first values of all layers that have no seed of their own.

    >>> from deltarule import nn
    >>> model = Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> model[0], len(model), model[1:]
    (Linear(4→3), 3, Sequential(
      0: ReLU
      1: Linear(3→1)
    ))
    >>> [name for name, _ in Sequential(features=model[:2], head=model[2]).named_parameters()]
    ['features.0.weight', 'features.0.bias', 'head.weight', 'head.bias']
    """

    def __init__(
        self, *layers: Module, seed: int | None = None, **named: Module
    ) -> None:
        numbered = {
            str(i): _module(layer, "Sequential") for i, layer in enumerate(layers)
        }
        self._layers: dict[str, Module] = numbered | {
            k: _module(v, "Sequential") for k, v in named.items()
        }
        clash = [name for name in named if hasattr(type(self), name)]
        if clash:
            raise ArgumentError(
                "Sequential", expected="names that no method has", got=", ".join(clash)
            )
        self._own.seed = seed
        self._address_children()
        choose_initializers(self.flat())

    def forward(self, x: Tensor) -> Tensor:
        """Return the last layer's output."""
        for layer in self._layers.values():
            x = layer(x)
        return x

    def flat(self) -> list[Module]:
        """Return the layers with those of Sequentials inside in their places."""
        inner = (
            [layer] if not isinstance(layer, Sequential) else layer.flat()
            for layer in self._layers.values()
        )
        return [layer for group in inner for layer in group]

    def named_children(self) -> list[tuple[str, Module]]:
        """Return the layers by name."""
        return list(self.__dict__.get("_layers", {}).items())

    def __getattr__(self, name: str) -> Any:
        layers = self.__dict__.get("_layers", {})
        return layers[name] if name in layers else super().__getattr__(name)

    def __getitem__(self, key: int | str | slice) -> Module:
        if isinstance(key, str):
            if key not in self._layers:
                raise ArgumentError(
                    "Sequential",
                    expected=f"one of {', '.join(self._layers)}",
                    got=repr(key),
                )
            return self._layers[key]
        layers = list(self._layers.values())
        if isinstance(key, slice):
            return self._part(layers[key])
        if not -len(layers) <= key < len(layers):
            raise IndexError(f"layer {key} of a Sequential of {len(layers)}")
        return layers[key]

    def _part(self, layers: list[Module]) -> Sequential:
        """Return a Sequential of the same layers; their first values stay those that they have here."""
        for module in (
            module for layer in layers for _, module in layer.named_modules()
        ):
            for name in list(module._own.pending):
                getattr(module, name)
        return Sequential(*layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers.values())

    def example_rank(self) -> int | None:
        """One example has as many axes as the first layer that minds asks for."""
        return next(
            (
                rank
                for layer in self._layers.values()
                if (rank := layer.example_rank()) is not None
            ),
            None,
        )

    def input_dtype(self) -> DType | None:
        """As the first layer asks."""
        return next((layer.input_dtype() for layer in self._layers.values()), None)

    def config(self) -> dict[str, Any] | None:
        """Return the configs of the layers by name."""
        return _config(self)


@final
class Skip(Module):
    """f(x) + s(x): a path around ``inner``, the identity or ``shortcut`` (NN-09, NN-10; He et al. 2016).

    >>> from deltarule import nn
    >>> from deltarule.tensor.tensor import tensor
    >>> Skip(nn.ReLU())(tensor([-1.0, 2.0])).tolist()
    [-1.0, 4.0]
    """

    def __init__(self, inner: Module, shortcut: Module | None = None) -> None:
        self.inner = _module(inner, "Skip")
        if shortcut is not None:
            self.shortcut = _module(shortcut, "Skip")

    def forward(self, x: Tensor) -> Tensor:
        """Return inner(x) + shortcut(x); raises ShapeError if their shapes differ."""
        through: Tensor = self.inner(x)
        around: Tensor = self.shortcut(x) if "shortcut" in self.__dict__ else x
        if through.shape != around.shape:
            raise ShapeError(
                "sum of both paths",
                expected=f"the shape of the inner path {show(through.shape)}",
                got=f"{show(around.shape)} around it",
                hint="Give a shortcut that brings x to that shape, e.g. Skip(inner, shortcut=nn.Linear(…)).",
            )
        return through + around

    def example_rank(self) -> int | None:
        """As the inner path asks."""
        return self.inner.example_rank()

    def config(self) -> dict[str, Any] | None:
        """Return the configs of both paths."""
        return _config(self)


Residual = Skip  # the name in papers on residual networks


@final
class Parallel(Module):
    """The same input through several branches, whose outputs are added or joined along the last axis.

    >>> from deltarule import nn
    >>> from deltarule.tensor.tensor import tensor
    >>> Parallel(nn.ReLU(), nn.Identity(), join="concatenate")(tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0, -1.0, 2.0]
    """

    def __init__(
        self, *branches: Module, join: Literal["add", "concatenate"] = "add"
    ) -> None:
        if not branches or join not in {"add", "concatenate"}:
            raise ArgumentError(
                "Parallel",
                expected="branches, and join 'add' or 'concatenate'",
                got=repr(join),
            )
        self.branches = [_module(branch, "Parallel") for branch in branches]
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the branches, or their outputs side by side."""
        outputs: list[Tensor] = [branch(x) for branch in self.branches]
        if self.join == "concatenate":
            return concatenate(outputs, axis=-1)
        total = outputs[0]
        for output in outputs[1:]:
            if output.shape != total.shape:
                raise ShapeError(
                    "sum of branches",
                    expected=show(total.shape),
                    got=show(output.shape),
                )
            total = total + output
        return total

    def example_rank(self) -> int | None:
        """As the first branch that minds asks."""
        return next(
            (
                rank
                for branch in self.branches
                if (rank := branch.example_rank()) is not None
            ),
            None,
        )

    def input_dtype(self) -> DType | None:
        """As the first branch asks."""
        return self.branches[0].input_dtype()

    def config(self) -> dict[str, Any] | None:
        """Return the configs of the branches and how they are joined."""
        config = _config(self)
        return None if config is None else {**config, "arguments": {"join": self.join}}


@final
class Heads(Module):
    """One trunk's features to several heads, whose outputs stand side by side along the last axis (TRF-02).

    What ``losses.Multitask`` takes: the widths of the heads are its ``outputs``. ``apart`` gives the outputs by name.

    >>> from deltarule import nn
    >>> from deltarule.tensor.tensor import tensor
    >>> heads = Heads(kind=nn.Linear(4, 3), price=nn.Linear(4, 1))
    >>> x = tensor([[1.0, 2.0, 3.0, 4.0]])
    >>> heads(x).shape, {name: part.shape for name, part in heads.apart(x).items()}
    ((1, 4), {'kind': (1, 3), 'price': (1, 1)})
    """

    def __init__(self, **heads: Module) -> None:
        if not heads:
            raise ArgumentError(
                "Heads",
                expected="heads by name, Heads(kind=nn.Linear(…), …)",
                got="none",
            )
        self.heads = {name: _module(head, "Heads") for name, head in heads.items()}

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of all heads side by side."""
        return concatenate([head(x) for head in self.heads.values()], axis=-1)

    def apart(self, x: TensorLike) -> dict[str, Tensor]:
        """Return each head's output by its name."""
        return {name: head(x) for name, head in self.heads.items()}

    def example_rank(self) -> int | None:
        """As the first head that minds asks."""
        return next(
            (
                rank
                for head in self.heads.values()
                if (rank := head.example_rank()) is not None
            ),
            None,
        )

    def config(self) -> dict[str, Any] | None:
        """Return the configs of the heads by name."""
        return _config(self)


def used_twice(layers: Sequence[Module]) -> bool:
    """Whether a layer with parameters is in several places, which a config can't say."""
    learned = [id(layer) for layer in layers if layer.n_parameters]
    return len(set(learned)) < len(learned)


def _config(container: Module) -> dict[str, Any] | None:
    """Return the configs of the children by name; None for classes of your own and for layers used twice."""
    children = container.named_children()
    configs = {
        name.removeprefix("branches.").removeprefix("heads."): child.config()
        for name, child in children
    }
    once = len({id(child) for _, child in children}) == len(children)
    if not once or None in configs.values():
        return None
    return {"class": type(container).__name__, "children": configs}
