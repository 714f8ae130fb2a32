"""Recurrent networks: a cell applied step by step to a sequence (Goodfellow et al. 2016, chapter 10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from deltarule.errors import ArgumentError, ShapeError
from deltarule.nn import init as initialisers
from deltarule.nn.check import whole_number
from deltarule.nn.init import Initializer
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, is_static, show
from deltarule.tensor.functional import sigmoid, stack, tanh, zeros
from deltarule.tensor.tensor import Tensor

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]

State = tuple[Tensor, ...]  # (h,) or (h, c), each (…, hidden_size)


@dataclass(frozen=True)
class Recurrence:
    """The step from one state to the next, from a = W_x x + b_x and b = W_h h + b_h, each gates·hidden_size wide."""

    n_gates: int
    n_states: int
    advance: Callable[[Tensor, Tensor, State], State]


def _split_gates(x: Tensor, n: int) -> list[Tensor]:
    width = x.shape[-1] // n
    return [x[..., i * width : (i + 1) * width] for i in range(n)]


def _rnn_step(a: Tensor, b: Tensor, state: State) -> State:  # noqa: ARG001  # common signature
    return (tanh(a + b),)


def _lstm_step(a: Tensor, b: Tensor, state: State) -> State:
    input_gate, forget_gate, candidate, output_gate = _split_gates(a + b, 4)
    cell = sigmoid(forget_gate) * state[1] + sigmoid(input_gate) * tanh(candidate)
    return sigmoid(output_gate) * tanh(cell), cell


def _gru_step(a: Tensor, b: Tensor, state: State) -> State:
    (reset_a, update_a, new_a), (reset_b, update_b, new_b) = (
        _split_gates(a, 3),
        _split_gates(b, 3),
    )
    update = sigmoid(update_a + update_b)
    new = tanh(new_a + sigmoid(reset_a + reset_b) * new_b)
    return ((1 - update) * new + update * state[0],)


SIMPLE_RECURRENCE = Recurrence(1, 1, _rnn_step)
LSTM_RECURRENCE = Recurrence(4, 2, _lstm_step)
GRU_RECURRENCE = Recurrence(3, 1, _gru_step)


class Recurrent(Module):
    """Base class of cells and layers: weights (gates·hidden_size, …) of the input and of the hidden state.

    >>> GRU(2, 3).input_weight.shape, LSTM(2, 3).input_weight.shape
    ((9, 2), (12, 2))
    """

    recurrence: ClassVar[Recurrence]
    input_weight: Tensor
    hidden_weight: Tensor
    input_bias: Tensor
    hidden_bias: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        init: str | dict[str, Any] | Initializer = "xavier_uniform",
        hidden_init: str | dict[str, Any] | Initializer = "orthogonal",
        seed: int | None = None,
    ) -> None:
        self.input_size = whole_number(input_size, "input_size", 1)
        self.hidden_size = whole_number(hidden_size, "hidden_size", 1)
        self.has_bias = bias
        self.init = initialisers.get(init) or initialisers.xavier_uniform()
        self.hidden_init = initialisers.get(hidden_init) or initialisers.orthogonal()
        self._own.seed = seed
        gates = self.recurrence.n_gates
        width = gates * hidden_size
        self.declare("input_weight", (width, input_size), self.init, parts=gates)
        self.declare(
            "hidden_weight", (width, hidden_size), self.hidden_init, parts=gates
        )
        if bias:
            self.declare("input_bias", (width,), initialisers.zeros())
            self.declare("hidden_bias", (width,), initialisers.zeros())

    def initial_state(self, x: Tensor, shape: Shape) -> State:
        """Return the state before the first step: zeros.

        >>> from deltarule.tensor.functional import ones
        >>> [s.shape for s in LSTM(2, 3).initial_state(ones((5, 2)), ())]
        [(3,), (3,)]
        """
        dtype = x.dtype if x.dtype.is_float else "float32"
        return tuple(
            zeros((*shape, self.hidden_size), dtype)
            for _ in range(self.recurrence.n_states)
        )

    def project_input(self, x: Tensor) -> Tensor:
        """Return W_x x + b_x."""
        product = self.input_weight @ x if x.ndim == 1 else x @ self.input_weight.T
        return product + self.input_bias if self.has_bias else product

    def advance(self, projected: Tensor, state: State) -> State:
        """Return the next state."""
        h = state[0]
        product = self.hidden_weight @ h if h.ndim == 1 else h @ self.hidden_weight.T
        return self.recurrence.advance(
            projected, product + self.hidden_bias if self.has_bias else product, state
        )

    def check_features(self, x: Tensor, rank: int, of: str) -> None:
        """Raise ShapeError unless x is one ``of`` input_size features, or a batch of them."""
        if x.ndim not in {rank, rank + 1} or x.shape[-1] != self.input_size:
            raise ShapeError(
                type(self).__name__,
                expected=f"{of} of {self.input_size} features, or a batch of them",
                got=show(x.shape),
            )

    def cost_of(self, steps: int) -> LayerCost:
        """Return the cost: both products of a step, and about ten operations for each element of the state."""
        gates, n, m = self.recurrence.n_gates, self.input_size, self.hidden_size
        biases = f" + {2 * m}" if self.has_bias else ""
        return LayerCost(
            parameters=f"{gates}·({m}·{n} + {m}·{m}{biases})",
            flops=steps * (2 * gates * m * (n + m) + 10 * m),
            whole_input=True,
        )

    def label(self) -> str:
        """Return ``LSTM(8→16)``."""
        return f"{type(self).__name__}({self.input_size}→{self.hidden_size})"


class RecurrentCell(Recurrent):
    """Base class of single steps; see ``RNNCell``, ``LSTMCell``, ``GRUCell``.

    >>> from deltarule.tensor.functional import ones
    >>> [state.shape for state in LSTMCell(2, 3)(ones((5, 2)))]
    [(5, 3), (5, 3)]
    """

    def forward(self, x: Tensor, *state: Tensor) -> Any:
        """Return the next state from an input (…, input_size) and the state (zeros by default)."""
        self.check_features(x, 1, "an input")
        if state and len(state) != self.recurrence.n_states:
            raise ArgumentError(
                type(self).__name__,
                expected=f"{self.recurrence.n_states} state tensors",
                got=str(len(state)),
            )
        after = self.advance(
            self.project_input(x), tuple(state) or self.initial_state(x, x.shape[:-1])
        )
        return after if len(after) > 1 else after[0]

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost of one step."""
        return self.cost_of(1)

    def example_rank(self) -> int:
        """One example is a vector."""
        return 1


