"""Derivations of gradients in matrix calculus, and grading of answers; the reference backend evaluates.

Closed forms other than gradients of a scalar are in ``closed_forms``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from deltarule import shapes
from deltarule.arguments import check_calls
from deltarule.backends import reference
from deltarule.backends.base import Executable
from deltarule.errors import ArgumentError, ShapeError
from deltarule.explain.derivation.derivation import Detail, Layout
from deltarule.explain.explanation import Derivation
from deltarule.explain.explanation import derive as derive_nodes
from deltarule.explain.formula.names import canonical
from deltarule.explain.grading import grading
from deltarule.explain.grading.verdict import Grade
from deltarule.explain.proof.domains import Domain
from deltarule.explain.proof.proof import Draw
from deltarule.flags import checks_flags
from deltarule.graph.node import Node
from deltarule.graph.program import Program
from deltarule.graph.rewrite import without_checks
from deltarule.graph.walk import inputs
from deltarule.runtime.buffers import Array, value_of
from deltarule.runtime.devices import backend
from deltarule.tensor.samplers import SAMPLERS
from deltarule.tensor.tensor import Tensor, depends_on_parameter, symbol

__all__ = ["derive", "grade"]


class Model(Protocol):
    """The protocol of models that ``derive`` accepts: a call, and named parameters."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the prediction."""
        ...

    def apply(self, inputs: Tensor, *, mode: Any, seed: Any, step: Any) -> Any:
        """Return an object whose ``.output`` is the output for a batch in a mode."""
        ...

    def named_parameters(self) -> Any:
        """Return pairs of a name and a tensor."""
        ...


Answer = str | Callable[..., Any]


def run(outputs: Sequence[Node], values: Mapping[Node, Any]) -> list[Array]:
    """Evaluate nodes with the reference backend; values may be lists and numbers."""
    return reference.evaluate(
        outputs, {node: _array(node, value) for node, value in values.items()}
    )


class Prepared:
    """Evaluate nodes as ``run`` does, fast when the same nodes are evaluated again.

    >>> x = symbol("x", (2,))
    >>> Prepared()([(x * x).node], {x.node: [1.0, 3.0]})[0].tolist()
    [1.0, 9.0]
    """

    def __init__(self) -> None:
        self._evaluate = reference.Evaluator()

    def __call__(
        self, outputs: Sequence[Node], values: Mapping[Node, Any]
    ) -> list[Array]:
        """Evaluate nodes; values may be lists and numbers."""
        return self._evaluate(
            outputs, {node: _array(node, value) for node, value in values.items()}
        )


