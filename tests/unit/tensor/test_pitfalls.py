"""What goes silently wrong in other lazily traced libraries: handles, aliases, indices, integers, stale state."""

from __future__ import annotations

import gc
import weakref
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

import deltarule as dr
from deltarule import dtypes, nn
from deltarule.backends import reference
from deltarule.backends.native.backend import NativeBackend
from deltarule.errors import ArgumentError, DataError, DTypeError, GraphError
from deltarule.graph import build
from deltarule.graph.program import Program, StepProgram
from deltarule.simplify import simplify


def test_jit_follows_a_tensor_through_views_made_inside() -> None:
    w = dr.tensor([1.0, 2.0])
    add = dr.jit(lambda x: x + w.reshape(2))
    assert add(np.float32(0)).tolist() == [1, 2]
    w.assign([10.0, 20.0])
    assert add(np.float32(0)).tolist() == [10, 20]


def test_jit_tells_negative_zero_and_nan_apart() -> None:
    divide = dr.jit(lambda x, s: x / s)
    assert divide(np.float32(1), 0.0).item() == np.inf
    assert divide(np.float32(1), -0.0).item() == -np.inf
    traces = []

    @dr.jit
    def step(x: Any, s: float) -> Any:
        traces.append(s)
        return x

    step(np.float32(1), float("nan")), step(np.float32(1), float("nan"))
    assert len(traces) == 1


def test_jit_assigns_arrays_at_every_call() -> None:
    c = dr.tensor([5.0])

    @dr.jit
    def step(x: dr.Tensor) -> dr.Tensor:
        c.assign(np.zeros(1, np.float32))
        return x + c

    assert step(np.float32([1])).tolist() == [1]
    c.assign([7.0])
    assert step(np.float32([1])).tolist() == [1] and c.tolist() == [0]


def test_jit_keeps_named_tuples() -> None:
    class Pair(NamedTuple):
        a: Any
        b: Any

    result = dr.jit(lambda x: Pair(x, x + 1))(np.float32(1))
    assert isinstance(result, Pair) and result.b.item() == 2


def test_whole_numbers_neither_wrap_nor_mirror_wrongly() -> None:
    x = np.array([0, 5, 200, 200], np.uint8)
    assert (
        dr.tensor(x).min().item() == 0
        and dr.tensor(x).argmin().item() == 0
        and dr.tensor(x).sum().item() == 405
    )
    assert dr.tensor(np.array([-(2**63), 1])).min().item() == -(2**63)
    assert dr.tensor(np.full(3, 2**30, np.int32)).sum().item() == 3 * 2**30
    with pytest.raises(DTypeError, match="of a signed type"):
        -dr.tensor(x)


def test_an_index_outside_its_own_axis_is_refused() -> None:
    x = dr.tensor(np.arange(12.0).reshape(3, 4))
    for key in (([0], [5]), ([1], [-5]), ([3], [0])):
        with pytest.raises(DataError, match="indices in"):
            x[key].numpy()
    with pytest.raises(DataError, match="indices in"):
        dr.take_along_axis(x, [[4], [0], [0]], 1).numpy()
    assert dr.take_along_axis(x, [[-1], [0], [0]], 1).tolist() == [[3], [4], [8]]


def test_backward_of_a_parameter_that_was_assigned_since_is_refused() -> None:
    p = dr.parameter([3.0], name="p")
    loss = (p * p).sum()
    p.assign([4.0])
    with pytest.raises(GraphError, match="computed before a parameter was assigned"):
        loss.backward()


def test_gradients_count_uses_before_and_after_a_look() -> None:
    a = dr.tensor([1.0, 2.0])
    y = a * a
    before = y * 3
    assert y.tolist() == [1, 4]
    assert dr.grad((before + y * 5).sum(), y).tolist() == [8, 8]


def test_seeds_are_refused_rather_than_cut() -> None:
    with pytest.raises(ArgumentError, match="2³²"):
        dr.random_uniform((2,), seed=2**32 + 1)


def test_simplification_applies_casts_of_constants() -> None:
    x = build.input_node("x", (1,), dtypes.FLOAT64)
    half = build.cast(build.full((1,), 0.5, dtypes.FLOAT64), dtypes.INT64)
    (node,) = simplify([build.power(x, build.cast(half, dtypes.FLOAT64))])
    assert reference.evaluate([node], {x: np.array([9.0])})[0] == 1


@pytest.mark.parametrize("kind", ["int8", "int16", "uint16", "bool"])
def test_narrow_whole_numbers_can_be_trained_on(kind: str) -> None:
    x = np.arange(40).reshape(10, 4).astype(kind)
    history = nn.Sequential(nn.Linear(4, 2)).fit(
        x, np.arange(10) % 2, loss="cross_entropy", epochs=1, verbose=0
    )
    assert np.isfinite(history.series("loss")).all()


STATES: dict[str, Any] = {
    "old value handed on": lambda a, b, c: ((build.subtract(a, 1), a, c), (c,)),
    "old value and sum": lambda a, b, c: (
        (build.add(b, a), a, c),
        (build.sum_over(a),),
    ),
    "exchange": lambda a, b, c: ((b, a, build.add(c, 1)), (c,)),
    "mixed": lambda a, b, c: (
        (build.multiply(a, 2), build.add(a, b), build.sum_over(b)),
        (build.sum_over(a), c),
    ),
}


