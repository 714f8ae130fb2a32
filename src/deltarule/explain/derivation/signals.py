"""Names of the nodes of a forward pass: z₁ for affine results, a₁ for activations, ŷ for the output."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.graph.op import ELEMENTWISE, LEAVES, Op
from deltarule.graph.walk import dependents, topological, users

_LINEAR = frozenset({Op.MATMUL, Op.CONVOLVE, Op.CONVOLVE_TRANSPOSED})
_CONTINUES = frozenset(
    {Op.ADD, Op.SUBTRACT, Op.RESHAPE, Op.PERMUTE, Op.NEGATE, Op.CAST}
)
_MOVES = frozenset({Op.RESHAPE, Op.PERMUTE, Op.BROADCAST, Op.CAST, Op.STOP_GRADIENT})
_BENDS = frozenset({Op.TANH, Op.MAXIMUM, Op.MINIMUM, Op.MAX, Op.WHERE})
_TRANSCENDENTAL = frozenset({Op.EXP, Op.LOG, Op.SIN, Op.COS, Op.ERF, Op.ABS})
_INLINE = frozenset({"euclidean_norm", "squared_error", "logsumexp", "weighted"})
_UNITS = frozenset(
    {
        "sigmoid",
        "relu",
        "leaky_relu",
        "elu",
        "selu",
        "gelu",
        "softplus",
        "silu",
        "softmax",
    }
)
_LETTERS = {"max_pool": "p", "average_pool": "p", "normalize": "x_hat"}
_LOSSES = frozenset(
    {
        "cross_entropy",
        "cross_entropy_of_labels",
        "cross_entropy_of_probabilities",
        "hinge",
        "huber",
        "binary_cross_entropy",
        "binary_cross_entropy_of_probabilities",
        "multiclass_hinge",
        "squared_error",
    }
)


@dataclass(frozen=True)
class Signal:
    """A named node of the forward pass; ``kind``: affine, activation, output, plain, loss.

    An ``intermediate`` signal has a line only where every step is shown.

    >>> from deltarule.graph import build, functions
    >>> x = build.input_node("x", (3,))
    >>> signal = forward_signals(build.sum_over(functions.relu(x)), [x], {})[0]
    >>> signal.name, signal.kind
    ('a_1', 'activation')
    """

    node: Node
    name: str
    kind: str
    layer: int
    intermediate: bool = False


def peel(node: Node) -> Node:
    """Return the node below movement.

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> peel(build.reshape(x, (3, 1))) is x
    True
    """
    while node.op in _MOVES:
        node = node.sources[0]
    return node


@dataclass(frozen=True)
class Style:
    """The naming of signals: letters of affine results and of activations, and the number of the first layer.

    >>> STYLES["textbook"].affine, STYLES["row"].affine
    ('z', 'S')
    """

    affine: str
    activation: str
    first: int


STYLES = {
    "textbook": Style("z", "a", 1),
    "row": Style("S", "x", 0),  # S⁽ˡ⁾ = W⁽ˡ⁾x⁽ˡ⁾ + b⁽ˡ⁾, x⁽ˡ⁺¹⁾ = G(S⁽ˡ⁾), δ a row
    "sums": Style("x", "y", 1),  # x⁽ᵐ⁾ = W⁽ᵐ⁾y⁽ᵐ⁻¹⁾ + b⁽ᵐ⁾, y⁽ᵐ⁾ = σ(x⁽ᵐ⁾)
}


def forward_signals(
    loss: Node,
    wrt: Sequence[Node],
    names: Mapping[Node, str],
    style: Style = STYLES["textbook"],
) -> list[Signal]:
    """Return the signals of a forward pass in order, the loss last.

    >>> from deltarule.graph import build, functions
    >>> W, x = build.input_node("W", (2, 3)), build.input_node("x", (3,))
    >>> loss = build.sum_over(functions.relu(build.matmul(W, x)))
    >>> [(signal.name, signal.kind) for signal in forward_signals(loss, [W], {})]
    [('z_1', 'affine'), ('a_1', 'activation'), ('L', 'loss')]
    """
    order = topological([loss])
    readers = users(order)
    varying = dependents(order, wrt)
    linear = _linear_nodes(order, varying)
    predictions = {
        n.sources[0]
        for n in order
        if n.op is Op.CALL and n.attributes["function"] in _LOSSES
    } - linear
    bent = {
        n.sources[0]
        for n in order
        if n.op is Op.TANH or (n.op is Op.CALL and n.attributes["function"] in _UNITS)
    }
    predictions |= {
        n
        for n in bent - linear
        if n.op in {Op.ADD, Op.MULTIPLY, Op.DIVIDE, Op.SUBTRACT}
    }
    summed = {  # u of LSE(u), whose gradient is softmax(u)
        n.sources[0]
        for n in order
        if n.op is Op.CALL and n.attributes["function"] == "logsumexp"
    } & varying
    chosen: dict[Node, str] = {}
    for node in order:
        if node.op in LEAVES or node is loss:
            continue
        kind = _kind(node, readers, linear, varying)
        if kind is None and node in summed and not names.get(node):
            kind = "plain"
        if kind is None and (
            node in names or (node in predictions and node in varying)
        ):
            kind = "plain" if node in names else "affine"
        if kind:
            chosen.setdefault(_narrowest(node) if kind == "affine" else node, kind)
    chosen.pop(loss, None)
    found = [(n, chosen[n]) for n in order if n in chosen]
    between = intermediates(loss, wrt, found, names, readers)
    return _named(loss, wrt, found, names, style, between)


def auxiliary_outputs(loss: Node) -> dict[Node, str]:
    """Return the probabilities in the gradient of a loss on logits (softmax(z) or σ(z)), which are not nodes of it.

    >>> from deltarule.graph import build, functions
    >>> z, y = build.input_node("z", (3,)), build.input_node("y", (3,))
    >>> list(auxiliary_outputs(functions.cross_entropy(z, y)).values())
    ['y_hat']
    """
    found: dict[Node, str] = {}
    for node in topological([loss]):
        function = node.attributes.get("function") if node.op is Op.CALL else None
        if function in {"cross_entropy", "cross_entropy_of_labels"}:
            found[f.softmax(node.sources[0], axis=node.sources[0].rank - 1)] = "y_hat"
        elif function == "binary_cross_entropy":
            found[f.sigmoid(node.sources[0])] = "y_hat"
    return found


def random_names(loss: Node, taken: Collection[str]) -> dict[Node, str]:
    """Return a name for every stream of uniform random numbers: U, or U₁, U₂ where there are more.

    >>> from deltarule.graph import build
    >>> random_names(build.sum_over(build.input_node("x", (3,))), [])
    {}
    """
    drawn = [node for node in topological([loss]) if node.op is Op.RANDOM]
    for letter in ("U", "R", "Omega"):
        names = (
            [letter]
            if len(drawn) == 1
            else [f"{letter}_{i}" for i in range(1, len(drawn) + 1)]
        )
        if not {letter, *names} & set(taken):
            break
    return dict(zip(drawn, names, strict=True))


def _linear_nodes(order: Sequence[Node], varying: set[Node]) -> set[Node]:
    """Return the nodes that are sums of matrix products and convolutions."""
    linear: set[Node] = set()
    for node in order:
        if (node.op in _LINEAR and not _is_inner_product(node)) or (
            node.op in _CONTINUES
            and any(s in linear for s in node.sources)
            and all(s in linear or peel(s).op in LEAVES for s in node.sources)
            and (
                node.op is not Op.SUBTRACT
                or all(s in linear or s in varying for s in node.sources)
            )
        ):
            linear.add(node)
    return linear


def _is_inner_product(node: Node) -> bool:
    """Whether a product of two signals is a single number, such as zᵀẑ."""
    return all(size == 1 for size in node.shape) and all(
        peel(s).op not in LEAVES for s in node.sources
    )


def _kind(
    node: Node,
    readers: Mapping[Node, list[Node]],
    linear: set[Node],
    varying: set[Node],
) -> str | None:
    if (
        node not in varying
        and node.dtype.kind == "bool"
        and node.op in {Op.OR, Op.LESS, Op.NOT}
    ):
        drawn = any(below.op is Op.RANDOM for below in topological([node]))
        return (
            "plain"
            if drawn
            and any(reader in varying for reader in _real_readers(node, readers))
            else None
        )
    if node not in varying:
        return (
            "plain"
            if node.op is Op.CALL
            and node.attributes["function"] not in _INLINE | _LOSSES
            else None
        )
    reading = readers[node]
    if node in linear and any(
        r.op not in _CONTINUES or r not in linear for r in reading
    ):
        return (
            None
            if all(r.op is Op.BROADCAST for r in reading) and node.op in _MOVES
            else "affine"
        )
    if node.op is Op.CALL:
        return (
            None if node.attributes["function"] in _INLINE | _LOSSES else "activation"
        )
    if node.op in _BENDS and node.op is not Op.WHERE:
        return "activation"
    distinct = {
        id(reader): reader
        for reader in (reading if node in linear else _real_readers(node, readers))
    }
    if node.op in _MOVES:
        return None
    if len(distinct) > 1 and not _is_inner_step(node, list(distinct.values())):
        return "plain"
    if (
        any(r.op in _LINEAR for r in distinct.values()) and node not in linear
    ):  # what a layer reads
        return "plain"
    return None


def _is_inner_step(node: Node, reading: Sequence[Node]) -> bool:
    """Whether a node is too simple for a separate line."""
    if node.op in {Op.ADD, Op.SUBTRACT, Op.NEGATE} and all(
        r.op in ELEMENTWISE or r.op is Op.SUM for r in reading
    ):
        return True
    return node.op in {Op.EQUAL, Op.LESS, Op.NOT, Op.AND, Op.OR} or (
        node.op is Op.CALL and node.attributes["function"] in _INLINE
    )


def _real_readers(node: Node, readers: Mapping[Node, list[Node]]) -> list[Node]:
    found: list[Node] = []
    for reader in readers[node]:
        found.extend(
            _real_readers(reader, readers) if reader.op in _MOVES else [reader]
        )
    return found


def _narrowest(node: Node) -> Node:
    """Return the node of lowest rank among reshapes of one vector."""
    best = node
    while node.op is Op.RESHAPE and {s for s in node.shape if s != 1} == {
        s for s in node.sources[0].shape if s != 1
    }:
        node = node.sources[0]
        if node.rank < best.rank and node.op in _CONTINUES:
            best = node
    return best


# ---------------------------------------------------------------- names


def intermediates(
    loss: Node,
    wrt: Sequence[Node],
    chosen: Sequence[tuple[Node, str]],
    names: Mapping[Node, str],
    readers: Mapping[Node, list[Node]],
) -> set[Node]:
    """Return the signals that textbooks substitute into the next line.

    A multiple of an affine result (QKᵀ/√d), the square of a norm, a transpose of a named matrix; and in a loss that is
    matrix algebra alone, without an activation, every product that is used once (XᵀAXB).
    """
    taken = {str(n.attributes["name"]) for n in readers if n.op is Op.INPUT}
    output = _output(loss, wrt, list(chosen), taken | set(names.values()), names)
    above = set(readers) if output is None else dependents(list(readers), [output])
    bent = any(
        n.op in _TRANSCENDENTAL and any(s != 1 for s in n.shape) for n in readers
    )
    plain = not bent and not any(kind == "activation" for _, kind in chosen)
    plain = plain and not auxiliary_outputs(loss)
    found: set[Node] = set()
    for node, _ in chosen:
        if node in names or node in wrt or node is output:
            continue
        reading = _real_readers(node, readers)
        once = len(reading) == 1
        inside = once and _is_multiple(reading[0], node, chosen)
        moved = node.op in _MOVES and peel(node) in names
        product = plain and once and node.rank <= 2 and node in above
        if inside or moved or product or _is_square_of(node):
            found.add(node)
    return found


def _is_multiple(reader: Node, node: Node, chosen: Sequence[tuple[Node, str]]) -> bool:
    """Whether a signal is a constant times another."""
    if reader.op not in {Op.MULTIPLY, Op.DIVIDE} or (reader, "affine") not in chosen:
        return False
    others = [s for s in reader.sources if peel(s) is not peel(node)]
    return len(others) == 1 and peel(others[0]).op is Op.CONSTANT


def _is_square_of(node: Node) -> bool:
    """Whether a signal is xᵀx."""
    if node.op in _MOVES:
        node = peel(node)
    sources = [peel(source) for source in node.sources]
    number = all(size == 1 for size in node.shape)
    return node.op is Op.MATMUL and number and sources[0] is sources[1]


def _named(
    loss: Node,
    wrt: Sequence[Node],
    chosen: list[tuple[Node, str]],
    names: Mapping[Node, str],
    style: Style,
    between: Collection[Node],
) -> list[Signal]:
    taken = {
        str(n.attributes["name"]) for n in topological([loss]) if n.op is Op.INPUT
    } | set(names.values())
    layer = 0
    signals: list[Signal] = []
    output = _output(loss, wrt, chosen, taken, names)
    plain = 0
    # the lines of detail="steps" are numbered first, so that names do not depend on the detail
    for node, kind in sorted(chosen, key=lambda pair: pair[0] in between):
        layer += kind == "affine"
        letter = {"affine": style.affine, "activation": style.activation, "plain": "u"}[
            kind
        ]
        if node.dtype.kind == "bool":
            letter = "M"
        if node.op is Op.CALL:
            letter = _LETTERS.get(node.attributes["function"], letter)
        column = node.op is Op.SOLVE and node.shape[-1] == 1
        matrix = node.rank >= 2 and not column
        letter = letter[0].upper() + letter[1:] if matrix else letter
        if kind == "plain":
            plain += 1
        index = (
            plain
            if kind == "plain"
            else max(layer, 1) - (1 - style.first) * (kind == "affine")
        )
        name = names.get(node)
        if name is None and node is output:
            name = "Y_hat" if node.rank >= 2 else "y_hat"
        if name is None or (node not in names and name in taken):
            name = _free(letter, index, taken)
        taken.add(name)
        kind = "output" if node is output else kind
        signals.append(Signal(node, name, kind, layer, node in between))
    order = {node: place for place, (node, _) in enumerate(chosen)}
    signals.sort(key=lambda signal: order[signal.node])
    final = names.get(loss) or ("L" if "L" not in taken else "J")
    return [*signals, Signal(loss, final, "loss", layer)]


def _free(letter: str, index: int, taken: set[str]) -> str:
    """Return z_2, or z_2', z_2'' where that is taken."""
    name = f"{letter}_{index}"
    while name in taken:
        name += "'"
    return name


def _output(
    loss: Node,
    wrt: Sequence[Node],
    chosen: list[tuple[Node, str]],
    taken: set[str],
    names: Mapping[Node, str],
) -> Node | None:
    """Return the last activation or affine result, the prediction, if a target y is compared with it."""
    if not any(
        re.match(r"(y|Y|t|target|targets|label|labels)([_\d].*)?$", name)
        for name in taken
    ):
        return None
    if auxiliary_outputs(loss):
        return None
    last = next(
        (node for node, kind in reversed(chosen) if kind in {"affine", "activation"}),
        None,
    )
    if last is None or last in names or {"y_hat", "Y_hat", "yhat"} & taken:
        return None
    beside = topological([loss], frozenset({last}))
    return last if _reads_only(beside, last, wrt, loss) else None


def _reads_only(
    order: Sequence[Node], last: Node, wrt: Sequence[Node], loss: Node
) -> bool:
    """Whether the loss depends on the variables below one node only through it."""
    below = set(topological([last]))
    wrt = [w for w in wrt if w in below]
    return loss not in dependents(
        [node for node in order if node is not last], [w for w in wrt if w is not last]
    )
