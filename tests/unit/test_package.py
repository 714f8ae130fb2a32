"""The package's face: rooms are found by attribute in a fresh process, and by tab completion."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import deltarule as dr
from deltarule import dtypes, errors

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
    "grade_derivation",
    "exam",
    "Task",
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


def _public_modules(package: ModuleType) -> Iterator[ModuleType]:
    """Yield a package and the modules that it exports, recursively."""
    yield package
    for name in getattr(package, "__all__", ()):
        member = getattr(package, name)
        if isinstance(member, ModuleType):
            yield from _public_modules(member)


def _name(module: ModuleType) -> str:
    return module.__name__


PUBLIC = sorted({*_public_modules(dr), dtypes, errors}, key=_name)


def test_the_public_packages_are_found() -> None:
    names = {f"deltarule.{room}" for room in ROOMS if room != "linalg"}
    assert names | {"deltarule.tensor.linalg", "deltarule.nn.init"} <= set(
        map(_name, PUBLIC)
    )


@pytest.mark.parametrize("module", PUBLIC, ids=_name)
def test_public_modules_declare_their_names(module: ModuleType) -> None:
    names = module.__all__
    assert len(set(names)) == len(names)
    for name in names:
        assert not name.startswith("_"), name
        assert hasattr(module, name), name


@pytest.mark.parametrize("package", PUBLIC, ids=_name)
def test_exported_names_are_declared_where_they_are_defined(
    package: ModuleType,
) -> None:
    for name in package.__all__:
        member = getattr(package, name)
        home = sys.modules.get(getattr(member, "__module__", ""))
        if home is None or not home.__name__.startswith("deltarule."):
            continue  # a module, or a type of the standard library
        declared = getattr(home, "__all__", None)
        assert declared is not None, f"{home.__name__} has no __all__"
        own = name if hasattr(home, name) else member.__name__
        assert own in declared, f"{home.__name__}.__all__ lacks {own}"
        assert all(hasattr(home, each) for each in declared), home.__name__
