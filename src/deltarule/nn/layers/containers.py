"""Containers: layers in sequence, in parallel, with a skip connection, or as heads of a shared trunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, final

from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.nn.layers.activation import Activation
from deltarule.nn.module.module import Module
from deltarule.shapes import show
from deltarule.tensor.functional import TensorLike, concatenate
from deltarule.tensor.tensor import Tensor

__all__ = ["Heads", "Parallel", "Residual", "Sequential", "Skip"]


def _check_module(value: object, where: str) -> Module:
    if not isinstance(value, Module):
        raise ArgumentError(
            where,
            expected="modules",
            got=f"{type(value).__name__} {value!r}",
            hint="Write nn.ReLU() for an activation, nn.Function(f) for any other function.",
        )
    return value


def choose_initializers(layers: list[Module]) -> None:
    """Assign each layer with weights the initialiser that suits the activation after it.

    Layers without weights and normalisation may lie in between. If another layer with
    weights or the end comes first, no activation follows: Xavier initialization.
    """
    rule = None
    for layer in reversed(layers):
        if isinstance(layer, Activation):
            rule = layer.initializer()
        elif layer.has_weights or layer.named_children():
            layer._own.following = rule
            rule = None


class Container(Module):
    """Base class of modules that are described by their submodules and arguments.

    >>> from deltarule.nn import Linear, ReLU
    >>> [child.label() for child in Sequential(Linear(2, 3), ReLU())]
    ['Linear(2→3)', 'ReLU']
    """

    def config(self) -> dict[str, Any] | None:
        """Return the configs of the submodules by name; None if one is user-defined or occurs several times."""
        children = self.named_children()
        configs = {name.rpartition(".")[2]: child.config() for name, child in children}
        once = len({id(child) for _, child in children}) == len(children)
        if not once or None in configs.values():
            return None
        config = {"class": type(self).__name__, "children": configs}
        arguments = self.arguments()
        return {**config, "arguments": arguments} if arguments else config


@final
class Sequential(Container):
    """Layers one after another: f_D ∘ … ∘ f_1.

    Layers are named by position, or by keyword. Layers with ``init="auto"`` are
    initialized for the activation that follows them.

    Args:
        *layers: Layers, named "0", "1", …
        seed: Seed of the initial values of all layers that have no seed of their own.
        **named: Further layers by name.

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
            str(i): _check_module(layer, "Sequential") for i, layer in enumerate(layers)
        }
        self._layers: dict[str, Module] = numbered | {
            k: _check_module(v, "Sequential") for k, v in named.items()
        }
        clash = [name for name in named if hasattr(type(self), name)]
        if clash:
            raise ArgumentError(
                "Sequential", expected="names that no method has", got=", ".join(clash)
            )
        self._own.seed = seed
        self._name_children()
        choose_initializers(self.flat())

    def forward(self, x: Tensor) -> Tensor:
        """Return the last layer's output."""
        for layer in self._layers.values():
            x = layer(x)
        return x

    def flat(self) -> list[Module]:
        """Return the layers, with nested Sequentials flattened.

        >>> from deltarule.nn import Linear, ReLU
        >>> Sequential(Sequential(Linear(2, 3), ReLU()), Linear(3, 1)).flat()
        [Linear(2→3), ReLU, Linear(3→1)]
        """
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
            return self._slice(layers[key])
        if not -len(layers) <= key < len(layers):
            raise IndexError(f"layer {key} of a Sequential of {len(layers)}")
        return layers[key]

    def _slice(self, layers: list[Module]) -> Sequential:
        """Return a Sequential of the same layers with unchanged initial values."""
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

    @classmethod
    def from_config(
        cls, children: dict[str, Any], arguments: dict[str, Any]
    ) -> Sequential:
        """Return the layers of a ``config`` in sequence; those with a number as name are given by position."""
        named = {name: child for name, child in children.items() if not name.isdigit()}
        numbered = [child for name, child in children.items() if name.isdigit()]
        return cls(*numbered, **named, **arguments)

    def example_rank(self) -> int | None:
        """The rank of the first layer that requires one."""
        return next(
            (
                rank
                for layer in self._layers.values()
                if (rank := layer.example_rank()) is not None
            ),
            None,
        )

    def input_dtype(self) -> DType | None:
        """The element type that the first layer requires."""
        return next((layer.input_dtype() for layer in self._layers.values()), None)


