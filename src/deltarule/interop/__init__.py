"""Interoperability: ONNX models and PyTorch weights."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from deltarule.errors import DependencyError

if TYPE_CHECKING:
    from deltarule.interop import onnx, torch

__all__ = [
    "onnx",
    "torch",
]  # entered on first use: each needs a package that not everybody has


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(
                f"module 'deltarule.interop' has no attribute {name!r}"
            )
        try:
            return importlib.import_module(f"deltarule.interop.{name}")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("deltarule"):
                raise
            raise DependencyError(
                f"interop.{name}",
                expected=f"the package {error.name}",
                got="none",
                hint=f"pip install {error.name}",
            ) from error


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__})
