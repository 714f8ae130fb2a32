"""Questions on user-defined networks, with alternatives of which each variant draws one."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deltarule.explain.exam import gradients
from deltarule.explain.exam.gradients import Network
from deltarule.explain.exam.questions import Item, Question
from deltarule.explain.exam.responses import Gradient
from deltarule.explain.explanation import Derivation
from deltarule.explain.grading.allowed import Allow
from deltarule.explain.grading.grading import check_allow
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.graph.node import Node

ASKED = ("gradients", "derivation", "numbers")


@dataclass(frozen=True)
class NetworkTask:
    """A question on a network.

    Attributes:
        loss: The scalar loss.
        wrt: The variables to differentiate with respect to.
        ask: "gradients" (formulas), "derivation" (every line) or "numbers".
        points: The points of the question.
        title: Its first sentence.
        names: Names of signals.
        choices: The numbers from which entries of an input are drawn, by name.
        values: Fixed values of inputs, by name.
        allow: The symbols that answers to "gradients" may use.
        reveal: Whether the message on a wrong formula shows the line of the derivation.

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> NetworkTask(build.sum_over(build.exp(x)), (x,), "gradients", 2.0, "A sum").network().title
    'A sum'
    """

    loss: Node
    wrt: tuple[Node, ...]
    ask: str
    points: float
    title: str
    names: Mapping[Node, str] = field(default_factory=dict)
    choices: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    allow: Allow = None
    reveal: bool = False

    def network(self) -> Network:
        """Return the network of the task."""
        return Network(
            self.title, self.loss, self.wrt, self.names, self.choices, self.values
        )


def author(
    alternatives: Sequence[NetworkTask],
) -> Callable[[random.Random, Evaluate, Draw], Question]:
    """Return the author of a question: each variant draws one of the alternatives, whose proofs are shared."""

    @functools.cache
    def proved(
        index: int, evaluate: Evaluate, draw: Draw
    ) -> tuple[Network, Derivation, str]:
        network = alternatives[index].network()
        return network, *gradients.proved(network, evaluate, draw)

    def write(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
        index = rng.randrange(len(alternatives))
        task = alternatives[index]
        known = proved(index, evaluate, draw)
        if task.ask == "numbers":
            question = gradients.numeric_question(*known, rng, evaluate)
        elif task.ask == "derivation":
            question = gradients.derivation_question(*known)
        else:
            question = gradients.formula_question(*known)
        return _restricted(question, task).worth(task.points)

    return write


def _restricted(question: Question, task: NetworkTask) -> Question:
    """Return a question whose formulas are graded as the task says; a line of a derivation may use all symbols."""
    allow = task.allow if task.ask == "gradients" else None
    return replace(
        question,
        items=tuple(_graded(item, allow, task.reveal) for item in question.items),
    )


def _graded(item: Item, allow: Allow, reveal: bool) -> Item:
    response = item.response
    if not isinstance(response, Gradient):
        return item
    loss, wrt, names = response.loss, response.wrt, response.names
    if allow is not None:
        check_allow(allow, loss, wrt, names, response.parameters)
    return replace(item, response=replace(response, allow=allow, reveal=reveal))
