"""Quantities: Python numbers with an associated node, so that they can be variables of a graph.

>>> from deltarule.graph.build.leaves import input_node
>>> beta = Quantity(0.9, input_node("beta", (), dtypes.FLOAT64))
>>> beta > 0.5, round(1 - beta, 6), (1 - beta).node.op.name
(True, 0.1, 'SUBTRACT')
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import final

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.graph.node import Node, intern
from deltarule.graph.op import Op


@final
class Quantity(float):
    """A float with a float64 scalar node; arithmetic on quantities gives quantities.

    Python code uses the number (``if``, comparisons, checks), a graph uses the node. So a function written for
    numbers builds the same graph with an input in place of a constant.

    >>> from deltarule.graph.build.leaves import input_node
    >>> rate = Quantity(0.1, input_node("rate", (), dtypes.FLOAT64))
    >>> float(rate * 2), (rate * 2).node
    (0.2, <multiply () float64>)
    """

    __slots__ = ("node",)

    node: Node

    def __new__(cls, value: float, node: Node) -> Quantity:
        """Create the number and attach its node."""
        made = super().__new__(cls, value)
        made.node = node
        return made

    def as_type(self, dtype: DType) -> Node:
        """Return the node cast to an element type."""
        if self.node.dtype is dtype:
            return self.node
        return intern(Op.CAST, (self.node,), {"dtype": dtype}, (), dtype)

    def __neg__(self) -> Quantity:
        return Quantity(-float(self), _node(Op.NEGATE, self))

    def __add__(self, other: float) -> Quantity:
        return _pair(Op.ADD, self, other, float.__add__)

    def __radd__(self, other: float) -> Quantity:
        return _pair(Op.ADD, other, self, float.__add__)

    def __sub__(self, other: float) -> Quantity:
        return _pair(Op.SUBTRACT, self, other, float.__sub__)

    def __rsub__(self, other: float) -> Quantity:
        return _pair(Op.SUBTRACT, other, self, float.__sub__)

    def __mul__(self, other: float) -> Quantity:
        return _pair(Op.MULTIPLY, self, other, float.__mul__)

    def __rmul__(self, other: float) -> Quantity:
        return _pair(Op.MULTIPLY, other, self, float.__mul__)

    def __truediv__(self, other: float) -> Quantity:
        return _pair(Op.DIVIDE, self, other, float.__truediv__)

    def __rtruediv__(self, other: float) -> Quantity:
        return _pair(Op.DIVIDE, other, self, float.__truediv__)


def logarithm(value: float) -> float:
    """Return ln x; for a quantity, a quantity.

    >>> logarithm(1.0)
    0.0
    """
    plain = math.log(value)
    if not isinstance(value, Quantity):
        return plain
    return Quantity(plain, _node(Op.LOG, value))


def _node(op: Op, *operands: float) -> Node:
    return intern(op, tuple(map(_scalar, operands)), {}, (), dtypes.FLOAT64)


def _scalar(value: float) -> Node:
    if isinstance(value, Quantity):
        return value.as_type(dtypes.FLOAT64)
    return intern(Op.CONSTANT, (), {"value": float(value)}, (), dtypes.FLOAT64)


def _pair(
    op: Op, left: float, right: float, compute: Callable[[float, float], float]
) -> Quantity:
    if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
        return NotImplemented  # a tensor handles the operation
    return Quantity(compute(float(left), float(right)), _node(op, left, right))
