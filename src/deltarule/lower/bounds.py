"""Bounds checks: a proof before compilation that every access of a loop program is inside its buffer.

The proof is by interval arithmetic (:mod:`deltarule.lower.ranges`), else by enumeration. A load for which neither is
feasible is guarded by a condition at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from deltarule.errors import GraphError
from deltarule.lower.index import Axis, Index, Lookup, Quotient
from deltarule.lower.loops import (
    Buffer,
    Condition,
    Expr,
    Guard,
    Load,
    LoopProgram,
    Nest,
    Routine,
    Statement,
    lookup_values,
    replace_all,
    subexpressions,
    zero,
)
from deltarule.lower.ranges import narrowed
from deltarule.lower.show import show_statement
from deltarule.shapes import count

Values = Mapping[Axis | Lookup, int]
# Sizes of the arguments and results of routines, as functions of their sizes (outer, n, inner).
SIZES_OF_ROUTINES: dict[str, Callable[[int, int, int], tuple[list[int], list[int]]]] = {
    "argsort": lambda outer, n, inner: ([outer * n * inner], [outer * n * inner]),
    "cumulative_sum": lambda outer, n, inner: (
        [outer * n * inner],
        [outer * n * inner],
    ),
    "solve": lambda outer, n, inner: (
        [outer * n * n, outer * n * inner],
        [outer * n * inner],
    ),
    "log_determinant": lambda outer, n, inner: ([outer * n * n], [outer]),
    "cholesky": lambda outer, n, inner: ([outer * n * n], [outer * n * n]),
}
_MAX_POINTS = 30_000  # limit of the enumeration of an index


@dataclass(frozen=True)
class _Access:
    """An access to an element; ``load`` is None for a store."""

    buffer: Buffer
    index: Index
    conditions: frozenset[Condition] = frozenset()
    load: Load | None = None


def check_bounds(program: LoopProgram) -> None:
    """Check that every access is inside its buffer; raise GraphError with the statement if one is not.

    >>> from deltarule.graph.build import exp, input_node
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> check_bounds(lower(Program((x := input_node("x", (3,)),), (exp(x),))).program)
    """
    for place, statement in enumerate(program.statements):
        if isinstance(statement, Routine):
            _check_routine(statement, place)
        unproven = []
        for access in _accesses(statement):
            inside = _is_inside(access)
            if inside is False or (
                inside is None and access.load not in _guardable(statement)
            ):
                low, high = access.index.bounds
                raise _bounds_error(
                    f"{access.buffer}[{access.index}]",
                    f"an index in 0 … {access.buffer.size - 1}",
                    f"{low} … {high}",
                    statement,
                    place,
                )
            if inside is None and access.load is not None:
                unproven.append(access.load)
        if unproven:
            _guard(statement, unproven)


def _guardable(statement: Statement) -> set[Expr]:
    """Return the loads that a condition can guard: those of values, but not of indices or operands of a contraction."""
    values = [store.value for store in statement.stores]
    values += (
        [r.value for r in statement.reductions] if isinstance(statement, Nest) else []
    )
    found, stack = set[Expr](), values
    while stack:
        expr = stack.pop()
        if expr not in found:
            found.add(expr)
            stack.extend(expr.parts)
    return {expr for expr in found if isinstance(expr, Load)}


def _is_inside(access: _Access) -> bool | None:
    """Return whether an index is inside its buffer; None if that is too expensive to decide."""
    low, high = access.index.bounds
    size = access.buffer.size
    if low >= 0 and high < size:
        return True
    if access.conditions:
        low, high = narrowed(access.index, access.conditions)
        if low >= 0 and high < size:
            return True
    indices = [access.index, *(condition.index for condition in access.conditions)]
    variables = sorted({v for index in indices for v in _variables(index)}, key=str)
    sizes = [v.extent if isinstance(v, Axis) else v.size for v in variables]
    if count(sizes) > _MAX_POINTS:
        return None
    for point in product(*map(range, sizes)):
        values = dict(zip(variables, point, strict=True))
        holds = all(_holds(condition, values) for condition in access.conditions)
        if holds and not 0 <= value_of(access.index, values) < size:
            return False
    return True


def _variables(index: Index) -> Iterator[Axis | Lookup]:
    for atom, _ in index.terms:
        if isinstance(atom, Axis | Lookup):
            yield atom
        else:
            yield from _variables(atom.dividend)


def value_of(index: Index, values: Values) -> int:
    """Return the value of an index at one point.

    >>> from deltarule.lower.index import of
    >>> i = Axis("i", 8)
    >>> value_of(of(i) * 2 + 1, {i: 3})
    7
    """
    total = index.constant
    for atom, coefficient in index.terms:
        if isinstance(atom, Axis | Lookup):
            total += coefficient * values[atom]
        else:
            dividend = value_of(atom.dividend, values)
            total += coefficient * (
                dividend // atom.divisor
                if isinstance(atom, Quotient)
                else dividend % atom.divisor
            )
    return total


def _holds(condition: Condition, values: Values) -> bool:
    value = value_of(condition.index, values)
    return 0 <= value < condition.size and value % condition.step == 0


def _guard(statement: Statement, loads: Sequence[Load]) -> None:
    """Guard loads by the condition that their index is inside the buffer."""
    known: dict[Expr, Expr] = {
        load: Guard(
            load.dtype,
            (Condition(load.index, load.buffer.size),),
            load,
            zero(load.dtype),
        )
        for load in loads
    }
    for expr in subexpressions(statement.roots()):
        replace_all(expr, {}, known)
    statement.stores = tuple(
        replace(store, value=known[store.value]) for store in statement.stores
    )
    if isinstance(statement, Nest):
        statement.reductions = tuple(
            replace(r, value=known[r.value]) for r in statement.reductions
        )


def _bounds_error(
    where: str, expected: str, got: str, statement: Statement, place: int
) -> GraphError:
    hint = "This is a bug of the compiler. Please report it with the lines that follow."
    return GraphError(
        f"loop program, {where}",
        expected=expected,
        got=got,
        hint=f"{hint}\n{show_statement(statement, place)}",
    )


def _check_routine(statement: Routine, place: int) -> None:
    """Check that the arrays of a routine have the sizes that it accesses."""
    wanted = SIZES_OF_ROUTINES[statement.kind](*statement.sizes)
    for buffers, sizes in zip(
        (statement.arguments, statement.results), wanted, strict=True
    ):
        for buffer, size in zip(
            buffers, sizes, strict=False
        ):  # the work buffer follows the results
            if buffer.size < size:
                raise _bounds_error(
                    f"{buffer}", f"{size} elements", str(buffer.size), statement, place
                )


def _accesses(statement: Statement) -> Iterator[_Access]:
    """Yield every access: buffer, index, and the conditions that guard it.

    Indirect indices are loaded unconditionally.
    """
    always: frozenset[Condition] = frozenset()
    for store in statement.stores:
        yield _Access(store.buffer, store.index)
    stack = [(root, always) for root in statement.roots()]
    seen: set[tuple[Expr, frozenset[Condition]]] = set()
    while stack:
        key = stack.pop()
        if key in seen:
            continue
        seen.add(key)
        expr, conditions = key
        stack.extend(
            (value, always) for index in expr.indices for value in lookup_values(index)
        )
        if isinstance(expr, Load):
            yield _Access(expr.buffer, expr.index, conditions, expr)
        elif isinstance(expr, Guard):
            stack += [
                (expr.inside, conditions.union(expr.conditions)),
                (expr.outside, conditions),
            ]
        else:
            stack.extend((part, conditions) for part in expr.parts)