@pytest.mark.parametrize("case", STATES)
def test_a_step_reads_the_present_state_only(case: str) -> None:
    a, b, c = (
        build.input_node("a", (4,)),
        build.input_node("b", (4,)),
        build.input_node("c", ()),
    )
    x, step, seed = (
        build.input_node("x", (1,)),
        *(build.input_node(n, (), dtypes.INT64) for n in ("step", "seed")),
    )
    following, metrics = STATES[case](a, b, c)
    program = StepProgram((a, b, c), (x,), step, seed, (), following, metrics)
    results = []
    for backend in (reference.ReferenceBackend(), NativeBackend()):
        runner = backend.compile_step(program)
        runner.load(
            [np.arange(4, dtype="f"), np.arange(4, dtype="f") * 10 + 1, np.float32(7)]
        )
        told = runner.run([np.zeros(1, np.float32)], np.zeros(3, np.int64), 0, 0)
        results.append([told, *runner.read()])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_products_of_zero_at_the_prompt_are_what_ieee_says() -> None:
    x = dr.tensor([np.inf, -np.inf, np.nan, 2.0])
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(
            (x * 0).numpy(), np.array([np.nan, np.nan, np.nan, 0.0])
        )
        np.testing.assert_array_equal(
            (0 / dr.tensor([0.0, 1.0])).numpy(), np.array([np.nan, 0.0])
        )
        np.testing.assert_array_equal(
            (dr.tensor([[np.inf]]) @ dr.tensor([[0.0]])).numpy(), [[np.nan]]
        )


def test_whole_numbers_divide_and_average_exactly() -> None:
    x = dr.tensor(np.array([2**62 + 1, -7, 7]))
    assert (x // 2).tolist() == [2**61, -4, 3] and (x % 2).tolist() == [1, 1, 1]
    assert (7 // dr.tensor([2, -2])).tolist() == [3, -4] and (
        7 % dr.tensor([4, -4])
    ).tolist() == [3, -1]
    assert (dr.tensor([7.5, -7.5]) // 2).tolist() == [3.0, -4.0]
    assert dr.tensor(np.full(3, 2**30 + 1, np.int32)).mean().item() == pytest.approx(
        2**30 + 1, rel=1e-7
    )


def test_unsigned_and_signed_numbers_meet_in_a_type_that_holds_both() -> None:
    total = dr.tensor(np.array([2**32 - 1], np.uint32)) + dr.tensor(
        np.array([-3], np.int32)
    )
    assert (str(total.dtype), total.tolist()) == ("int64", [2**32 - 4])
    with pytest.raises(DTypeError, match="below 2"):
        dr.tensor(np.array([2**63], np.uint64))


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_sorting_keeps_the_type(device: str) -> None:
    whole = np.array([2**24 + 1, 2**24, 2**53 + 1, 2**53], np.int64)
    order = dr.jit(lambda x: dr.argsort(x + 0), device=device)
    np.testing.assert_array_equal(
        order(whole).numpy(), np.argsort(whole, kind="stable")
    )
    np.testing.assert_array_equal(
        dr.jit(dr.argsort, device=device)(whole).numpy(),
        np.argsort(whole, kind="stable"),
    )
    assert dr.jit(dr.argsort, device=device)(
        np.array([True, False, True])
    ).tolist() == [1, 0, 2]


def test_a_number_that_a_function_looked_at_is_never_stale() -> None:
    scale, calls = dr.tensor(2.0), []

    @dr.jit
    def scaled(x: dr.Tensor) -> dr.Tensor:
        calls.append(1)
        return x * scale.item() if float(scale) > 0 else x - x

    one = np.ones(2, np.float32)
    assert scaled(one).tolist() == [2.0, 2.0] and scaled(one).tolist() == [2.0, 2.0]
    assert len(calls) == 1
    scale.assign(3.0)
    assert scaled(one).tolist() == [3.0, 3.0]
    scale.assign(-1.0)
    assert scaled(one).tolist() == [0.0, 0.0] and len(calls) == 3


def test_a_function_keeps_a_limited_number_of_signatures() -> None:
    double = dr.jit(lambda x, n: x * n)
    one = np.ones(1, np.float32)
    assert [double(one, n).item() for n in range(70)] == [float(n) for n in range(70)]
    (cell,) = [
        c.cell_contents
        for c in double.__closure__
        if isinstance(c.cell_contents, OrderedDict)
    ]
    assert len(cell) == 64


@pytest.mark.parametrize(
    ("value", "dtype", "wanted"),
    [
        (np.inf, "int64", 2**63 - 1),
        (np.nan, "int64", 0),
        (300.0, "uint8", 255),
        (-3.7, "int32", -3),
        (-1.0, "uint32", 0),
    ],
)
def test_constants_are_converted_as_arrays_are(
    value: float, dtype: str, wanted: int
) -> None:
    assert dr.full((2,), value).astype(dtype).tolist() == [wanted, wanted]
    assert dr.tensor([value]).astype(dtype).tolist() == [wanted]


def test_a_constant_is_rounded_before_it_is_widened() -> None:
    assert dr.full((1,), 0.1).astype("float64").item() == float(np.float32(0.1))


def test_elements_that_are_no_numbers_are_refused_whatever_type_is_asked_for() -> None:
    for value in (["a"], [1j], np.array([None])):
        with pytest.raises(DTypeError, match="expected numbers"):
            dr.tensor(value, dtype="float32")


def test_a_compiled_program_holds_no_arrays_between_calls() -> None:
    run = NativeBackend().compile(
        Program((x := build.input_node("x", (1000,)),), (build.exp(x),))
    )
    array = np.zeros(1000, np.float32)
    kept = weakref.ref(array)
    result = weakref.ref(run(array)[0])
    del array
    gc.collect()
    assert kept() is None and result() is None
