"""Recurrent layers unrolled over time: RNN, GRU, LSTM."""

from __future__ import annotations

from collections.abc import Callable

from deltarule import dtypes
from deltarule.graph import algebra, build
from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.interop.onnx.call import Call, Results, Translator

Activation = Callable[[Node], Node]
_ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": f.sigmoid,
    "tanh": build.tanh,
    "relu": f.relu,
}


def _activations(
    call: Call, per_direction: int, defaults: list[str], direction: int
) -> list[Activation]:
    names = [a.decode() for a in call.attribute("activations", [])] or defaults * 2
    chosen = names[direction * per_direction : (direction + 1) * per_direction]
    unknown = [name for name in chosen if name.lower() not in _ACTIVATIONS]
    if unknown:
        raise call.unsupported(f"activation {unknown[0]}")
    limit = call.attribute("clip")
    plain = [_ACTIVATIONS[name.lower()] for name in chosen]
    if limit is None:
        return plain
    return [_clipped(activation, float(limit)) for activation in plain]


def _clipped(activation: Activation, limit: float) -> Activation:
    return lambda x: activation(build.maximum(-limit, build.minimum(limit, x)))


def _direction(x: Node, direction: int) -> Node:
    """Return x[direction]."""
    return build.reshape(algebra.part(x, 0, direction, direction + 1), x.shape[1:])


def _gates(x: Node, n: int) -> list[Node]:
    size = x.shape[-1] // n
    return [algebra.part(x, x.rank - 1, i * size, (i + 1) * size) for i in range(n)]


Cell = Callable[[Node, list[Node]], list[Node]]


def _unrolled(
    call: Call, defaults: list[str], cell: Callable[..., Cell], n_states: int
) -> Results:
    """Run a cell over time in one or both directions; sequences may have different lengths."""
    x, w, r = call[0], call[1], call[2]
    x = algebra.swap_axes(x, 0, 1) if call.attribute("layout", 0) else x
    length, batch, hidden = x.shape[0], x.shape[1], r.shape[-1]
    call.unrolled(length)
    if call.attribute("hidden_size", hidden) != hidden:
        raise call.unsupported(
            f"hidden_size {call.attribute('hidden_size')} beside recurrent weights of {hidden} units"
        )
    names = call.text("direction", "forward")
    turns = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[
        names
    ]
    bias = call.optional(3)
    lengths = call.optional(4)
    outputs, finals = [], [[] for _ in range(n_states)]  # type: ignore[var-annotated]  # lists of nodes
    for d, backwards in enumerate(turns):
        weights = (
            _direction(w, d),
            _direction(r, d),
            _direction(bias, d) if bias is not None else None,
        )
        step = cell(call, weights, _activations(call, len(defaults), defaults, d), d)
        states = []
        for k in range(n_states):
            given = call.optional(5 + k)
            if given is not None and call.attribute("layout", 0):
                given = algebra.swap_axes(given, 0, 1)
            states.append(
                _direction(given, d)
                if given is not None
                else build.full((batch, hidden), 0.0, x.dtype)
            )
        seen = []
        for t in reversed(range(length)) if backwards else range(length):
            now = build.reshape(algebra.part(x, 0, t, t + 1), x.shape[1:])
            new = step(now, states)
            shown = new[0]
            if lengths is not None:
                alive = build.reshape(
                    build.less(t, build.cast(lengths, dtypes.INT64)), (batch, 1)
                )
                shown = build.where(alive, new[0], 0)
                new = [
                    build.where(alive, a, b) for a, b in zip(new, states, strict=True)
                ]
            states = new
            seen.append(shown)
        outputs.append(algebra.stack(seen[::-1] if backwards else seen, 0))
        for kept, state in zip(finals, states, strict=True):
            kept.append(state)
    y = algebra.stack(outputs, 1)  # (time, directions, batch, hidden)
    ends = [algebra.stack(kept, 0) for kept in finals]
    if call.attribute("layout", 0):
        return build.permute(y, (2, 0, 1, 3)), *(
            algebra.swap_axes(end, 0, 1) for end in ends
        )
    return (y, *ends)