@final
class Skip(Container):
    """A skip connection f(x) + s(x) around ``inner`` f, with s the identity or ``shortcut`` (He et al. 2016).

    >>> from deltarule import nn
    >>> Skip(nn.ReLU())([-1.0, 2.0]).tolist()
    [-1.0, 4.0]
    """

    argument_attributes: ClassVar[Mapping[str, str | None]] = {
        "inner": None,
        "shortcut": None,
    }

    def __init__(self, inner: Module, shortcut: Module | None = None) -> None:
        self.inner = _check_module(inner, "Skip")
        if shortcut is not None:
            self.shortcut = _check_module(shortcut, "Skip")

    def forward(self, x: Tensor) -> Tensor:
        """Return inner(x) + shortcut(x); raises ShapeError if their shapes differ."""
        through: Tensor = self.inner(x)
        around: Tensor = self.shortcut(x) if "shortcut" in self.__dict__ else x
        if through.shape != around.shape:
            raise ShapeError(
                "sum of both paths",
                expected=f"the shape of the inner path {show(through.shape)}",
                got=f"{show(around.shape)} around it",
                hint="Pass a shortcut that maps x to that shape, e.g. Skip(inner, shortcut=nn.Linear(…)).",
            )
        return through + around

    def example_rank(self) -> int | None:
        """The rank that the inner path requires."""
        return self.inner.example_rank()


Residual = Skip  # the usual name in the literature on residual networks


@final
class Parallel(Container):
    """Several branches with the same input, whose outputs are added or concatenated along the last axis.

    >>> from deltarule import nn
    >>> Parallel(nn.ReLU(), nn.Identity(), join="concatenate")([-1.0, 2.0]).tolist()
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
        self.branches = [_check_module(branch, "Parallel") for branch in branches]
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum or the concatenation of the branches' outputs."""
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
        """The rank of the first branch that requires one."""
        return next(
            (
                rank
                for branch in self.branches
                if (rank := branch.example_rank()) is not None
            ),
            None,
        )

    def input_dtype(self) -> DType | None:
        """The element type that the first branch requires."""
        return self.branches[0].input_dtype()

    @classmethod
    def from_config(
        cls, children: dict[str, Any], arguments: dict[str, Any]
    ) -> Parallel:
        """Return the branches of a ``config`` in parallel."""
        return cls(*children.values(), **arguments)


@final
class Heads(Container):
    """Several heads on the same features, concatenated along the last axis (multi-task learning, Caruana 1997).

    The output is the input of ``losses.Multitask``, whose ``outputs`` are the widths of
    the heads. ``apart`` returns the outputs by name.

    >>> from deltarule import nn
    >>> heads = Heads(kind=nn.Linear(4, 3), price=nn.Linear(4, 1))
    >>> x = [[1.0, 2.0, 3.0, 4.0]]
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
        self.heads = {
            name: _check_module(head, "Heads") for name, head in heads.items()
        }

    def forward(self, x: Tensor) -> Tensor:
        """Return the concatenated outputs of all heads."""
        return concatenate([head(x) for head in self.heads.values()], axis=-1)

    def apart(self, x: TensorLike) -> dict[str, Tensor]:
        """Return the output of each head by name.

        >>> from deltarule.nn import Linear
        >>> from deltarule.tensor.functional import ones
        >>> heads = Heads(price=Linear(4, 1), kind=Linear(4, 3))
        >>> {name: y.shape for name, y in heads.apart(ones((2, 4))).items()}
        {'price': (2, 1), 'kind': (2, 3)}
        """
        return {name: head(x) for name, head in self.heads.items()}

    def example_rank(self) -> int | None:
        """The rank of the first head that requires one."""
        return next(
            (
                rank
                for head in self.heads.values()
                if (rank := head.example_rank()) is not None
            ),
            None,
        )


def shares_parameters(layers: Sequence[Module]) -> bool:
    """Whether a layer with parameters occurs several times, which a config cannot express.

    >>> from deltarule import nn
    >>> layer = nn.Linear(2, 2)
    >>> shares_parameters([layer, layer]), shares_parameters([layer, nn.Linear(2, 2)])
    (True, False)
    """
    learned = [id(layer) for layer in layers if layer.n_parameters]
    return len(set(learned)) < len(learned)
