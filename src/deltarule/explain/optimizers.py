"""Optimiser steps with your numbers: each rule as the formulas of the textbook, and the formulas evaluated.

What is printed is what is computed: a line is parsed, typeset and run from one text. θ is the parameter, g the
gradient of the step, t the number of the step (from 1), η the learning rate; states start at 0.

Sources: gradient descent OPT-01, weight decay REG-07, momentum OPT-05 to OPT-07, Nesterov OPT-12, AdaGrad OPT-14,
RMSProp OPT-16 to OPT-18, Adam OPT-19, OPT-23 (penalty in the gradient) and OPT-26 (no correction), AdamW Loshchilov
and Hutter 2019, AMSGrad OPT-24 and E002-14 (maximum of the raw moment).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deltarule import dtypes
from deltarule.errors import ArgumentError
from deltarule.explain.grammar import parse
from deltarule.explain.lowering import lower_to
from deltarule.explain.proof import Evaluate
from deltarule.explain.term import Symbol, Term, matrix_shape
from deltarule.explain.typeset import typeset
from deltarule.explain.values import matrix
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.render import mathematics as m
from deltarule.shapes import Shape


@dataclass(frozen=True)
class Rule:
    """An update rule: its lines "name := formula" in order, its settings with defaults, and what sets it apart."""

    title: str
    lines: tuple[str, ...]
    settings: Mapping[str, float]
    note: str = ""


RULES: dict[str, Rule] = {
    "sgd": Rule("gradient descent", ("theta := theta - eta g",), {"eta": 0.1}),
    "weight_decay": Rule(
        "gradient descent with weight decay",
        ("theta := (1 - eta alpha) theta - eta g",),
        {"eta": 0.1, "alpha": 0.1},
        "the step of L + α/2 ‖θ‖²",
    ),
    "momentum": Rule(
        "momentum",
        ("v := alpha v - eta g", "theta := theta + v"),
        {"eta": 0.1, "alpha": 0.9},
        "the learning rate inside the velocity",
    ),
    "momentum_subtracted": Rule(
        "momentum, velocity subtracted",
        ("v := rho v + eta g", "theta := theta - v"),
        {"eta": 0.1, "rho": 0.9},
        "the same θ with v of the other sign",
    ),
    "nesterov": Rule(
        "Nesterov momentum in the changed variable",
        ("w := alpha v - eta g", "theta := theta + w + alpha (w - v)", "v := w"),
        {"eta": 0.1, "alpha": 0.9},
        "θ is the look-ahead point; g is taken at θ",
    ),
    "adagrad": Rule(
        "AdaGrad",
        ("a := a + g^2", "theta := theta - eta g/sqrt(a + epsilon)"),
        {"eta": 0.1, "epsilon": 1e-8},
        "ε inside the root",
    ),
    "rmsprop": Rule(
        "RMSProp, ε inside the root",
        ("a := beta a + (1 - beta) g^2", "theta := theta - eta g/sqrt(a + epsilon)"),
        {"eta": 0.1, "beta": 0.9, "epsilon": 1e-5},
    ),
    "rmsprop_outside": Rule(
        "RMSProp, ε outside the root",
        ("a := beta a + (1 - beta) g^2", "theta := theta - eta g/(sqrt(a) + epsilon)"),
        {"eta": 0.1, "beta": 0.9, "epsilon": 1e-5},
    ),
    "rmsprop_momentum": Rule(
        "RMSProp with momentum",
        (
            "a := beta a + (1 - beta) g^2",
            "v := alpha v - eta g/sqrt(a + epsilon)",
            "theta := theta + v",
        ),
        {"eta": 0.1, "beta": 0.9, "alpha": 0.9, "epsilon": 1e-5},
    ),
    "adam": Rule(
        "Adam",
        (
            "m := beta_1 m + (1 - beta_1) g",
            "v := beta_2 v + (1 - beta_2) g^2",
            "m_hat := m/(1 - beta_1^t)",
            "v_hat := v/(1 - beta_2^t)",
            "theta := theta - eta m_hat/(sqrt(v_hat) + epsilon)",
        ),
        {"eta": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
        "ε outside the root",
    ),
    "adam_uncorrected": Rule(
        "Adam without bias correction",
        (
            "m := beta_1 m + (1 - beta_1) g",
            "v := beta_2 v + (1 - beta_2) g^2",
            "theta := theta - eta m/(sqrt(v) + epsilon)",
        ),
        {"eta": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
        "too large first steps",
    ),
    "adam_l2": Rule(
        "Adam with the penalty in the gradient",
        (
            "G := g + lambda theta",
            "m := beta_1 m + (1 - beta_1) G",
            "v := beta_2 v + (1 - beta_2) G^2",
            "m_hat := m/(1 - beta_1^t)",
            "v_hat := v/(1 - beta_2^t)",
            "theta := theta - eta m_hat/(sqrt(v_hat) + epsilon)",
        ),
        {"eta": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "lambda": 0.1},
    ),
    "adamw": Rule(
        "AdamW: decay beside the gradient",
        (
            "m := beta_1 m + (1 - beta_1) g",
            "v := beta_2 v + (1 - beta_2) g^2",
            "m_hat := m/(1 - beta_1^t)",
            "v_hat := v/(1 - beta_2^t)",
            "theta := theta - eta lambda theta - eta m_hat/(sqrt(v_hat) + epsilon)",
        ),
        {"eta": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "lambda": 0.1},
        "Loshchilov and Hutter 2019",
    ),
    "amsgrad": Rule(
        "AMSGrad, maximum of the corrected moment",
        (
            "m := beta_1 m + (1 - beta_1) g",
            "v := beta_2 v + (1 - beta_2) g^2",
            "m_hat := m/(1 - beta_1^t)",
            "v_hat := v/(1 - beta_2^t)",
            "u := 1(u >= v_hat) ⊙ u + 1(u < v_hat) ⊙ v_hat",
            "theta := theta - eta m_hat/(sqrt(u) + epsilon)",
        ),
        {"eta": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
        "u is the largest v̂ so far",
    ),
    "amsgrad_raw": Rule(
        "AMSGrad, maximum of the raw moment",
        (
            "m := beta_1 m + (1 - beta_1) g",
            "v := beta_2 v + (1 - beta_2) g^2",
            "m_hat := m/(1 - beta_1^t)",
            "u := 1(u >= v) ⊙ u + 1(u < v) ⊙ v",
            "u_hat := u/(1 - beta_2^t)",
            "theta := theta - eta m_hat/(sqrt(u_hat) + epsilon)",
        ),
        {"eta": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
        "as PyTorch computes it",
    ),
}


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
    """The steps of an optimiser with their numbers; ``parameters`` are θ after each step."""

    rule: Rule
    settings: Mapping[str, float]
    updates: tuple[Update, ...]
    parameters: tuple[Any, ...]

    def __str__(self) -> str:
        given = ", ".join(
            f"{m.to_text(m.identifier(name))} = {value:g}"
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
        return "\n".join(lines)

    def latex(self) -> str:
        """Return the formulas of one step as an ``align*`` environment."""
        first = [update for update in self.updates if update.step == 1]
        body = " \\\\\n".join(
            m.to_latex(u.formula).replace(r"\leftarrow", r"&\leftarrow", 1)
            for u in first
        )
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


def steps(
    optimizer: str,
    theta: Any,
    gradients: Sequence[Any],
    evaluate: Evaluate,
    settings: Mapping[str, float] | None = None,
    shape: Shape = (),
) -> Walk:
    """Return the steps of an optimiser from θ along a sequence of gradients, with all intermediate numbers.

    Raises:
        ArgumentError: an unknown optimiser or setting.
    """
    if optimizer not in RULES:
        raise ArgumentError(
            "optimizer", expected=f"one of {', '.join(RULES)}", got=repr(optimizer)
        )
    rule = RULES[optimizer]
    unknown = set(settings or {}) - set(rule.settings)
    if unknown:
        raise ArgumentError(
            f"{optimizer} settings",
            expected=", ".join(rule.settings),
            got=", ".join(sorted(unknown)),
        )
    chosen = {**rule.settings, **(settings or {})}
    lines = [line.split(" := ") for line in rule.lines]
    nodes = {
        name: build.input_node(name, (), dtypes.FLOAT64) for name in (*chosen, "t")
    }
    nodes |= {
        name: build.input_node(name, shape, dtypes.FLOAT64)
        for name in ("theta", "g", *(n for n, _ in lines))
    }
    known = {
        name: Symbol(name, matrix_shape(node.shape), node)
        for name, node in nodes.items()
    }
    terms = [(name, parse(text, known)) for name, text in lines]
    return _walk(rule, chosen, terms, nodes, theta, gradients, evaluate)


def _walk(
    rule: Rule,
    settings: Mapping[str, float],
    terms: Sequence[tuple[str, Term]],
    nodes: Mapping[str, Node],
    theta: Any,
    gradients: Sequence[Any],
    evaluate: Evaluate,
) -> Walk:
    graphs = [(name, term, lower_to(term, nodes[name])) for name, term in terms]
    values: dict[Node, Any] = {nodes[name]: value for name, value in settings.items()}
    (zero,) = evaluate([build.full(nodes["theta"].shape, 0.0, dtypes.FLOAT64)], {})
    values |= {nodes[name]: zero for name, _ in terms}
    values[nodes["theta"]] = theta
    updates: list[Update] = []
    parameters: list[Any] = []
    for step, gradient in enumerate(gradients, start=1):
        values[nodes["g"]], values[nodes["t"]] = gradient, float(step)
        for name, term, graph in graphs:
            (value,) = evaluate([graph], values)
            values[nodes[name]] = value
            updates.append(Update(step, name, term, value))
        parameters.append(values[nodes["theta"]])
    return Walk(rule, settings, tuple(updates), tuple(parameters))
