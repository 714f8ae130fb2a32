"""A failing program made small: fewer results and derivatives, operations replaced by inputs that hold their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from deltarule.backends import reference
from deltarule.errors import DeltaruleError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import LEAVES, Op
from deltarule.graph.rewrite import expand_calls, substitute
from deltarule.graph.walk import topological
from support.fuzz.case import Case

_MOST_TRIALS = 400


def shrunk(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Return a small program that still fails; ``fails`` must not crash (see ``isolate``)."""
    trials = 0
    improved = True
    while improved and trials < _MOST_TRIALS:
        improved = False
        for smaller in _smaller(case):
            trials += 1
            if trials > _MOST_TRIALS:
                break
            if fails(smaller):
                case, improved = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """Return programs that are one step simpler."""
    if case.threads > 1:
        yield replace(case, threads=1)
    for order in range(case.order):
        yield _pruned(replace(case, order=order))
    if len(case.results) > 1:
        for place in range(len(case.results)):
            yield _pruned(
                replace(
                    case, results=[*case.results[:place], *case.results[place + 1 :]]
                )
            )
    for place, (node, weight) in enumerate(case.results):
        if weight is not None:
            yield _pruned(
                replace(case, results=_with(case.results, place, (node, None)))
            )
    if case.order and len(case.wrt) > 1:
        for node in case.wrt:
            yield _pruned(
                replace(case, wrt=[other for other in case.wrt if other is not node])
            )
    yield from _inner(case)
    yield from _cut(case)
    yield from _sources(case)
    if any(
        node.op is Op.CALL for node in topological([node for node, _ in case.results])
    ):
        expanded = expand_calls([node for node, _ in case.results])
        yield replace(
            case,
            results=list(
                zip(expanded, [weight for _, weight in case.results], strict=True)
            ),
        )


def _with(
    items: list[tuple[Node, Node | None]], place: int, item: tuple[Node, Node | None]
) -> list[tuple[Node, Node | None]]:
    return [*items[:place], item, *items[place + 1 :]]


def _inner(case: Case) -> Iterator[Case]:
    """Take one value on the way for the only result, the first ones first."""
    nodes = [
        node
        for node in topological([node for node, _ in case.results])
        if node.op not in LEAVES
    ]
    if len(nodes) > 1 or len(case.results) > 1:
        for node in nodes[: None if len(case.results) > 1 else -1]:
            yield _pruned(replace(case, results=[(node, None)], order=0))


def _cut(case: Case) -> Iterator[Case]:
    """Replace an operation by an input with its values, the last ones first."""
    nodes = [
        node
        for node in topological([node for node, _ in case.results])
        if node.op not in LEAVES
    ]
    known = (
        dict(zip(nodes, reference.evaluate(nodes, case.values), strict=True))
        if nodes
        else {}
    )
    for node in reversed(nodes):
        twin = build.input_node("cut", node.shape, node.dtype)
        array = np.asarray(known[node], node.dtype.name)
        results = substitute([result for result, _ in case.results], {node: twin})
        wrt = [*case.wrt, twin] if node.dtype.is_float and case.order else case.wrt
        pairs = list(zip(results, [weight for _, weight in case.results], strict=True))
        yield _pruned(
            replace(case, values={**case.values, twin: array}, results=pairs, wrt=wrt)
        )


def _sources(case: Case) -> Iterator[Case]:
    """Replace a result by one of its operands of the same shape and type."""
    for place, (node, weight) in enumerate(case.results):
        for source in node.sources:
            if (source.shape, source.dtype) == (node.shape, node.dtype):
                yield _pruned(
                    replace(case, results=_with(case.results, place, (source, weight)))
                )


def _pruned(case: Case) -> Case:
    """Drop inputs that nothing reads and derivatives in them."""
    weights = [
        weight for _, weight in case.results if weight is not None and case.order
    ]
    results = case.results if case.order else [(node, None) for node, _ in case.results]
    read = set(topological([node for node, _ in results] + weights))
    wrt = [node for node in case.wrt if node in read] if case.order else []
    values = {node: array for node, array in case.values.items() if node in read}
    if case.order and not wrt:
        return replace(
            case,
            values=values,
            results=[(node, None) for node, _ in results],
            wrt=[],
            order=0,
        )
    return replace(case, values=values, results=results, wrt=wrt)


def failing(check: Callable[[Case], bool]) -> Callable[[Case], bool]:
    """Return whether a check finds a fault; a program that cannot be built is none."""

    def fails(case: Case) -> bool:
        try:
            return check(case)
        except DeltaruleError:
            return False

    return fails