def _affine(x: Node, w: Node, bias: Node | None) -> Node:
    result = build.matmul(x, build.matrix_transpose(w))
    return result if bias is None else build.add(result, bias)


def _halves(bias: Node | None) -> tuple[Node | None, Node | None]:
    if bias is None:
        return None, None
    first, second = _gates(bias, 2)
    return first, second


def _rnn_cell(
    call: Call,
    weights: tuple[Node, Node, Node | None],
    activations: list[Activation],
    d: int,
) -> Cell:
    del call, d
    w, r, bias = weights
    from_input, from_state = _halves(bias)
    (activation,) = activations
    return lambda x, s: [
        activation(build.add(_affine(x, w, from_input), _affine(s[0], r, from_state)))
    ]


def _gru_cell(
    call: Call,
    weights: tuple[Node, Node, Node | None],
    activations: list[Activation],
    d: int,
) -> Cell:
    del d
    w, r, bias = weights
    from_input, from_state = _halves(bias)
    gate, activation = activations
    after = call.attribute("linear_before_reset", 0)

    def step(x: Node, states: list[Node]) -> list[Node]:
        (h,) = states
        xz, xr, xh = _gates(_affine(x, w, from_input), 3)
        size = h.shape[-1]
        rz, rr, rh = (algebra.part(r, 0, i * size, (i + 1) * size) for i in range(3))
        bz, br, bh = (
            _gates(from_state, 3) if from_state is not None else (None, None, None)
        )
        update, reset = (
            gate(build.add(xz, _affine(h, rz, bz))),
            gate(build.add(xr, _affine(h, rr, br))),
        )
        inner = (
            build.multiply(reset, _affine(h, rh, bh))
            if after
            else _affine(build.multiply(reset, h), rh, bh)
        )
        candidate = activation(build.add(xh, inner))
        return [
            build.add(
                build.multiply(build.subtract(1, update), candidate),
                build.multiply(update, h),
            )
        ]

    return step


def _lstm_cell(
    call: Call,
    weights: tuple[Node, Node, Node | None],
    activations: list[Activation],
    d: int,
) -> Cell:
    w, r, bias = weights
    from_input, from_state = _halves(bias)
    gate, activation, output_activation = activations
    peepholes = call.optional(7)
    pi, po, pf = (
        _gates(_direction(peepholes, d), 3)
        if peepholes is not None
        else (None, None, None)
    )

    def with_peephole(x: Node, weight: Node | None, c: Node) -> Node:
        return x if weight is None else build.add(x, build.multiply(weight, c))

    def step(x: Node, states: list[Node]) -> list[Node]:
        h, c = states
        i, o, g, n = _gates(
            build.add(_affine(x, w, from_input), _affine(h, r, from_state)), 4
        )
        input_gate = gate(with_peephole(i, pi, c))
        coupled = call.attribute("input_forget", 0)  # f = 1 − i
        forget_gate = (
            build.subtract(1, input_gate) if coupled else gate(with_peephole(g, pf, c))
        )
        kept, added = build.multiply(forget_gate, c), activation(n)
        cell = build.add(kept, build.multiply(input_gate, added))
        output_gate = gate(with_peephole(o, po, cell))
        return [build.multiply(output_gate, output_activation(cell)), cell]

    return step


OPERATORS: dict[str, Translator] = {
    "RNN": lambda call: _unrolled(call, ["Tanh"], _rnn_cell, 1),
    "GRU": lambda call: _unrolled(call, ["Sigmoid", "Tanh"], _gru_cell, 1),
    "LSTM": lambda call: _unrolled(call, ["Sigmoid", "Tanh", "Tanh"], _lstm_cell, 2),
}
