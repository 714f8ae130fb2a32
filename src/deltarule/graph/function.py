"""Named functions such as softmax: name, formula, expansion into primitives.

A call of a named function is one ``CALL`` node. Derivations print its name, ``grad/textbook.py`` may define its
pullback, an engine may run it as a whole; any other pass expands it.
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
    """A named function.

    Attributes:
        name: Name in the graph and in derivations.
        formula: Formula in Unicode.
        expand: Function (operands, attributes) → Node of the expansion.
        summary: Docstring of the function, without examples.

    >>> from deltarule.graph import functions
    >>> FUNCTIONS["relu"].name, FUNCTIONS["relu"].formula
    ('relu', 'max(0, x)')
    """

    name: str
    formula: str
    expand: Constructor
    summary: str


FUNCTIONS: dict[str, NamedFunction] = {}
_expansions: weakref.WeakKeyDictionary[Node, Node] = weakref.WeakKeyDictionary()


def named(
    formula: str, *, elementwise: bool = False
) -> Callable[[Constructor], Constructor]:
    """Declare the decorated expansion as a named function, which then constructs ``CALL`` nodes.

    Operands are positional, attributes keyword-only and hashable. The expansion is built once at construction, where
    its shape errors are raised. ``elementwise`` operands are first cast to one type and broadcast to one shape.

    >>> from deltarule.graph.functions import relu
    >>> relu(build.constant(2.0)), FUNCTIONS["relu"].formula
    (<relu () float32>, 'max(0, x)')
    """

    def declare(expand: Constructor) -> Constructor:
        name = expand.__name__
        summary = (expand.__doc__ or "").partition(">>>")[0].strip()
        FUNCTIONS[name] = NamedFunction(name, formula, expand, summary)

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
    """Return the graph of primitives (and other named functions) that a ``CALL`` node abbreviates.

    >>> from deltarule.graph.functions import relu
    >>> expansion(relu(build.constant(2.0)))
    <maximum () float32>
    """
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