class RecurrentLayer(Recurrent):
    """Base class of layers over sequences; see ``RNN``, ``LSTM``, ``GRU``.

    >>> from deltarule.tensor.functional import ones
    >>> LSTM(2, 3)(ones((5, 7, 2))).shape, LSTM(2, 3, returns="last")(ones((5, 7, 2))).shape
    ((5, 7, 3), (5, 3))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        returns: Literal["sequence", "last"] = "sequence",
        reverse: bool = False,
        init: str | dict[str, Any] | Initializer = "xavier_uniform",
        hidden_init: str | dict[str, Any] | Initializer = "orthogonal",
        seed: int | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            bias,
            init=init,
            hidden_init=hidden_init,
            seed=seed,
        )
        if returns not in {"sequence", "last"}:
            raise ArgumentError(
                "returns", expected="'sequence' or 'last'", got=repr(returns)
            )
        self.returns = returns
        self.reverse = reverse

    def forward(self, x: Tensor) -> Tensor:
        """Return hidden states (…, steps, hidden_size) or the last one; raises ShapeError for other shapes."""
        self.check_features(x, 2, "a sequence (steps, features)")
        steps = x.shape[-2]
        if not is_static((steps,)) or steps == 0:
            raise ShapeError(
                type(self).__name__,
                expected="a known number of steps, at least 1",
                got=show(x.shape),
            )
        projected = self.project_input(x)
        state = self.initial_state(x, x.shape[:-2])
        hidden: list[Tensor] = []
        for t in reversed(range(int(steps))) if self.reverse else range(int(steps)):
            state = self.advance(projected[..., t, :], state)
            hidden.append(state[0])
        if self.returns == "last":
            return hidden[-1]
        return stack(hidden[::-1] if self.reverse else hidden, axis=-2)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost of all steps."""
        return self.cost_of(int(inputs[0]))

    def example_rank(self) -> int:
        """One example is (steps, features)."""
        return 2


