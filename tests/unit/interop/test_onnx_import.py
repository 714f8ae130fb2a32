"""Which numbers of an ONNX file learn, what a model without a translation is told, and what hostile files do."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deltarule.errors import CheckpointError, DeltaruleError
from deltarule.interop.onnx import backend, load
from deltarule.interop.onnx.call import UnsupportedOperatorError
from support.oracles import onnxruntime

RANDOM: np.random.Generator


@pytest.fixture(autouse=True)
def _numbers_of_each_test() -> None:
    """Give every test the same numbers, whichever tests ran before."""
    global RANDOM
    RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def made(
    nodes: list[Any],
    x: tuple[int, ...],
    stored: dict[str, Any],
    opset: int = 20,
    **options: Any,
) -> Any:
    """A model x → y of some operators and stored arrays; older operator sets in the older file format."""
    initializers = [
        numpy_helper.from_array(array, name) for name, array in stored.items()
    ]
    kind = options.pop("kind", TensorProto.FLOAT)
    rank = options.pop("rank", len(x))
    values = [
        helper.make_tensor_value_info("x", kind, x),
        helper.make_tensor_value_info(
            "y", options.pop("output", TensorProto.FLOAT), [None] * rank
        ),
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], initializers)
    opsets = [helper.make_opsetid("", opset), *options.pop("opsets", ())]
    return helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=options.pop("ir", 10 if opset > 8 else 4),
        **options,
    )


def saved(model: Any, folder: Any, opset: int | None = None) -> Any:
    if opset is not None:
        model.opset_import[0].version = opset
    onnx.save(model, str(folder / "model.onnx"))
    return folder / "model.onnx"


def constant(name: str, array: Any) -> Any:
    return helper.make_node(
        "Constant", [], [name], value=numpy_helper.from_array(np.asarray(array), name)
    )


def runtime(model: Any, x: Any) -> Any:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[
        0
    ]


def learned(path: Any) -> dict[str, tuple[int, ...]]:
    return {
        name.removeprefix("weights."): p.shape
        for name, p in load(path).named_parameters()
    }


def fits(path: Any, x: Any, shape: tuple[int, ...]) -> None:
    """All parameters move in a step of training."""
    model = load(path)
    before = {name: p.numpy().copy() for name, p in model.named_parameters()}
    model.fit(
        x,
        floats(*shape),
        loss="mean_squared_error",
        epochs=1,
        verbose=0,
        device="reference",
    )
    assert before and all(
        np.any(p.numpy() != before[name]) for name, p in model.named_parameters()
    )


def test_weights_in_constant_nodes_learn(tmp_path):
    nodes = [
        constant("w", floats(3, 4)),
        constant("b", floats(4)),
        constant("two", np.float32(2)),
        constant("one", floats(1)),
        constant("shape", np.array([-1, 4])),
        helper.make_node("Gemm", ["x", "w", "b"], ["z"]),
        helper.make_node("Mul", ["z", "two"], ["u"]),
        helper.make_node("Add", ["u", "one"], ["v"]),
        helper.make_node("Reshape", ["v", "shape"], ["y"]),
    ]
    model, x = made(nodes, (5, 3), {}), floats(5, 3)
    path = saved(model, tmp_path)
    assert learned(path) == {
        "w": (3, 4),
        "b": (4,),
    }  # "two" and "one" are numbers of the formula
    np.testing.assert_allclose(
        load(path)(x).numpy(), runtime(model, x), rtol=1e-5, atol=1e-6
    )
    fits(path, x, (5, 4))


def test_a_layers_weight_learns_whatever_its_size(tmp_path):
    nodes = [
        constant("w", floats(1, 1)),
        constant("b", floats(1)),
        helper.make_node("Gemm", ["x", "w", "b"], ["y"]),
    ]
    assert learned(saved(made(nodes, (5, 1), {}), tmp_path)) == {"w": (1, 1), "b": (1,)}


def test_constants_of_several_numbers_learn_in_every_form(tmp_path):
    nodes = [
        helper.make_node("Constant", [], ["w"], value_floats=[1.0, 2.0, 3.0]),
        helper.make_node("Mul", ["x", "w"], ["y"]),
    ]
    assert learned(saved(made(nodes, (5, 3), {}), tmp_path)) == {"w": (3,)}


def test_names_that_become_the_same_without_dots_are_kept_apart(tmp_path):
    stored = {
        "a.b": floats(3, 3),
        "a_b": floats(3, 3),
        "a.b.c": floats(3),
        "a_b.c": floats(3),
        "a.b_c": floats(3),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "a.b"], ["u"]),
        helper.make_node("MatMul", ["u", "a_b"], ["v"]),
        helper.make_node("Sum", ["v", "a.b.c", "a_b.c", "a.b_c"], ["y"]),
    ]
    model, x = made(nodes, (5, 3), stored), floats(5, 3)
    path = saved(model, tmp_path)
    assert set(learned(path)) == {"a_b", "a_b_2", "a_b_c", "a_b_c_2", "a_b_c_3"}
    np.testing.assert_allclose(load(path)(x).numpy(), runtime(model, x), rtol=1e-5)
    fits(path, x, (5, 3))


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_weights_become_float32_parameters(tmp_path, kind):
    exact = np.array([[0.5, -1.25], [2.0, 0.0625]], np.float32)
    number = getattr(TensorProto, kind.upper())
    stored = helper.make_tensor("w", number, (2, 2), exact.ravel().tolist())
    nodes = [
        helper.make_node("Cast", ["w"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "wide"], ["y"]),
    ]
    model = made(nodes, (3, 2), {})
    model.graph.initializer.append(stored)
    path, x = saved(model, tmp_path), floats(3, 2)
    (parameter,) = load(path).parameters()
    assert parameter.dtype.name == "float32"
    np.testing.assert_array_equal(parameter.numpy(), exact)
    np.testing.assert_allclose(load(path)(x).numpy(), x @ exact, rtol=1e-6)
    fits(path, x, (3, 2))


def test_scalars_that_are_initialisers_learn_and_exponents_and_limits_do_not(tmp_path):
    stored = {
        "scale": np.float32(1.5),
        "exponent": np.float32(2),
        "low": np.float32(-9),
        "inf": np.float32(-np.inf),
    }
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["u"]),
        helper.make_node("Pow", ["u", "exponent"], ["v"]),
        helper.make_node("Clip", ["v", "low"], ["w"]),
        helper.make_node("Max", ["w", "inf"], ["y"]),
    ]
    path = saved(made(nodes, (5, 3), stored), tmp_path)
    assert learned(path) == {"scale": ()}
    fits(path, floats(5, 3), (5, 3))


def branches(x: str) -> tuple[Any, Any]:
    """Two branches, each with a constant and an initialiser of the same names."""
    made = []
    for _ in range(2):
        out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, None])
        nodes = [
            constant("w", floats(3, 3)),
            helper.make_node("MatMul", [x, "w"], ["z"]),
            helper.make_node("Add", ["z", "b"], ["out"]),
        ]
        made.append(
            helper.make_graph(
                nodes, "branch", [], [out], [numpy_helper.from_array(floats(3), "b")]
            )
        )
    return made[0], made[1]


def test_weights_inside_branches_learn_each_for_itself(tmp_path):
    then, otherwise = branches("x")
    nodes = [
        constant("yes", np.array(True)),
        constant("no", np.array(False)),
        helper.make_node("If", ["yes"], ["u"], then_branch=then, else_branch=otherwise),
    ]
    then2, otherwise2 = branches("u")
    nodes.append(
        helper.make_node("If", ["no"], ["y"], then_branch=then2, else_branch=otherwise2)
    )
    model, x = made(nodes, (5, 3), {}), floats(5, 3)
    expected = runtime(model, x)
    path = saved(model, tmp_path)
    assert len(learned(path)) == 8
    np.testing.assert_allclose(load(path)(x).numpy(), expected, rtol=1e-5, atol=1e-6)
    model = load(path)
    model.fit(
        x,
        floats(5, 3),
        loss="mean_squared_error",
        epochs=1,
        verbose=0,
        device="reference",
    )


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3), (2, 3, 4), (2, 3, 3, 5)])
@pytest.mark.parametrize("slopes", [1, 3])
def test_prelu_before_opset_7_has_a_slope_for_each_channel(shape, slopes):
    """Axis 1 are the channels; onnxruntime reads opset 7 and later, where the slope is shaped to say the same."""
    x, slope = floats(*shape), floats(slopes)
    old = made(
        [helper.make_node("PRelu", ["x", "slope"], ["y"])],
        shape,
        {"slope": slope},
        opset=6,
    )
    expected = np.where(x < 0, x * slope.reshape(1, -1, *[1] * (len(shape) - 2)), x)
    np.testing.assert_allclose(backend.run_model(old, [x])[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "operation"),
    [("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", np.divide)],
)
@pytest.mark.parametrize(
    ("axis", "size"),
    [
        (0, (2,)),
        (1, (3,)),
        (1, (3, 4)),
        (None, (4,)),
        (2, (4,)),
        (-1, (4,)),
        (None, ()),
    ],
)
def test_broadcasting_before_opset_7_begins_at_an_axis(kind, operation, axis, size):
    x, w = floats(2, 3, 4), floats(*size)
    options = {"broadcast": 1} | ({} if axis is None else {"axis": axis})
    model = made(
        [helper.make_node(kind, ["x", "w"], ["y"], **options)],
        (2, 3, 4),
        {"w": w},
        opset=6,
    )
    start = x.ndim - w.ndim if axis is None else axis % 3
    aligned = w.reshape((*w.shape, *[1] * (x.ndim - start - w.ndim)))
    np.testing.assert_allclose(
        backend.run_model(model, [x])[0], operation(x, aligned), rtol=1e-6
    )


def test_all_operators_without_a_translation_are_listed_at_once(tmp_path):
    nodes = [
        helper.make_node("Acos", ["x"], ["a"], name="angle"),
        helper.make_node("Acos", ["a"], ["b"], name="angle2"),
        helper.make_node("FusedGelu", ["b"], ["c"], name="fused", domain="com.acme"),
        helper.make_node("RandomNormalLike", ["c"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    model = made(nodes, (5, 3), {}, opsets=[helper.make_opsetid("com.acme", 3)])
    with pytest.raises(UnsupportedOperatorError) as caught:
        load(saved(model, tmp_path))
    text = str(caught.value)
    assert "got 3 without one, in 4 nodes" in text
    assert "Acos (ai.onnx 20): 2 × in angle, angle2; it has no translation" in text
    assert "FusedGelu (com.acme 3): 1 × in fused; it has no translation" in text
    assert (
        "RandomNormalLike (ai.onnx 20): 1 × in unnamed; its numbers are random" in text
    )
    assert "Export the model without them" in text and "Relu" not in text


def test_operators_inside_branches_are_listed_too(tmp_path):
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, None])
    branch = helper.make_graph(
        [helper.make_node("Acos", ["x"], ["out"], name="deep")], "b", [], [out]
    )
    nodes = [
        constant("yes", np.array(True)),
        helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch),
    ]
    with pytest.raises(UnsupportedOperatorError, match="2 × in deep, deep"):
        load(saved(made(nodes, (5, 3), {}), tmp_path))


def test_unknown_versions_and_types_are_told_by_name(tmp_path):
    with pytest.raises(
        UnsupportedOperatorError, match=r"(?s)got 999.*pip install --upgrade onnx"
    ):
        load(
            saved(
                made([helper.make_node("Relu", ["x"], ["y"])], (2,), {}, opset=20),
                tmp_path,
                opset=999,
            )
        )
    half = made(
        [helper.make_node("Relu", ["x"], ["y"])],
        (2,),
        {},
        kind=TensorProto.FLOAT16,
        output=TensorProto.FLOAT16,
    )
    with pytest.raises(
        UnsupportedOperatorError, match=r"input 'x': expected float32.*got float16"
    ):
        load(saved(half, tmp_path))


def test_functions_that_a_file_defines_are_written_out(tmp_path):
    body = [
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Mul", ["r", "r"], ["b"]),
    ]
    function = helper.make_function(
        "own", "Squared", ["a"], ["b"], body, [helper.make_opsetid("", 20)]
    )
    model = made(
        [helper.make_node("Squared", ["x"], ["y"], domain="own")],
        (2, 3),
        {},
        opsets=[helper.make_opsetid("own", 1)],
        functions=[function],
    )
    x = floats(2, 3)
    np.testing.assert_allclose(
        load(saved(model, tmp_path))(x).numpy(), np.maximum(x, 0) ** 2, rtol=1e-6
    )


def one(
    kind: str,
    stored: dict[str, Any],
    opset: int = 20,
    x: tuple[int, ...] = (2, 3),
    **attributes: Any,
) -> Any:
    return made(
        [helper.make_node(kind, ["x", *stored], ["y"], **attributes)], x, stored, opset
    )


def loop(turns: int) -> Any:
    """A loop that adds x to itself as often as it is told."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Add", ["s", "x"], ["t"]),
            helper.make_node("Identity", ["c"], ["d"]),
        ],
        "body",
        [
            info("i", TensorProto.INT64, []),
            info("c", TensorProto.BOOL, []),
            info("s", TensorProto.FLOAT, [2, 3]),
        ],
        [info("d", TensorProto.BOOL, []), info("t", TensorProto.FLOAT, [2, 3])],
    )
    stored = {"n": np.array(turns, np.int64), "go": np.array(True)}
    return made(
        [helper.make_node("Loop", ["n", "go", "x"], ["y"], body=body)], (2, 3), stored
    )


