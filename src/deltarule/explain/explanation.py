"""Derivations as objects: text, LaTeX, HTML, proof, and the numbers of one example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from deltarule.errors import ArgumentError
from deltarule.explain.derivation.derivation import (
    Derived,
    Deriver,
    Detail,
    Layout,
    Line,
)
from deltarule.explain.derivation.signals import STYLES
from deltarule.explain.derivation.single_example import one_example
from deltarule.explain.formula.names import canonical
from deltarule.explain.formula.typeset import symbol
from deltarule.explain.page import (
    diagram,
    document,
    index_notation,
    numeric_example,
    page,
)
from deltarule.explain.page.batch_mean import Batch
from deltarule.explain.page.numerator_layout import in_layout
from deltarule.explain.proof.proof import CheckReport, Draw, Evaluate
from deltarule.explain.proof.proof import check as check_lines
from deltarule.flags import checks_flags
from deltarule.graph.node import Node
from deltarule.render.mathematics import to_text


@final
class Derivation:
    """The derivation of ∂loss/∂w for each w: as text or typeset, with its proof and the numbers of an example.

    ``evaluate`` runs graphs and ``draw`` draws random values (for the proof); both may be given later.

    >>> from deltarule.graph import build
    >>> W, x = build.input_node("W", (2, 3)), build.input_node("x", (3,))
    >>> derivation = derive(build.sum_over(build.exp(build.matmul(W, x))), [W])
    >>> derivation.gradient("W")
    'e^z₁xᵀ'
    """

    def __init__(
        self,
        derived: Derived,
        evaluate: Evaluate | None = None,
        draw: Draw | None = None,
        known: Mapping[Node, Any] | None = None,
        batch: Batch | None = None,
    ) -> None:
        self._known = dict(known or {})
        self._batch = batch
        self.derived = derived
        self._evaluate = evaluate
        self._draw = draw
        self._report: CheckReport | None = None

    @property
    def steps(self) -> tuple[Line, ...]:
        """The lines of the backward pass, in order (those of the wanted gradients if the detail is "answers")."""
        return tuple(self._backward)

    @property
    def forward(self) -> tuple[Line, ...]:
        """The lines of the forward pass, in order."""
        return tuple(self.derived.forward)

    @property
    def _backward(self) -> list[Line]:
        short = self.derived.detail == "answers" and len(self.derived.closed) == len(
            self.derived.wrt
        )
        lines = self.derived.closed if short else self.derived.backward
        return in_layout(lines, self.derived.layout)

    def gradient(self, name: str) -> str:
        """Return the closed form of one wanted gradient as text, in terms of forward signals.

        Where the closed form is too long (a recurrent network), the line of the derivation, in terms of the previous δ.

        Raises:
            KeyError: no variable of that name was asked for.

        >>> from deltarule.graph import build
        >>> A, x = build.input_node("A", (3, 3)), build.input_node("x", (3,))
        >>> derive(build.matmul(x, build.matmul(A, x)), [x]).gradient("x")
        '(A + Aᵀ)x'
        """
        wanted = [line for line in self.derived.backward if line.wanted]
        for line in in_layout([*self.derived.closed, *wanted], self.derived.layout):
            if name in (
                line.name,
                to_text(page.entry(line, self.derived.loss_name).left),
            ):
                return to_text(page.entry(line, self.derived.loss_name).right)
        raise KeyError(
            f"{name}: expected one of {', '.join(line.name for line in wanted)}"
        )

    def check(
        self,
        evaluate: Evaluate | None = None,
        draw: Draw | None = None,
        points: int | None = None,
    ) -> CheckReport:
        """Evaluate every line at random points in float64, against central differences and the engine.

        Without ``points``: 20, and fewer where there are many lines.
        """
        if points is not None and (not isinstance(points, int) or points < 1):
            raise ArgumentError(
                "check points", expected="a whole number from 1", got=repr(points)
            )
        run, rng = evaluate or self._evaluate, draw or self._draw
        if run is None or rng is None:
            raise ArgumentError(
                "check",
                expected="an evaluator and a sampler of random values",
                got="none",
            )
        layout = self.derived.layout
        backward, closed_forms = (
            in_layout(self.derived.backward, layout),
            in_layout(self.derived.closed, layout),
        )
        lines = [*self.derived.forward, *backward, *closed_forms]
        loss = self.derived.loss_name
        labels = [to_text(page.entry(line, loss).left) for line in lines]
        closed = len(closed_forms)
        labels[len(labels) - closed :] = [
            f"{label} closed" for label in labels[len(labels) - closed :]
        ]
        self._report = check_lines(
            self.derived, lines, labels, run, rng, points, closed
        )
        if self._batch is not None:
            rows = self._batch.check(self.derived, run, rng)
            more = tuple(f"∂J/∂{to_text(symbol(row.line.name))}" for row in rows)
            self._report = CheckReport(
                (*self._report.rows, *rows),
                (*self._report.labels, *more),
                self._report.points,
            )
        return self._report

    def _of_batch(self) -> page.Batch | None:
        return (
            None
            if self._batch is None
            else (self._batch.title, self._batch.entries(self.derived))
        )

    def components(self) -> str:
        """Return the backward lines in index notation, beside the matrix form: (∂L/∂W₁)ᵢⱼ = (δ₁)ᵢ xⱼ.

        >>> from deltarule.graph import build
        >>> W, x = build.input_node("W", (2, 3)), build.input_node("x", (3,))
        >>> print(derive(build.sum_over(build.exp(build.matmul(W, x))), [W]).components())
          1  (∂L/∂z₁)ᵢ = (e^z₁)ᵢ
          2  (∂L/∂W)ᵢⱼ = (δ₁)ᵢ xⱼ
        """
        return index_notation.page(self.derived.backward, self.derived.loss_name)

    def _conclusion(self) -> str:
        if (
            self._report is None
            and self._evaluate is not None
            and self._draw is not None
        ):
            self.check()
        return "" if self._report is None else self._report.summary

    def __str__(self) -> str:
        return page.text(
            self.derived, self._backward, self._conclusion(), self._of_batch()
        )

    def __repr__(self) -> str:
        return str(self)

    @checks_flags
    def latex(self, standalone: bool = False) -> str:
        r"""Return LaTeX: two ``align*`` environments, or with ``standalone`` a whole document.

        >>> from deltarule.graph import build
        >>> x = build.input_node("x", (3,))
        >>> print(derive(build.sum_over(build.exp(x)), [x]).latex())
        \[ x\in \mathbb{R}^{\mathrm{3}} \]
        \begin{align*}
        L &= \sum  e^{x} && 1
        \end{align*}
        \begin{align*}
        \partial L/\partial x &= e^{x} && 3 \quad \text{exp$'$ = exp}
        \end{align*}
        """
        return document.latex(
            self.derived,
            self._backward,
            self._conclusion(),
            standalone,
            self._of_batch(),
        )

    def html(self) -> str:
        """Return one HTML page; the formulas are MathML, readable without JavaScript or network.

        >>> from deltarule.graph import build
        >>> x = build.input_node("x", (3,))
        >>> derive(build.sum_over(build.exp(x)), [x]).html()[:15]
        '<!DOCTYPE html>'
        """
        return document.html(
            self.derived, self._backward, self._conclusion(), self._of_batch()
        )

    def graph_svg(self, given: Mapping[Any, Any] | None = None) -> str:
        """Draw the computational graph; with values, forward numbers stand above the edges and gradients below.

        >>> from deltarule.graph import build
        >>> x = build.input_node("x", (3,))
        >>> derive(build.sum_over(build.exp(x)), [x]).graph_svg()[:4]
        '<svg'
        """
        held = {symbol.node for symbol in self.derived.inputs} <= set(self._known)
        return diagram.svg(
            self.derived, self.at(given) if given is not None or held else None
        )

    def _repr_html_(self) -> str:
        return document.fragment(
            self.derived, self._backward, self._conclusion(), self._of_batch()
        )

    def _repr_latex_(self) -> str:
        return document.latex(
            self.derived, self._backward, self._conclusion(), batch=self._of_batch()
        )

    def at(
        self, given: Mapping[Any, Any] | None = None, evaluate: Evaluate | None = None
    ) -> numeric_example.Example:
        """Return the lines with the numbers of one example.

        ``given`` maps inputs (by name, tensor or node) to values; tensors that hold a value need none.

        Raises:
            ArgumentError: an unknown name.
            GraphError: an input without a value.
        """
        run = evaluate or self._evaluate
        if run is None:
            raise ArgumentError("at", expected="an evaluator", got="none")
        if given is not None and not isinstance(given, Mapping):
            raise ArgumentError(
                "at",
                expected="a mapping from names to values",
                got=type(given).__name__,
            )
        by_name = {symbol.name: symbol.node for symbol in self.derived.inputs}
        found = dict(self._known)
        for key, value in (given or {}).items():
            node = (
                by_name.get(canonical(key))
                if isinstance(key, str)
                else getattr(key, "node", key)
            )
            if not isinstance(node, Node):
                raise ArgumentError(
                    "at", expected=f"names among {', '.join(by_name)}", got=repr(key)
                )
            found[node] = value
        return numeric_example.example(self.derived, self._backward, found, run)


def derive(
    loss: Node,
    wrt: Sequence[Node],
    *,
    layout: Layout = "denominator",
    names: Mapping[Node, str] | None = None,
    detail: Detail = "steps",
    style: str = "textbook",
    batch: str = "matrices",
    evaluate: Evaluate | None = None,
    draw: Draw | None = None,
    known: Mapping[Node, Any] | None = None,
    assume: Mapping[Node, str] | None = None,
) -> Derivation:
    """Derive ∂loss/∂w for each w in matrix calculus, one line per step.

    Args:
        loss: A scalar node.
        wrt: Nodes below it: parameters, inputs or signals.
        layout: "denominator" (a gradient has the shape of its variable) or "numerator" (its transpose).
        names: Names of nodes in place of z₁, a₁, ŷ and L; named nodes get a line.
        style: "textbook" (z, a), "row" (S, x and layers from 0, best in numerator layout: row-vector δ) or "sums"
            (x, y and component formulas).
        detail: "answers" (closed forms), "steps", or "every" (no step merged).
        batch: "matrices" (the examples are rows), or "example": the derivation of one example, followed by the mean
            over the batch.
        evaluate: Evaluates graphs; with ``draw`` the text ends with the proof.
        draw: Draws random values of a node in a domain.
        known: Values of inputs that need not be given to ``at``.
        assume: Kinds of inputs, such as "one-hot" or "symmetric".

    Raises:
        ArgumentError: an unknown option, or a variable that the loss does not depend on.
        GraphError: the loss is not a scalar.

    >>> from deltarule.graph import build
    >>> x, y = build.input_node("x", (3,)), build.input_node("y", (3,))
    >>> difference = build.subtract(x, y)
    >>> print(derive(build.sum_over(build.multiply(difference, difference)), [x]))
    Network   y ∈ ℝ³
    wanted    gradients at x ∈ ℝ³
    forward
      L = ‖x − y‖²  1
    backward (denominator layout)
      1  ∂L/∂x = 2(x − y)  3  power rule
    """
    if style not in STYLES:
        raise ArgumentError(
            "derive style", expected=f"one of {', '.join(STYLES)}", got=repr(style)
        )
    if batch not in {"matrices", "example"}:
        raise ArgumentError(
            "derive batch", expected='"matrices" or "example"', got=repr(batch)
        )
    if batch == "matrices":
        derived = Deriver(
            loss, wrt, names or {}, layout, detail, STYLES[style], assume
        ).derive()
        return Derivation(derived, evaluate, draw, known)
    example = one_example(loss, wrt)
    kept = {node: name for node, name in (names or {}).items() if node in wrt}
    kinds = {
        example.inputs.get(node, node): kind for node, kind in (assume or {}).items()
    }
    derived = Deriver(
        example.loss, wrt, kept, layout, detail, STYLES[style], kinds
    ).derive()
    held = {
        node: value
        for node, value in (known or {}).items()
        if node not in example.inputs
    }
    return Derivation(derived, evaluate, draw, held, Batch(loss, example))
