"""Running sums and products of ONNX models, in both directions and with or without the element itself."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from deltarule import interop

X = np.array([[1.5, np.inf, 2.0, -3.0], [0.0, 4.0, -0.5, 1e30]])


@pytest.mark.parametrize(
    ("reverse", "exclusive", "axis"), list(itertools.product((0, 1), (0, 1), (0, -1)))
)
def test_running_sums_are_those_of_the_reference(
    reverse: int, exclusive: int, axis: int, tmp_path: Any
) -> None:
    """An element that is left out is never added and taken away again: infinity reaches later sums only."""
    node = helper.make_node(
        "CumSum", ["x", "axis"], ["y"], reverse=reverse, exclusive=exclusive
    )
    given = helper.make_tensor_value_info("x", TensorProto.DOUBLE, X.shape)
    wanted = helper.make_tensor_value_info("y", TensorProto.DOUBLE, X.shape)
    constant = helper.make_tensor("axis", TensorProto.INT64, [], [axis])
    model = helper.make_model(
        helper.make_graph([node], "scan", [given], [wanted], [constant]),
        opset_imports=[helper.make_opsetid("", 14)],
    )
    (tmp_path / "scan.onnx").write_bytes(model.SerializeToString())
    found = interop.onnx.load(tmp_path / "scan.onnx")(X)
    result = np.asarray(
        (found[0] if isinstance(found, (list, tuple)) else found).numpy()
    )
    flipped = np.flip(X, axis) if reverse else X
    sums = np.cumsum(flipped, axis)
    if exclusive:
        sums = np.roll(sums, 1, axis)
        sums[(0,) if axis == 0 else (slice(None), 0)] = 0
    np.testing.assert_allclose(result, np.flip(sums, axis) if reverse else sums)
    if not exclusive:
        np.testing.assert_allclose(
            result, ReferenceEvaluator(model).run(None, {"x": X})[0]
        )