def lengths(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


HOSTILE = {
    "range of step 0": lambda: made(
        [
            helper.make_node("Range", ["a", "b", "c"], ["r"]),
            helper.make_node("Add", ["x", "r"], ["y"]),
        ],
        (2, 3),
        {"a": np.float32(0), "b": np.float32(3), "c": np.float32(0)},
    ),
    "endless range": lambda: made(
        [
            helper.make_node("Range", ["a", "b", "c"], ["r"]),
            helper.make_node("Add", ["x", "r"], ["y"]),
        ],
        (2, 3),
        {"a": np.float32(0), "b": np.float32(1e30), "c": np.float32(1e-3)},
    ),
    "slice of step 0": lambda: one(
        "Slice", {"s": lengths(0), "e": lengths(2), "a": lengths(0), "k": lengths(0)}
    ),
    "huge expand": lambda: one("Expand", {"s": lengths(10**6, 10**6, 2, 3)}),
    "huge tile": lambda: one("Tile", {"n": lengths(10**6, 10**6)}),
    "negative tile": lambda: one("Tile", {"n": lengths(-1, 2)}),
    "huge pad": lambda: one("Pad", {"p": lengths(0, 2**40, 0, 2**40)}),
    "huge resize": lambda: one(
        "Resize", {"roi": floats(0), "s": np.float32([1, 1e12])}
    ),
    "huge one-hot": lambda: made(
        [
            helper.make_node("Cast", ["x"], ["i"], to=7),
            helper.make_node("OneHot", ["i", "d", "v"], ["y"]),
        ],
        (2, 3),
        {"d": lengths(2**50), "v": floats(2)},
    ),
    "huge constant": lambda: made(
        [
            helper.make_node("ConstantOfShape", ["s"], ["r"]),
            helper.make_node("ReduceSum", ["r"], ["t"]),
            helper.make_node("Add", ["x", "t"], ["y"]),
        ],
        (2, 3),
        {"s": lengths(2**31, 2**31)},
    ),
    "endless loop": lambda: loop(10**9),
    "longest loop": lambda: loop(2**63 - 1),
    "axis 99": lambda: one("Softmax", {}, axis=99),
    "axis of a flattening": lambda: one("Flatten", {}, axis=77),
    "axis of a flattening from the end": lambda: one("Flatten", {}, axis=-3),
    "axis 99 of old": lambda: one("Softmax", {}, 11, axis=99),
    "axis of a sum": lambda: one("ReduceSum", {"a": lengths(7)}),
    "axis of a concatenation": lambda: one("Concat", {"w": floats(2, 3)}, axis=9),
    "axis of a gather": lambda: one("Gather", {"i": lengths(0)}, axis=5),
    "split of other sizes": lambda: one("Split", {"s": lengths(1, 7)}, axis=1),
    "permutation": lambda: one("Transpose", {}, perm=[0, 5]),
    "reshape": lambda: one("Reshape", {"s": lengths(5, 5)}),
    "hidden size": lambda: made(
        [helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=-3)],
        (2, 1, 3),
        {"w": floats(1, 16, 3), "r": floats(1, 16, 4)},
        rank=4,
    ),
    "no operand": lambda: made(
        [helper.make_node("Conv", ["x", ""], ["y"])], (1, 1, 4, 4), {}
    ),
    "kernel beyond the image": lambda: one(
        "Conv", {"w": floats(1, 1, 9, 9)}, x=(1, 1, 4, 4)
    ),
    "stride 0": lambda: one(
        "Conv", {"w": floats(1, 1, 2, 2)}, x=(1, 1, 4, 4), strides=[0, 0]
    ),
    "groups": lambda: one("Conv", {"w": floats(1, 1, 2, 2)}, x=(1, 3, 4, 4), group=7),
    "no groups": lambda: one(
        "ConvTranspose", {"w": floats(1, 1, 2, 2)}, x=(1, 1, 4, 4), group=-1
    ),
    "another kernel": lambda: one(
        "Conv", {"w": floats(1, 1, 2, 2)}, x=(1, 1, 4, 4), kernel_shape=[3, 3]
    ),
    "word": lambda: one(
        "Conv", {"w": floats(1, 1, 2, 2)}, x=(1, 1, 4, 4), auto_pad="BOTH"
    ),
    "backwards": lambda: one(
        "MaxPool", {}, x=(1, 1, 4, 4), kernel_shape=[2, 2], strides=[-1, 1]
    ),
    "dilation 0": lambda: one(
        "MaxPool", {}, x=(1, 1, 4, 4), kernel_shape=[2, 2], dilations=[0, 1]
    ),
    "one axis": lambda: one("MaxPool", {}, x=(1, 1, 4, 4), kernel_shape=[2]),
    "windows of padding": lambda: one(
        "MaxPool", {}, x=(1, 1, 4, 4), kernel_shape=[2, 2], pads=[2, 0, 0, 0]
    ),
    "negative block": lambda: one("SpaceToDepth", {}, x=(1, 1, 4, 4), blocksize=-2),
    "pads": lambda: one("MaxPool", {}, x=(1, 1, 4, 4), kernel_shape=[2, 2], pads=[1]),
    "block": lambda: one("DepthToSpace", {}, x=(1, 4, 2, 2), blocksize=0),
    "letter of no operand": lambda: one(
        "Einsum", {"w": floats(3)}, equation="ij,j->iz"
    ),
    "equation": lambda: one("Einsum", {"w": floats(3)}, equation="ij,k->->"),
    "top of more than there are": lambda: made(
        [helper.make_node("TopK", ["x", "k"], ["y", "i"])], (2, 3), {"k": lengths(99)}
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_models_end_in_one_error_of_our_own_at_once(tmp_path, name):
    model = HOSTILE[name]()
    path = tmp_path / "hostile.onnx"
    path.write_bytes(model.SerializeToString())
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    start = time.process_time()
    with pytest.raises(DeltaruleError) as caught:
        load(path)(floats(*shape)).numpy()
    assert time.process_time() - start < 20 and len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "broken",
    [
        {"raw_data": b"123"},
        {"dims": [0, 2**62]},
        {"dims": [3, -1]},
        {"data_type": 99},
        {"data_type": 0},
    ],
    ids=["bytes", "size", "negative size", "type", "no type"],
)
@pytest.mark.parametrize("place", ["initializer", "constant"])
def test_damaged_tensors_end_in_one_error_of_our_own(tmp_path, broken, place):
    tensor = TensorProto(
        name="w", data_type=1, dims=[2, 3], raw_data=floats(2, 3).tobytes()
    )
    for field, value in broken.items():
        tensor.ClearField(field)
        getattr(tensor, field).extend(value) if field == "dims" else setattr(
            tensor, field, value
        )
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    model = made(nodes, (2, 3), {})
    if place == "initializer":
        model.graph.initializer.append(tensor)
    else:
        node = helper.make_node("Constant", [], ["w"])
        node.attribute.append(
            onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=tensor)
        )
        model.graph.node.insert(0, node)
    path = tmp_path / "broken.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DeltaruleError) as caught:
        load(path)(floats(2, 3)).numpy()
    assert len(str(caught.value)) < 1000


def test_mutated_files_end_in_an_error_of_our_own_or_are_read(tmp_path):
    then, otherwise = branches("x")
    nodes = [
        constant("yes", np.array(True)),
        constant("w", floats(3, 3)),
        helper.make_node("MatMul", ["x", "w"], ["v"]),
        helper.make_node("If", ["yes"], ["u"], then_branch=then, else_branch=otherwise),
        helper.make_node("Softmax", ["u"], ["z"], axis=1),
        helper.make_node("Add", ["z", "v"], ["y"]),
    ]
    whole, random = (
        made(nodes, (5, 3), {}).SerializeToString(),
        np.random.default_rng(1),
    )
    path, x, refused = tmp_path / "mutated.onnx", floats(5, 3), 0
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(int(random.integers(1, 4))):
            content[int(random.integers(len(content)))] = int(random.integers(256))
        path.write_bytes(
            bytes(content[: int(random.integers(len(content) // 2, len(content) + 1))])
        )
        try:
            load(path)(x).numpy()
        except DeltaruleError:
            refused += 1
    assert refused > 200


def test_a_damaged_file_is_told(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07nonsense")
    with pytest.raises(CheckpointError, match="a valid ONNX model"):
        load(tmp_path / "broken.onnx")
