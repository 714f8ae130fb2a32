"""Error reports of native code: the first error of a run is stored in the context, and raised by Python."""

from __future__ import annotations

from deltarule.backends.native.abi import (
    CHECK_FAILED,
    ERROR_FLAG,
    ERROR_SIZE,
    ERROR_VALUE,
    OUT_OF_RANGE,
)
from deltarule.backends.native.llvm.emitter import Emitter
from deltarule.backends.native.loops.apply import constant, kind, select
from deltarule.dtypes import INT64


def report_out_of_range(
    e: Emitter, context: str, bad: str, index: str, lanes: int, size: int
) -> None:
    """Report an index out of range, the largest one of a vector.

    Args:
        e: The emitter.
        context: Register with the address of the context.
        bad: Which lanes are out of range.
        index: The indices.
        lanes: Number of lanes.
        size: The size of the axis.
    """
    shown = index
    if lanes > 1:
        worst = select(e, bad, INT64, index, constant(0, INT64, lanes), lanes)
        shown = e.assign(
            f"call i64 @llvm.vector.reduce.umax.v{lanes}i64({kind(INT64, lanes)} {worst})"
        )
    with e.when(_any_lane(e, bad, lanes)):
        _store_error(
            e,
            context,
            (ERROR_VALUE, shown),
            (ERROR_SIZE, str(size)),
            (ERROR_FLAG, str(OUT_OF_RANGE)),
        )


def report_failed_check(
    e: Emitter, context: str, bad: str, shown: str, lanes: int, number: int
) -> None:
    """Report the failure of a check in any lane.

    Args:
        e: The emitter.
        context: Register with the address of the context.
        bad: In which lanes the check fails.
        shown: Float64 values to report, of which the first failing lane is taken.
        lanes: Number of lanes.
        number: Number of the check's message.
    """
    with e.when(_any_lane(e, bad, lanes)):
        if lanes > 1:
            bits = e.assign(f"bitcast <{lanes} x i1> {bad} to i{lanes}")
            first = e.assign(
                f"call i{lanes} @llvm.cttz.i{lanes}(i{lanes} {bits}, i1 true)"
            )
            shown = e.assign(
                f"extractelement <{lanes} x double> {shown}, i{lanes} {first}"
            )
        bits = e.assign(f"bitcast double {shown} to i64")
        _store_error(
            e, context, (ERROR_VALUE, bits), (ERROR_FLAG, str(CHECK_FAILED + number))
        )


def _any_lane(e: Emitter, bad: str, lanes: int) -> str:
    if lanes == 1:
        return bad
    return e.assign(f"call i1 @llvm.vector.reduce.or.v{lanes}i1(<{lanes} x i1> {bad})")


def _store_error(e: Emitter, context: str, *words: tuple[int, str]) -> None:
    """Store words of the context, unless an error was reported before."""
    flag = e.assign(f"getelementptr i64, ptr {context}, i64 {ERROR_FLAG}")
    with e.when(e.compare("eq", e.assign(f"load i64, ptr {flag}, align 8"), 0)):
        for word, content in words:
            place = e.assign(f"getelementptr i64, ptr {context}, i64 {word}")
            e.emit(f"store i64 {content}, ptr {place}, align 8")