def _array(node: Node, value: Any) -> Array:
    """Return a value as an array of the dtype of a node, checked against its known sizes."""
    if (
        isinstance(value, np.ndarray)
        and value.dtype.kind in "fiub"
        and value.shape == node.shape
    ):
        return np.asarray(value, node.dtype.name)
    name = f"value of {node.attributes.get('name') or 'an input'}"
    try:
        found = np.asarray(value, node.dtype.name)
    except (ValueError, TypeError) as error:
        got = f"{value!s:.60}"
        raise ArgumentError(
            name, expected=f"numbers of shape {shapes.show(node.shape)}", got=got
        ) from error
    fits = found.ndim == node.rank and all(
        not isinstance(size, int) or size == given
        for size, given in zip(node.shape, found.shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            name, expected=shapes.show(node.shape), got=shapes.show(found.shape)
        )
    return found


class Compiled:
    """An evaluator that runs graphs on a device, for ``derivation.check(Compiled("cpu"))``.

    Programs are compiled once for the same outputs and inputs.

    >>> x = symbol("x", (2,))
    >>> Compiled("reference")([(x * x).node], {x.node: [1.0, 3.0]})[0].tolist()
    [1.0, 9.0]
    """

    def __init__(self, device: str = "cpu") -> None:
        self._backend = backend(device)
        self._programs: dict[tuple[Node, ...], Executable] = {}

    def __call__(
        self, outputs: Sequence[Node], values: Mapping[Node, Any]
    ) -> list[Array]:
        """Evaluate nodes; ``values`` holds inputs of known shape."""
        inputs = tuple(values)
        key = (*inputs, *outputs)
        if key not in self._programs:
            self._programs[key] = self._backend.compile(Program(inputs, tuple(outputs)))
        return self._programs[key](
            *(np.asarray(values[node], node.dtype.name) for node in inputs)
        )


def value_sampler(seed: int) -> Draw:
    """Return a function that draws random values in a domain, for verification and grading.

    >>> from deltarule.explain.proof.domains import Domain
    >>> y = symbol("y", (3,), "int64").node
    >>> value_sampler(0)(y, Domain("labels", 4)).tolist()
    [3, 2, 2]
    """
    generator = np.random.default_rng(seed)

    def draw(node: Node, domain: Domain) -> Array:
        shape = node.shape
        if domain.kind in SAMPLERS:
            return SAMPLERS[domain.kind](generator, shape)
        if domain.kind == "labels":
            return generator.integers(0, domain.size, shape).astype(node.dtype.name)
        if domain.kind == "truth":
            return generator.random(shape) < 0.5
        if domain.kind == "unit":
            return generator.uniform(0.05, 0.95, shape)
        values = np.asarray(generator.normal(size=shape))
        if domain.kind == "positive":
            return np.abs(values) + 0.1
        if domain.kind == "distribution":
            positive = np.abs(values) + 0.1
            return np.asarray(positive / positive.sum(-1, keepdims=True))
        if domain.kind == "definite":
            return np.asarray(
                values @ np.swapaxes(values, -1, -2) + shape[-1] * np.eye(shape[-1])
            )
        # scaled so that deep networks do not saturate
        return values / np.sqrt(shape[-1]) if len(shape) > 1 else values

    return draw


def derive(
    loss: Tensor | Model,
    criterion: Callable[[Tensor, Tensor], Tensor] | None = None,
    *,
    wrt: Sequence[Tensor] | Tensor | None = None,
    layout: Layout = "denominator",
    detail: Detail = "steps",
    style: str = "textbook",
    batch: str = "matrices",
    names: Mapping[Tensor, str] | None = None,
    input_shape: Sequence[int] | int | None = None,
    target_shape: Sequence[int] | None = None,
    mode: str = "inference",
    seed: int = 0,
    assume: Mapping[Tensor, str] | Mapping[str, str] | None = None,
) -> Derivation:
    """Derive the gradient of a loss in matrix calculus, step by step; every line is verified numerically.

    Call ``derive(loss, wrt=[W1, b1])`` for a scalar tensor, or ``derive(model, criterion, input_shape=(784,))``
    for a model and a loss function.

    Args:
        loss: A scalar tensor, or a model.
        criterion: The loss of a model, a function of (prediction, target).
        wrt: Variables to differentiate with respect to; all parameters by default.
        layout: "denominator" or "numerator".
        detail: "answers" (results only), "steps", or "every" (all intermediate steps).
        style: Names of the signals in the formulas.
        batch: "matrices" (the examples are the rows of matrices) or "example" (the derivation for one example of a
            batch, then the mean over the examples).
        names: Names of tensors in the formulas.
        input_shape: Shape of the input of a model; with ``mode="training"`` the batch size comes first.
        target_shape: Shape of the target; by default that of the prediction.
        mode: Mode of a model: "inference", or "training" (batch normalisation with the statistics of the batch,
            dropout with its mask).
        seed: Seed of the random points of the verification, and of the dropout masks.
        assume: What is known of inputs, by tensor or name: "one-hot", "distribution", "binary", "positive",
            "nonnegative", "unit" (between 0 and 1), "integer", "symmetric", "positive definite" or "orthogonal".

    Raises:
        ArgumentError: the options do not go together, there is no variable, or an assumption is impossible.
        GraphError: the loss is not a scalar.

    >>> from deltarule.tensor.tensor import parameter, symbol
    >>> w, x, y = symbol("w", (3,)), symbol("x", (3,)), symbol("y", ())
    >>> z = w @ x
    >>> d = derive((z - y) * (z - y) * 0.5, wrt=[w])
    >>> d.gradient("w")
    '(ŷ − y)x'
    """
    labels = node_names(names)
    if not isinstance(loss, Tensor):
        loss, found = _of_model(loss, criterion, input_shape, target_shape, mode, seed)
        labels = {**found, **labels}
        wrt = wrt if wrt is not None else [Tensor(node) for node in found]
    variables = [wrt] if isinstance(wrt, Tensor) else wrt or _variables(loss)
    nodes = [original_node(w) for w in variables]
    node, labels = without_target_checks(loss.node, labels)
    return derive_nodes(
        node,
        nodes,
        assume=assumptions(assume, node),
        layout=layout,
        names=labels,
        detail=detail,
        style=style,
        batch=batch,
        evaluate=Prepared(),
        draw=value_sampler(seed),
        known={
            leaf: value
            for leaf in inputs([node])
            if (value := value_of(leaf)) is not None
        },
    )


def without_target_checks(
    loss: Node, names: Mapping[Node, str]
) -> tuple[Node, dict[Node, str]]:
    """Return a node and the named nodes without runtime checks of targets, which are not part of a formula."""
    bare, *named = without_checks([loss, *names])
    return bare, dict(zip(named, names.values(), strict=True))


def assumptions(
    assume: Mapping[Tensor, str] | Mapping[str, str] | None, loss: Node
) -> dict[Node, str]:
    """Return the kinds of inputs by node, given tensors or names.

    >>> x = symbol("x", (3,))
    >>> assumptions({"x": "positive"}, (x @ x).node)
    {<x (3) float32>: 'positive'}
    """
    if assume is not None and not isinstance(assume, Mapping):
        raise ArgumentError(
            "assume",
            expected="a mapping from tensors or names to kinds: assume={y: 'one-hot'}",
            got=type(assume).__name__,
        )
    named = {
        canonical(str(node.attributes.get("name") or "")): node
        for node in inputs([loss])
    }
    found = {}
    for key, kind in (assume or {}).items():
        if isinstance(key, str):
            if canonical(key) not in named:
                raise ArgumentError(
                    "assume",
                    expected=f"inputs of the loss ({', '.join(filter(None, named))})",
                    got=repr(key),
                )
            found[named[canonical(key)]] = kind
        else:
            found[original_node(key, "assume", "tensors or names")] = kind
    return found


def node_names(names: Mapping[Tensor, str] | None) -> dict[Node, str]:
    """Return names of nodes, given names of tensors.

    >>> x = symbol("x", (3,))
    >>> node_names({x: "X"})
    {<x (3) float32>: 'X'}
    """
    for tensor, name in (names or {}).items():
        if not isinstance(tensor, Tensor) or not isinstance(name, str):
            got = f"{{{type(tensor).__name__}: {type(name).__name__}}}"
            raise ArgumentError(
                "names",
                expected="a mapping from tensors to names: names={z: 'z'}",
                got=got,
            )
    return {tensor.node: name for tensor, name in (names or {}).items()}


def _variables(loss: Tensor) -> list[Tensor]:
    """Return the parameters that a loss depends on."""
    found = [Tensor(node) for node in inputs([loss.node]) if depends_on_parameter(node)]
    if not found:
        raise ArgumentError(
            "derive", expected="variables: wrt=[W, b]", got="a loss without parameters"
        )
    return found


def original_node(
    variable: Tensor,
    where: str = "variable",
    expected: str = "a tensor that the loss depends on",
) -> Node:
    """Return the node of a variable in the graph of its loss (an evaluated tensor became a leaf)."""
    if not isinstance(variable, Tensor):
        raise ArgumentError(where, expected=expected, got=type(variable).__name__)
    origin = variable._origin() if variable._origin is not None else None
    return origin if origin is not None else variable.node


def _of_model(
    model: Model,
    criterion: Callable[[Tensor, Tensor], Tensor] | None,
    input_shape: Sequence[int] | int | None,
    target_shape: Sequence[int] | None,
    mode: str,
    seed: int,
) -> tuple[Tensor, dict[Node, str]]:
    if not callable(model) or not hasattr(model, "named_parameters"):
        raise ArgumentError(
            "derive",
            expected="a scalar tensor, or a model and a loss",
            got=type(model).__name__,
        )
    if not callable(criterion) or input_shape is None:
        raise ArgumentError(
            "derive of a model",
            expected="a loss and an input shape",
            got=f"loss {criterion!r}, input_shape {input_shape!r}",
            hint="dr.derive(model, losses.CrossEntropy(), input_shape=(784,))",
        )
    shape = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
    x = symbol("x", shape)
    prediction = model(x) if mode == "inference" else _applied(model, x, mode, seed)
    target = symbol("y", prediction.shape if target_shape is None else target_shape)
    loss = criterion(prediction, target)
    if loss.shape != ():
        loss = loss.sum()
    found = {tensor.node: name for name, tensor in model.named_parameters()}
    below = set(inputs([loss.node]))
    return loss, {node: name for node, name in found.items() if node in below}


def _applied(model: Model, x: Tensor, mode: str, seed: int) -> Tensor:
    """Return the output of a model in a mode."""
    output: Tensor = model.apply(x, mode=mode, seed=seed, step=0).output
    return output


@checks_flags
def grade(
    loss: Tensor,
    wrt: Tensor,
    answer: Answer,
    *,
    layout: Layout = "denominator",
    language: str = "auto",
    names: Mapping[Tensor, str] | None = None,
    parameters: Sequence[Tensor] | None = None,
    allow: str | Collection[str | Tensor] | None = None,
    reveal: bool = False,
    seed: int = 0,
    assume: Mapping[Tensor, str] | Mapping[str, str] | None = None,
) -> Grade:
    """Grade an answer to the question for a gradient: correct, or which mistake was made and where.

    Args:
        loss: A scalar tensor.
        wrt: The variable to differentiate with respect to.
        answer: LaTeX, Unicode or ASCII mathematics, a Python expression, or a function of arrays with the names of
            the tensors as parameters.
        layout: The layout that the answer is expected in.
        language: "auto", "latex", "mathematics" or "python".
        names: Names of intermediate tensors that the answer may use.
        parameters: All parameters of the network; they determine which intermediate quantities have names.
        allow: The symbols that the answer may use: names or tensors, or "inputs" for the inputs and parameters; all
            by default, except the gradient itself.
        reveal: Whether the message of a wrong answer ends with the line of the derivation.
        seed: Seed of the random points.
        assume: What is known of inputs, as in ``derive``. Without it, an answer to a question for a cross-entropy that
            is right for one-hot targets only is right, and the message tells the assumption.

    Raises:
        ArgumentError: the answer cannot be parsed; the message shows the position and what was expected.

    >>> from deltarule.tensor.tensor import symbol
    >>> w, x, y = symbol("w", (3,)), symbol("x", (3,)), symbol("y", ())
    >>> z = w @ x
    >>> loss = (z - y) * (z - y) * 0.5
    >>> grade(loss, w, "x (w^T x - y)").correct
    True
    >>> grade(loss, w, "x (y - w^T x)").mistake
    'sign'
    >>> grade(loss, w, "dL/dŷ x", allow=["x", "y", "w"]).mistake
    'not allowed'
    """
    if not isinstance(answer, str) and not callable(answer):
        raise ArgumentError(
            "answer",
            expected="a formula as text, or a function of arrays",
            got=type(answer).__name__,
        )
    given = answer if isinstance(answer, str) else _of_arrays(answer)
    node, labels = without_target_checks(loss.node, node_names(names))
    return grading.grade(
        node,
        original_node(wrt),
        given,
        Prepared(),
        value_sampler(seed),
        assume=assumptions(assume, node),
        layout=layout,
        language=language,
        names=labels,
        parameters=(
            None if parameters is None else [original_node(p) for p in parameters]
        ),
        allow=allowed_nodes(allow),
        reveal=reveal,
    )


def allowed_nodes(
    allow: str | Collection[str | Tensor] | None,
) -> str | tuple[str | Node, ...] | None:
    """Return the symbols that an answer may use with nodes in the place of tensors.

    >>> allowed_nodes(["x", symbol("y", (2,))])
    ('x', <y (2) float32>)
    """
    if allow is None or isinstance(allow, str):
        return allow
    return tuple(
        original_node(each) if isinstance(each, Tensor) else each for each in allow
    )


def _of_arrays(answer: Callable[..., Any]) -> Callable[..., Array]:
    """Return a function of arrays that returns an array, and raises ArgumentError for any exception."""

    @functools.wraps(answer)
    def called(*arrays: Array) -> Array:
        try:
            return np.asarray(answer(*arrays), "float64")
        except Exception as error:  # whatever the user's own code raises
            got = f"{type(error).__name__}: {error}"
            raise ArgumentError(
                "answer function", expected="an array of numbers", got=got
            ) from error

    return called


check_calls(__name__)