@final
class RNNCell(RecurrentCell):
    """h′ = tanh(W_x x + b_x + W_h h + b_h), one step of ``RNN``.

    >>> cell = RNNCell(3, 5)
    >>> h = cell([1.0, 2.0, 3.0])
    >>> cell([4.0, 5.0, 6.0], h).shape
    (5,)
    """

    recurrence = SIMPLE_RECURRENCE


@final
class LSTMCell(RecurrentCell):
    """(h, c) → (h′, c′), one step of ``LSTM``.

    >>> h, c = LSTMCell(3, 5)([1.0, 2.0, 3.0])
    >>> h.shape, c.shape
    ((5,), (5,))
    """

    recurrence = LSTM_RECURRENCE


@final
class GRUCell(RecurrentCell):
    """h → h′, one step of ``GRU``.

    >>> GRUCell(3, 5)([1.0, 2.0, 3.0]).shape
    (5,)
    """

    recurrence = GRU_RECURRENCE


@final
class RNN(RecurrentLayer):
    """h_t = tanh(W_x x_t + b_x + W_h h_{t−1} + b_h), h_0 = 0 (Elman 1990).

    The input is a sequence (steps, input_size) or a batch (N, steps, input_size). The graph
    is unrolled: the gradient flows back through all steps. ``nn.Parallel(RNN(…), RNN(…,
    reverse=True), join="concatenate")`` is bidirectional (Schuster and Paliwal 1997);
    stacked layers are a ``Sequential``.

    ``input_weight`` W_x is (gates·hidden_size, input_size), ``hidden_weight`` W_h
    (gates·hidden_size, hidden_size), gates in the given order, and both biases are
    (gates·hidden_size,).

    Args:
        input_size: Number of features of a step.
        hidden_size: Size of the hidden state.
        bias: Whether to learn biases.
        returns: "sequence" for all hidden states (…, steps, hidden_size), "last" for the last one.
        reverse: Whether to process the sequence from the last step to the first; states stay in the input's order.
        init: Initialiser of W_x.
        hidden_init: Initialiser of W_h.
        seed: Seed of the initial values; None for that of the surrounding network.

    >>> from deltarule.tensor.functional import ones
    >>> RNN(3, 5)(ones((2, 7, 3))).shape, RNN(3, 5, returns="last")(ones((2, 7, 3))).shape
    ((2, 7, 5), (2, 5))
    """

    recurrence = SIMPLE_RECURRENCE


@final
class LSTM(RecurrentLayer):
    """c_t = f ⊙ c_{t−1} + i ⊙ g and h_t = o ⊙ tanh c_t, gates in the order i, f, g, o.

    Reference: Hochreiter and Schmidhuber 1997; forget gates: Gers et al. 2000.

    i, f, o = σ(W_x x_t + b_x + W_h h_{t−1} + b_h), each with its own rows of the
    weights, and g with tanh. Arguments and shapes are those of ``RNN``.

    >>> from deltarule.tensor.functional import ones
    >>> LSTM(3, 5)(ones((2, 7, 3))).shape
    (2, 7, 5)
    """

    recurrence = LSTM_RECURRENCE


@final
class GRU(RecurrentLayer):
    """h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}, gates in the order r, z, n (Cho et al. 2014).

    r, z = σ(W_x x_t + b_x + W_h h_{t−1} + b_h) and n = tanh(W_x x_t + b_x + r ⊙ (W_h
    h_{t−1} + b_h)): the reset gate is applied after the product, as in cuDNN and
    PyTorch. Arguments and shapes are those of ``RNN``.

    >>> from deltarule.tensor.functional import ones
    >>> GRU(3, 5, returns="last")(ones((2, 7, 3))).shape
    (2, 5)
    """

    recurrence = GRU_RECURRENCE
