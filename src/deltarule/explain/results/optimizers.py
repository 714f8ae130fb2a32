"""Optimiser steps with given numbers: the graph that an optimiser builds, as textbook formulas, evaluated.

There are no update rules here. A line is translated from the graph as derivations are, and then is what is evaluated;
its numbers are compared with those of the graph. θ is the parameter, g the gradient of the step, t its number from 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deltarule import dtypes
from deltarule.explain.formula.term import Symbol, Term, symbols
from deltarule.explain.formula.to_graph import lower_to
from deltarule.explain.formula.typeset import number_formula, typeset
from deltarule.explain.page.numeric_example import matrix
from deltarule.explain.proof.proof import ENGINE_TOLERANCE, Evaluate
from deltarule.explain.results.update_lines import UpdateGraph
from deltarule.explain.results.updates import Assignment, assignments
from deltarule.grad.check import largest
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import inputs
from deltarule.render import mathematics as m
from deltarule.render.numbers import scientific


@dataclass(frozen=True)
class Rule:
    """An update rule: its title, what sets it apart, and the names and values of its hyperparameters.

    >>> Rule("SGD", "", {"eta": 0.1}).title
    'SGD'
    """

    title: str
    settings: Mapping[str, float]
    note: str = ""


@dataclass(frozen=True)
class Update:
    """One line of one step: what is set, by which formula, and to what value."""

    step: int
    name: str
    term: Term
    value: Any

    @property
    def formula(self) -> m.Formula:
        """Name ← formula."""
        return m.row(
            m.identifier(self.name), m.Operator("←", spaced=True), typeset(self.term)
        )


@dataclass(frozen=True)
class Walk:
    """The steps of an optimiser with their numbers; ``parameters`` are θ after each step.

    ``error`` is the largest relative difference between a value of the printed lines and that of the graph that the
    optimiser runs.

    >>> from deltarule import optim
    >>> from deltarule.optim.explanation import optimizer_steps
    >>> walk = optimizer_steps(optim.SGD(learning_rate=0.1), 1.0, [2.0])
    >>> walk.proved, float(walk.parameters[-1])
    (True, 0.8)
    """

    rule: Rule
    settings: Mapping[str, float]
    updates: tuple[Update, ...]
    parameters: tuple[Any, ...]
    error: float

    @property
    def proved(self) -> bool:
        """Whether the printed lines compute what is run."""
        return self.error <= ENGINE_TOLERANCE

    def __str__(self) -> str:
        given = ", ".join(
            f"{m.to_text(m.identifier(name))} = {m.to_text(number_formula(value))}"
            for name, value in self.settings.items()
        )
        lines = [
            f"{self.rule.title}   {given}"
            + (f"   ({self.rule.note})" if self.rule.note else "")
        ]
        step = 0
        for update in self.updates:
            if update.step != step:
                step = update.step
                lines.append(f"step t = {step}")
            pieces = matrix(update.value)
            head = f"  {m.to_text(update.formula)} = "
            lines.append(head + pieces[0])
            lines.extend(" " * len(head) + piece for piece in pieces[1:])
        return "\n".join([*lines, self._conclusion()])

    def _conclusion(self) -> str:
        found = (
            "proved: these lines compute"
            if self.proved
            else "NOT proved: compared with"
        )
        return (
            f"{found} what the optimiser runs, largest relative error "
            f"{scientific(self.error)}"
        )

    def latex(self) -> str:
        """Return the formulas of one step as an ``align*`` environment."""
        first = [update for update in self.updates if update.step == 1]
        body = " \\\\\n".join(
            m.to_latex(u.formula).replace(r"\leftarrow", r"&\leftarrow", 1)
            for u in first
        )
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


def steps(
    update: UpdateGraph,
    rule: Rule,
    theta: Any,
    gradients: Sequence[Any],
    starts: Sequence[Any],
    evaluate: Evaluate,
) -> Walk:
    """Return the steps of an optimiser from θ along gradients, with all intermediate numbers.

    Args:
        update: The graph of one step.
        rule: Its title and the values of its hyperparameters.
        theta: The first parameter.
        gradients: The gradient of each step.
        starts: The first value of each state.
        evaluate: Runs graphs.
    """
    count = Symbol("t", (), build.input_node("t", (), dtypes.FLOAT64))
    lines = assignments(update, count)
    graphs = [lower_to(line.term, line.target.node) for line in lines]
    truth = [slot.after for slot in update.slots]
    known = {node: rule.settings[name] for node, name in update.settings.items()}
    values: dict[Node, Any] = dict(known)
    values[update.parameter.before] = theta
    values |= {s.before: start for s, start in zip(update.states, starts, strict=True)}
    updates: list[Update] = []
    parameters: list[Any] = []
    error = 0.0
    for step, gradient in enumerate(gradients, start=1):
        values |= {update.gradient: gradient, update.step: step - 1, count.node: step}
        expected = evaluate(truth, _needed(values, truth))
        for line, graph in zip(lines, graphs, strict=True):
            (value,) = evaluate([graph], _needed(values, [graph]))
            values[line.target.node] = value
            updates.append(Update(step, line.target.name, line.term, value))
        for slot, wanted in zip(update.slots, expected, strict=True):
            error = largest([error, _difference(values[slot.before], wanted)])
        parameters.append(values[update.parameter.before])
    return Walk(
        rule,
        _ordered_hyperparameters(rule, lines),
        tuple(updates),
        tuple(parameters),
        error,
    )


def _ordered_hyperparameters(
    rule: Rule, lines: Sequence[Assignment]
) -> dict[str, float]:
    """Return the hyperparameters in the order in which the lines use them, the learning rate first."""
    rates = [name for name in rule.settings if name.startswith("eta")]
    used = [symbol.name for line in lines for symbol in symbols(line.term)]
    ordered = dict.fromkeys([*rates, *used, *rule.settings])
    return {name: rule.settings[name] for name in ordered if name in rule.settings}


def _needed(values: Mapping[Node, Any], outputs: Sequence[Node]) -> dict[Node, Any]:
    return {node: values[node] for node in inputs(outputs)}


def _difference(found: Any, wanted: Any) -> float:
    """Return max |found − wanted| / max(1, |wanted|)."""
    if not wanted.size:
        return 0.0
    return float((abs(found - wanted) / (abs(wanted) + (abs(wanted) < 1))).max())
