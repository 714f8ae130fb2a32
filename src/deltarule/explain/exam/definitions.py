"""Definitions of the functions of a network that have constants: LeakyReLU(z) = max(z, 0.1z) with its slope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deltarule.explain.formula.typeset import number_formula
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.walk import topological
from deltarule.render import mathematics as m

_Z = m.Identifier("z")


def definitions(loss: Node) -> tuple[m.Formula, ...]:
    """Return the definitions of all functions of a graph whose constants the formulas do not show.

    >>> from deltarule.graph import build, functions
    >>> z = build.input_node("z", (2,))
    >>> [m.to_text(f) for f in definitions(build.sum_over(functions.leaky_relu(z, slope=0.25)))]
    ['LeakyReLU(z) = z if z > 0, 0.25z otherwise']
    """
    found: dict[m.Formula, None] = {}
    for node in topological([loss]):
        if node.op is Op.CALL:
            write = _DEFINITIONS.get(node.attributes["function"])
            if write is not None:
                found.setdefault(write(node.attributes), None)
    return tuple(found)


def _defined(name: str, *right: m.Formula) -> m.Formula:
    head = m.Identifier(name, upright=True)
    return m.row(head, m.Fenced(_Z), m.Operator("=", spaced=True), *right)


def _cases(name: str, negative: m.Formula) -> m.Formula:
    return _defined(
        name,
        _Z,
        m.Text(" if "),
        _Z,
        m.Operator(">", spaced=True),
        m.Number("0"),
        m.Operator(", "),
        negative,
        m.Text(" otherwise"),
    )


def _leaky_relu(attributes: Mapping[str, Any]) -> m.Formula:
    return _cases("LeakyReLU", m.row(number_formula(attributes["slope"]), _Z))


def _elu(attributes: Mapping[str, Any]) -> m.Formula:
    power = m.Scripts(m.Identifier("e"), upper=_Z)
    body = m.Fenced(m.row(power, m.Operator("−", spaced=True), m.Number("1")))
    alpha = float(attributes["alpha"])
    scaled = body if alpha == 1.0 else m.row(number_formula(alpha), body)
    return _cases("ELU", scaled)


def _softplus(attributes: Mapping[str, Any]) -> m.Formula:
    del attributes
    power = m.Scripts(m.Identifier("e"), upper=_Z)
    body = m.row(m.Number("1"), m.Operator("+", spaced=True), power)
    return _defined("softplus", m.Identifier("log", upright=True), m.Fenced(body))


_DEFINITIONS: dict[str, Callable[[Mapping[str, Any]], m.Formula]] = {
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "softplus": _softplus,
}
