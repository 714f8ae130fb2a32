"""The package's face: rooms are found by attribute in a fresh process, and by tab completion."""

from __future__ import annotations

import subprocess
import sys

import pytest

import deltarule as dr

ROOMS = [
    "nn",
    "optim",
    "losses",
    "train",
    "data",
    "learners",
    "generative",
    "linalg",
    "interop",
]
LATE = [
    "derive",
    "grade",
    "exam",
    "load",
    "optimizer_steps",
    "derive_hessian",
    "derive_jacobian",
]


def _fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "place",
    [
        "interop.onnx.load",
        "interop.onnx.export",
        "interop.torch.load_weights",
        "nn.Linear",
    ],
)
def test_rooms_are_entered_on_first_use(place: str) -> None:
    assert _fresh(f"import deltarule as dr; print(callable(dr.{place}))") == "True"


def test_completion_lists_what_is_there() -> None:
    listed = _fresh(
        "import deltarule; print(*dir(deltarule)); print(*dir(deltarule.interop))"
    ).split()
    assert set(ROOMS) | set(LATE) | {"Tensor", "onnx", "torch"} <= set(listed)
    for name in dir(dr):
        assert hasattr(dr, name), name


def test_importing_stays_light() -> None:
    code = (
        "import sys, deltarule; "
        "print([n for n in ('sklearn', 'onnx', 'llvmlite', 'deltarule.nn') if n in sys.modules])"
    )
    assert _fresh(code) == "[]"


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'layers'"):
        _ = dr.layers
    with pytest.raises(AttributeError, match="no attribute 'keras'"):
        _ = dr.interop.keras
