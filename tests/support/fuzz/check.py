"""One program on all engines: the reference and the native one against the program in float64 and against PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deltarule.backends.base import Array
from deltarule.backends.native.backend import NativeBackend
from deltarule.backends.native.llvm.machine import Machine
from deltarule.backends.reference import ReferenceBackend
from deltarule.graph.node import Node
from support.fuzz.case import Case
from support.fuzz.guards import Guards, guarded
from support.fuzz.in_torch import in_torch, rounding_of_torch
from support.fuzz.rounding import LEAST, UNITS, evaluate, spread
from support.fuzz.zeros import without_zero_products

Engine = Callable[[Case, list[Node]], Sequence[Array]]
_FEW, _MANY = (
    (3, 4.0),
    (40, 16.0),
)  # samples of noise and their units, first and where a result seems wrong
_MARGIN = 8.0  # of what noise did at most


def _reference(case: Case, outputs: list[Node]) -> Sequence[Array]:
    return ReferenceBackend().compile(case.program())(*case.values.values())


def native(
    case: Case, outputs: list[Node], machine: Machine | None = None
) -> Sequence[Array]:
    """Run a program twice, its memory between guards: the same bits come, nothing is written beyond an array."""
    compiled = NativeBackend(machine).compile(case.program(), case.threads)
    with guarded() as guards:
        arrays = [_inside(array, guards) for array in case.values.values()]
        kept = [array.copy() for array in arrays]
        first, second = compiled(*arrays), compiled(*arrays)
        if guards.broken():
            raise AssertionError(guards.broken())
    for place, (a, b) in enumerate(zip(first, second, strict=True)):
        if a.tobytes() != b.tobytes():
            raise AssertionError(
                f"output {place}: two runs differ: {a.tolist()} and {b.tolist()}"
            )
    if any(a.tobytes() != b.tobytes() for a, b in zip(arrays, kept, strict=True)):
        raise AssertionError("an input was changed")
    return first


def _inside(array: Array, guards: Guards) -> Array:
    inside = guards.empty(array.shape, array.dtype)
    inside[...] = array
    return inside


ENGINES: Mapping[str, Engine] = {"reference": _reference, "native": native}


@dataclass(frozen=True)
class Verdict:
    """What is wrong (empty if nothing), and how many elements could be compared, of how many."""

    fault: str
    compared: int = 0
    elements: int = 0


def check(case: Case, engines: Mapping[str, Engine] = ENGINES) -> Verdict:
    """Compare results and derivatives of one program."""
    outputs = case.outputs()
    results: dict[str, Sequence[Array]] = {}
    for name, engine in engines.items():
        try:
            results[name] = engine(case, outputs)
        except Exception as error:  # whatever an engine raises is a fault of it
            return Verdict(f"{name} raises {type(error).__name__}: {str(error)[:400]}")
    for name, found in results.items():
        for place, (x, node) in enumerate(zip(found, outputs, strict=True)):
            if (x.shape, x.dtype.name) != (node.shape, node.dtype.name):
                return Verdict(
                    f"{name}, output {place}: {x.dtype}{x.shape} for {node.dtype}{node.shape}"
                )
    plain = evaluate(outputs, case.values)
    if not case.special:
        results["torch"] = in_torch(case)
    moved = spread(outputs, case.values, plain, *_FEW)
    faults = _faults(case, outputs, plain, moved, results)
    if faults:
        moved = spread(outputs, case.values, plain, *_MANY)
        faults = _faults(case, outputs, plain, moved, results)
    if faults and case.special:
        results = _with_zero_products(case, outputs, plain, results)
        faults = _faults(case, outputs, plain, moved, results)
    if faults and "torch" in results:
        own = rounding_of_torch(case, _MANY[0])
        theirs = [one + other for one, other in zip(moved, own, strict=True)]
        oracle = {"torch": results.pop("torch")}
        faults = [
            *_faults(case, outputs, plain, moved, results),
            *_faults(case, outputs, plain, theirs, oracle),
        ]
    compared = sum(
        int((_comparable(case, x, most) & _sharp(x, most)).sum())
        for x, most in zip(plain, moved, strict=True)
    )
    return Verdict("; ".join(faults[:4]), compared, sum(x.size for x in plain))


def _with_zero_products(
    case: Case,
    outputs: Sequence[Node],
    plain: Sequence[Array],
    results: Mapping[str, Sequence[Array]],
) -> dict[str, list[Array]]:
    """Return the results with ``plain`` where they are right for a program that drops products with an exact zero."""
    dropped = without_zero_products(outputs)
    values = evaluate(dropped, case.values)
    moved = spread(dropped, case.values, values, *_MANY)
    return {
        name: [
            np.where(_near(node, x, value, most), wanted.astype(x.dtype), x)
            for node, x, wanted, value, most in zip(
                outputs, found, plain, values, moved, strict=True
            )
        ]
        for name, found in results.items()
    }


def _comparable(case: Case, wanted: Array, most: Array) -> Array:
    """Return which elements have one right value: those that noise does not make jump, and in general finite ones."""
    certain = np.isfinite(most)
    return (
        certain
        if case.special or wanted.dtype.kind != "f"
        else certain & np.isfinite(wanted)
    )


def _sharp(wanted: Array, most: Array) -> Array:
    """Return which elements rounding moves by little, as numbers of their array go."""
    if wanted.dtype.kind != "f":
        return np.ones(wanted.shape, bool)
    sizes = np.abs(wanted[np.isfinite(wanted)])
    return most <= 1e-3 * (
        np.nan_to_num(np.abs(wanted)) + (sizes.mean() if sizes.size else 0.0)
    )


def _faults(
    case: Case,
    outputs: Sequence[Node],
    plain: Sequence[Array],
    moved: Sequence[Array],
    results: Mapping[str, Sequence[Array]],
) -> list[str]:
    """Return what lies farther from the float64 values than rounding explains."""
    faults = []
    for name, found in results.items():
        for place, (node, x, wanted, most) in enumerate(
            zip(outputs, found, plain, moved, strict=True)
        ):
            bad = ~_near(node, x, wanted, most) & _comparable(case, wanted, most)
            if bad.any():
                at = tuple(int(i) for i in np.argwhere(bad)[0])
                faults.append(
                    f"{name}, output {place} {node!r} at {at}: {x[at]!r}, right {wanted[at]!r} "
                    f"({int(bad.sum())} of {bad.size} wrong)"
                )
    return faults


def _near(node: Node, x: Array, wanted: Array, most: Array) -> Array:
    if not node.dtype.is_float:
        return np.asarray(x.astype(np.int64) == wanted.astype(np.int64))
    with np.errstate(all="ignore"):
        allowed = _MARGIN * (
            most + UNITS[node.dtype] * np.abs(wanted) + LEAST[node.dtype]
        )
        near = np.abs(x.astype(np.float64) - wanted) <= allowed
        return near & np.isfinite(x) | (x == wanted) | (np.isnan(x) & np.isnan(wanted))
