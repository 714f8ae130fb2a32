"""Layered networks with arbitrary edges: neurons in levels, edges between adjacent levels, an activation per neuron."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy as np

from deltarule import losses
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.flags import checks_flags, flag
from deltarule.losses import Loss
from deltarule.nn.layers.activation import Identity, ReLU
from deltarule.nn.layers.containers import choose_initializers, shares_parameters
from deltarule.nn.layers.hard_activations import PerNeuron
from deltarule.nn.layers.masked_linear import MaskedLinear
from deltarule.nn.module.module import Module
from deltarule.renamed import warn_former
from deltarule.render.svg.networks import network
from deltarule.tensor.functional import TensorLike, as_tensor
from deltarule.tensor.tensor import Tensor
from deltarule.tensor.transforms import grad

__all__ = ["ForwardPass", "GeneralNetwork", "P"]

Gates = Sequence[Module | Sequence[Module]]
LossLike = str | Loss | Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class ForwardPass:
    """The values of a forward pass: ``levels[i]`` = (x⁽ⁱ⁾, s⁽ⁱ⁾) for i < D, and the output x⁽ᴰ⁾.

    >>> len(P(2, 3, 1).forward_pass([1.0, 2.0]).levels)
    2
    """

    levels: list[tuple[Tensor, Tensor]]
    output: Tensor


@final
class GeneralNetwork(Module):
    """N x = G⁽ᴰ⁾F⁽ᴰ⁻¹⁾ ⋯ G⁽¹⁾F⁽⁰⁾ x with affine maps F⁽ⁱ⁾x = W⁽ⁱ⁾x + b⁽ⁱ⁾ along given edges and activations G⁽ⁱ⁾.

    ``maps[i]`` is F⁽ⁱ⁾, ``gates[i]`` is G⁽ⁱ⁺¹⁾.

    Args:
        levels: The neurons' names level by level, inputs first; or numbers of neurons, which are then named "0.0",
            "0.1", …
        edges: Pairs (source, target) from one level to the next. All other entries of W⁽ⁱ⁾ are not parameters and
            stay exactly 0 (see ``MaskedLinear``).
        activations: One entry for each level above the inputs: a layer for the whole level (ReLU, Softmax, …) or a
            list with one layer per neuron.
        biases: True, False, or the names of the neurons that have a bias.
        seed: Seed of the initial values; None for that of the surrounding network.

    Raises:
        ArgumentError: For unknown or repeated names, edges that skip a level, or neurons without an incoming edge.

    >>> from deltarule import nn
    >>> net = GeneralNetwork(
    ...     [["a", "b"], ["h", "k"], ["y"]], [("a", "h"), ("a", "k"), ("b", "k"), ("h", "y"), ("k", "y")],
    ...     [nn.ReLU(), nn.Sigmoid()], biases=["h", "k"])
    >>> net.n_parameters, net.depth
    (7, 2)
    """

    def __init__(
        self,
        levels: Sequence[Sequence[str] | int],
        edges: Iterable[tuple[str, str]],
        activations: Gates,
        *,
        biases: bool | Iterable[str] = True,
        seed: int | None = None,
    ) -> None:
        self.levels = [
            [f"{i}.{j}" for j in range(level)]
            if isinstance(level, int)
            else [str(name) for name in level]
            for i, level in enumerate(levels)
        ]
        place = {
            name: (i, j)
            for i, level in enumerate(self.levels)
            for j, name in enumerate(level)
        }
        unique = len(place) == sum(map(len, self.levels))
        if len(self.levels) < 2 or not all(self.levels) or not unique:
            raise ArgumentError(
                "levels",
                expected="at least two levels of neurons, each name once",
                got=str(levels),
            )
        masks = _masks(self.levels, place, edges)
        if isinstance(biases, (str, bytes)) or not isinstance(biases, Iterable):
            with_bias = set(place) if flag(biases, "GeneralNetwork biases") else set()
        else:
            with_bias = set(biases)
            _check_known(with_bias, place, "biases")
        self._own.seed = seed
        self.maps = [
            MaskedLinear(mask, [name in with_bias for name in level])
            for mask, level in zip(masks, self.levels[1:], strict=True)
        ]
        self.gates = _gates(self.levels, activations)
        self._name_children()
        pairs = zip(self.maps, self.gates, strict=True)
        choose_initializers([layer for pair in pairs for layer in pair])

    def forward(self, x: Tensor) -> Tensor:
        """Return N x for one example (n₀,) or a batch; raises ShapeError for another number of inputs."""
        for affine, gate in zip(self.maps, self.gates, strict=True):
            x = gate(affine(x))
        return x

    def forward_pass(self, x: TensorLike) -> ForwardPass:
        """Return the values and pre-activations of all levels, and the output.

        >>> from deltarule import nn
        >>> net = GeneralNetwork([["a", "b"], ["y"]], [("a", "y"), ("b", "y")], [nn.ReLU()])
        >>> net.maps[0].weight.assign([[2.0, 3.0]])
        >>> passed = net.forward_pass([1.0, -1.0])
        >>> passed.levels[0][1].tolist(), passed.output.tolist()
        ([-1.0], [0.0])
        """
        value, levels = as_tensor(x), []
        for affine, gate in zip(self.maps, self.gates, strict=True):
            signal: Tensor = affine(value)
            levels.append((value, signal))
            value = gate(signal)
        return ForwardPass(levels, value)

    def trace(self, x: TensorLike) -> ForwardPass:
        """Return ``forward_pass(x)``; the former name, with a DeprecationWarning."""
        warn_former("GeneralNetwork.trace", "forward_pass")
        return self.forward_pass(x)

    def features(self, x: TensorLike, level: int) -> Tensor:
        """Return the hidden features x⁽ⁱ⁾ of a level: x for level 0, N x for level D."""
        passed = self.forward_pass(x)
        values = [value for value, _ in passed.levels] + [passed.output]
        if not 0 <= level < len(values):
            raise ArgumentError(
                "features", expected=f"a level 0 … {len(values) - 1}", got=str(level)
            )
        return values[level]

    def signals(self, x: TensorLike) -> list[Tensor]:
        """Return the pre-activations s⁽ⁱ⁾ = F⁽ⁱ⁾x⁽ⁱ⁾ for i = 0 … D − 1, where x⁽ⁱ⁺¹⁾ = G⁽ⁱ⁺¹⁾s⁽ⁱ⁾."""
        return [signal for _, signal in self.forward_pass(x).levels]

    def deltas(
        self, x: TensorLike, y: TensorLike, loss: LossLike | None = None
    ) -> list[Tensor]:
        """Return the backpropagated errors δ⁽ⁱ⁾ = ∂L/∂s⁽ⁱ⁾ for i = 0 … D − 1 (one row per example of a batch).

        δ⁽ᴰ⁻¹⁾ = ∂L/∂(N x)·∂G⁽ᴰ⁾/∂s and δ⁽ⁱ⁾ = δ⁽ⁱ⁺¹⁾W⁽ⁱ⁺¹⁾·∂G⁽ⁱ⁺¹⁾/∂s; then ∂L/∂W⁽ⁱ⁾ =
        outer(δ⁽ⁱ⁾, x⁽ⁱ⁾) on the edges and ∂L/∂b⁽ⁱ⁾ = δ⁽ⁱ⁾.

        Args:
            x: One example or a batch.
            y: The targets.
            loss: A name, a ``Loss``, or a function of the tensors N x and y; ‖N x − y‖² by default.
        """
        passed = self.forward_pass(x)
        total = _total_loss(passed.output, as_tensor(y), loss)
        return list(grad(total, [signal for _, signal in passed.levels]))

    def edges(self) -> list[tuple[str, str]]:
        """Return the edges (source, target) in the order of the weights."""
        return [
            (self.levels[i][source], self.levels[i + 1][target])
            for i, affine in enumerate(self.maps)
            for target, source in np.argwhere(affine.mask).tolist()
        ]

    def svg(self) -> str:
        """Draw the network as SVG: a column of neurons for each level, a line for each edge.

        The activations stand below their levels.

        >>> from deltarule import nn
        >>> net = GeneralNetwork([["a", "b"], ["y"]], [("a", "y"), ("b", "y")], [nn.ReLU()])
        >>> net.svg().count("<circle")
        3
        """
        names = ["inputs", *(type(gate).__name__ for gate in self.gates)]
        return network(self.levels, self.edges(), names)

    def example_rank(self) -> int:
        """One example is a vector."""
        return 1

    def config(self) -> dict[str, Any] | None:
        """Return levels, edges, biases and activations as plain data; None for user-defined or shared activations."""
        gates = [gate.config() for gate in self.gates]
        if None in gates or shares_parameters(self.gates):
            return None
        with_bias = [
            name
            for affine, level in zip(self.maps, self.levels[1:], strict=True)
            for name, has in zip(level, affine.has_bias, strict=True)
            if has
        ]
        return {
            "class": "GeneralNetwork",
            "arguments": {
                "levels": self.levels,
                "edges": [list(edge) for edge in self.edges()],
                "biases": with_bias,
            },
            "children": {f"gates.{i}": gate for i, gate in enumerate(gates)},
        }

    @classmethod
    def from_config(
        cls, children: dict[str, Any], arguments: dict[str, Any]
    ) -> GeneralNetwork:
        """Return the network with the activations of a ``config``."""
        return cls(activations=[*children.values()], **arguments)


@checks_flags
def P(  # noqa: N802  # the mathematical notation P(n₀, …, n_D)
    *sizes: int,
    activations: Gates | None = None,
    biases: bool = True,
    seed: int | None = None,
) -> GeneralNetwork:
    """Return a fully connected network with n_i neurons at level i.

    Args:
        *sizes: The numbers of neurons n₀, …, n_D.
        activations: Those of levels 1 … D; by default ReLU at the hidden levels and the identity at the last.
        biases: Whether neurons have biases.
        seed: Seed of the initial values.

    >>> P(2, 3, 2).n_parameters
    17
    """
    if len(sizes) < 2 or any(
        isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sizes
    ):
        raise ArgumentError(
            "P", expected="two or more numbers of neurons", got=str(sizes)
        )
    edges = [
        (f"{i}.{source}", f"{i + 1}.{target}")
        for i, (n, m) in enumerate(pairwise(sizes))
        for target in range(m)
        for source in range(n)
    ]
    gates = activations
    if gates is None:
        gates = [*(ReLU() for _ in sizes[2:]), Identity()]
    return GeneralNetwork(sizes, edges, gates, biases=biases, seed=seed)


def _check_known(
    names: Iterable[str], place: dict[str, tuple[int, int]], where: str
) -> None:
    unknown = [name for name in names if name not in place]
    if unknown:
        raise ArgumentError(
            where,
            expected=f"neurons among {', '.join(place)}",
            got=", ".join(map(repr, unknown)),
        )


def _masks(
    levels: list[list[str]],
    place: dict[str, tuple[int, int]],
    edges: Iterable[tuple[str, str]],
) -> list[np.ndarray[Any, Any]]:
    """Return the matrix of edges between each level and the next."""
    masks = [
        np.zeros((len(level), len(below)), bool) for below, level in pairwise(levels)
    ]
    for source, target in edges:
        _check_known((source, target), place, "edges")
        (i, column), (k, row) = place[source], place[target]
        if k != i + 1:
            raise ArgumentError(
                f"edge {source} → {target}",
                expected="a neuron and one of the next level",
                got=f"levels {i} and {k}",
                hint="To skip a level, add a neuron with the activation nn.Identity() to it.",
            )
        masks[i][row, column] = True
    for mask, level in zip(masks, levels[1:], strict=True):
        alone = [name for name, row in zip(level, mask, strict=True) if not row.any()]
        if alone:
            raise ArgumentError(
                "edges",
                expected="an edge into every neuron",
                got=f"none into {', '.join(alone)}",
            )
    return masks


def _gates(levels: list[list[str]], activations: Gates) -> list[Module]:
    """Return one activation layer per level; a list becomes ``PerNeuron``."""
    gates = list(activations)
    if len(gates) != len(levels) - 1:
        raise ArgumentError(
            "activations",
            expected=f"{len(levels) - 1}, one for each level above the inputs",
            got=str(len(gates)),
        )
    result: list[Module] = []
    for level, gate in zip(levels[1:], gates, strict=True):
        if not isinstance(gate, Module) and len(gate) != len(level):
            raise ArgumentError(
                "activations",
                expected=f"one for each of {', '.join(level)}",
                got=str(len(gate)),
            )
        result.append(gate if isinstance(gate, Module) else PerNeuron(gate))
    return result


def _total_loss(output: Tensor, target: Tensor, loss: LossLike | None) -> Tensor:
    """Return the sum of the examples' losses."""
    if loss is None:
        difference = output - target
        return (difference * difference).sum()
    if callable(loss) and not isinstance(loss, Loss):
        return loss(output, target).sum()
    single = output.ndim == 1
    prediction, wanted = (
        (output.expand_dims(0), target.expand_dims(0)) if single else (output, target)
    )
    return losses.get(loss).per_example(prediction, wanted).sum()


check_calls(__name__)
