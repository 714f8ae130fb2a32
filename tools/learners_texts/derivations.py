"""What the derivations of several families need: symbols, and results that are no gradients but can be proved."""

from __future__ import annotations

from collections.abc import Mapping

import deltarule as dr
from deltarule import dtypes
from deltarule.explain.results.identities import Identity, IdentityStep
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.tensor.explain import run, value_sampler


def vectors() -> tuple[dr.Tensor, dr.Tensor, dr.Tensor]:
    """Return an example x, weights θ and a target y."""
    return dr.symbol("x", (3,)), dr.symbol("theta", (3,)), dr.symbol("y", ())


def table() -> tuple[dr.Tensor, dr.Tensor, dr.Tensor]:
    """Return examples X in rows, weights θ and targets Y."""
    return dr.symbol("X", (5, 3)), dr.symbol("theta", (3,)), dr.symbol("Y", (5,))


def real(name: str, *shape: int) -> Node:
    """Return a name for any real numbers."""
    return build.input_node(name, shape, dtypes.FLOAT64)


def number(value: float) -> Node:
    """Return a number."""
    return build.constant(value, dtypes.FLOAT64)


def result(
    given: str, names: Mapping[str, Node], *steps: tuple[str, str, str, str]
) -> Identity:
    """Return steps (left, relation, right, reason), each proved by evaluation."""
    return Identity(
        "",
        given,
        names,
        tuple(IdentityStep(*step) for step in steps),
        run,
        value_sampler(0),
    )
