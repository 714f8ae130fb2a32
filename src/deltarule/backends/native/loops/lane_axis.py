"""Selection of the vectorised loop of a nest: the axis with the most unit-stride memory accesses."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deltarule.backends.native.llvm.machine import Machine
from deltarule.lower.index import Axis, Index
from deltarule.lower.loops import Nest, Random, Scatter, subexpressions

_GATHER_COST, _LOOP_COST, _COMBINE_COST = 16.0, 2.0, 16.0
_RANDOM_BLOCK = 32  # float32 random numbers per block


def lane_axis(nest: Nest | Scatter, machine: Machine) -> tuple[Axis | None, int]:
    """Return the axis to vectorise (None for scalar code), and the number of lanes.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> from deltarule.graph.build import exp, input_node
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> x = input_node("x", (64,))
    >>> (nest,) = lower(Program((x,), (exp(x),))).program.statements
    >>> axis, lanes = lane_axis(nest, host(target="avx2"))
    >>> axis.name, lanes
    ('i0x', 8)
    """
    width = _n_lanes(nest, machine)
    accesses = [load.index for load in nest.reads] + [
        store.index for store in nest.stores
    ]
    randoms = [
        expr for expr in subexpressions(nest.roots()) if isinstance(expr, Random)
    ]
    random_indices = [expr.index for expr in randoms]
    keys = frozenset().union(*(part.axes for expr in randoms for part in expr.parts))
    best, least = None, scalar_cost(nest)
    reduce = nest.reduce if isinstance(nest, Nest) else ()
    argmax = isinstance(nest, Nest) and any(r.kind == "argmax" for r in nest.reductions)
    for axis in (*nest.axes, *reduce):
        if (axis in reduce and argmax) or axis.extent < 2:
            continue
        if isinstance(nest, Scatter) and not _is_vectorisable(nest, axis):
            continue
        if axis in keys or any(
            index.coefficient(axis) not in (0, 1) for index in random_indices
        ):
            continue
        cost = _vector_cost(nest, axis, accesses, width, axis in reduce)
        if cost < least:
            best, least = axis, cost
    if best is None:
        return None, 1
    if (
        any(_is_block_aligned(index, best) for index in random_indices)
        and width < _RANDOM_BLOCK
    ):
        width = _RANDOM_BLOCK
    while width > 2 and width // 2 >= best.extent:
        width //= 2
    return best, width


def _is_block_aligned(index: Index, axis: Axis) -> bool:
    """Return whether vectors of 32 elements along an axis are whole blocks of random numbers."""
    rest = [c for atom, c in index.terms if atom != axis]
    plain = all(isinstance(atom, Axis) for atom, _ in index.terms)
    return (
        plain
        and index.coefficient(axis) == 1
        and all(c % _RANDOM_BLOCK == 0 for c in (*rest, index.constant))
    )


def _is_vectorisable(nest: Scatter, axis: Axis) -> bool:
    return (
        axis in nest.axes[nest.sequential :]
        and nest.stores[0].index.coefficient(axis) == 1
    )


def _n_lanes(nest: Nest | Scatter, machine: Machine) -> int:
    """Return the number of vector lanes for the narrowest floating-point type of a nest."""
    types = {expr.dtype for expr in subexpressions(nest.roots())} | {
        store.buffer.dtype for store in nest.stores
    }
    wide = any(t.bits == 64 and t.is_float for t in types) and not any(
        t.name == "float32" for t in types
    )
    return machine.lanes("float64" if wide else "float32")


def _points(nest: Nest | Scatter) -> int:
    total = 1
    for axis in (*nest.axes, *(nest.reduce if isinstance(nest, Nest) else ())):
        total *= axis.extent
    return total


def scalar_cost(nest: Nest | Scatter) -> float:
    """Return the estimated cycles of scalar code for a nest.

    >>> from deltarule.graph.build import exp, input_node
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> x = input_node("x", (64,))
    >>> (nest,) = lower(Program((x,), (exp(x),))).program.statements
    >>> scalar_cost(nest)
    320.0
    """
    work = sum(1.0 for _ in subexpressions(nest.roots())) + len(nest.stores)
    return _points(nest) * (work + _LOOP_COST)


def _vector_cost(
    nest: Nest | Scatter,
    axis: Axis,
    accesses: Sequence[Index],
    width: int,
    across_lanes: bool,
) -> float:
    vectors = -(-axis.extent // width)
    work = _LOOP_COST + sum(1.0 for _ in subexpressions(nest.roots()))
    for index in accesses:
        step = index.coefficient(axis)
        work += 0.2 if step == 0 else 1.0 if step == 1 else _GATHER_COST
    others = _points(nest) / max(1, axis.extent)
    cost = others * vectors * work
    if across_lanes:
        outside = math.prod(a.extent for a in nest.axes)
        cost += _COMBINE_COST * outside
    return cost
