"""Named functions of the textbook, declared once: name, formula, expansion into primitives.

A use of such a function is one ``CALL`` node. Derivations print its name, ``grad/textbook.py`` may hold the
textbook's own pullback for it, an engine may run it as a whole; every pass that knows nothing of it expands it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deltarule.graph import build
from deltarule.graph.node import Node, intern
from deltarule.graph.op import Op

Constructor = Callable[..., Node]


@dataclass(frozen=True)
class NamedFunction:
    """A function of the textbook: its formula in Unicode and its expansion (operands, attributes) → Node."""

    name: str
    formula: str
    expand: Constructor
    summary: str


FUNCTIONS: dict[str, NamedFunction] = {}
_expansions: weakref.WeakKeyDictionary[Node, Node] = weakref.WeakKeyDictionary()


def named(
    formula: str, *, elementwise: bool = False
) -> Callable[[Constructor], Constructor]:
    """Declare the decorated expansion as a named function; the result constructs ``CALL`` nodes.

    Operands are positional, attributes keyword-only and hashable. The expansion runs once at construction,
    so its shape errors are raised there. ``elementwise`` operands are first brought to one type and one shape.
    """

    def declare(expand: Constructor) -> Constructor:
        name = expand.__name__
        FUNCTIONS[name] = NamedFunction(
            name, formula, expand, (expand.__doc__ or "").strip()
        )

        def construct(*operands: Node, **attributes: Any) -> Node:
            if elementwise:
                operands = build.aligned(name, *operands)
            expansion = expand(*operands, **attributes)
            described = {"function": name, **attributes}
            node = intern(
                Op.CALL, tuple(operands), described, expansion.shape, expansion.dtype
            )
            _expansions.setdefault(node, expansion)
            return node

        construct.__name__ = construct.__qualname__ = name
        construct.__doc__ = expand.__doc__
        return construct

    return declare


def expansion(node: Node) -> Node:
    """Return the graph in primitives (and other named functions) that a ``CALL`` node stands for."""
    known = _expansions.get(node)
    if known is None:
        attributes = {
            key: value for key, value in node.attributes.items() if key != "function"
        }
        known = FUNCTIONS[node.attributes["function"]].expand(
            *node.sources, **attributes
        )
        _expansions[node] = known
    return known
