"""Libraries that tests compare with, imported when a test first uses them: collecting the tests imports none of them.

``from support.oracles import torch`` instead of ``import torch``. A table of cases holds functions that look up what
they need (``lambda x: torch.relu(x)``) or a name (``"torch.relu"``, see :func:`called`): it is made without them.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, final


@final
class Late:
    """A module of this name; it is imported when one of its names is first looked up."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        # pytest and doctest ask every global of a test file for marks of their own.
        if name.startswith(("_", "pytest_")):
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)


def called(function: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return a function, or the one of this dotted name: ``torch.relu``, ``tf.gelu`` with the names of this file."""
    if callable(function):
        return function
    module, *names = function.split(".")
    found: Callable[..., Any] = functools.reduce(getattr, names, globals()[module])
    return found


torch = Late("torch")
tnn = Late("torch.nn")
tf = Late("torch.nn.functional")
td = Late("torch.distributions")
torch_layers = Late("support.torch_layers")
safetensors_torch = Late("safetensors.torch")
onnxruntime = Late("onnxruntime")
pd = Late("pandas")
pl = Late("polars")
