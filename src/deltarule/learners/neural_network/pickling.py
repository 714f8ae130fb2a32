"""Pickle support for tensors, for ``pickle`` and joblib.

A tensor is a handle on a node of a shared graph, which cannot leave the process; its
array, its name and whether it is a parameter are pickled. Prefer ``module.save`` for
models: loading such a file executes no code.
"""

from __future__ import annotations

import copyreg
from typing import Any

from deltarule.dtypes import DTYPES, DType
from deltarule.learners.base import Array
from deltarule.tensor.tensor import Tensor, parameter, tensor


def _leaf(array: Array, name: str, is_parameter: bool) -> Tensor:
    return parameter(array, name=name) if is_parameter else tensor(array, name=name)


def _reduced(item: Tensor) -> tuple[Any, ...]:
    return _leaf, (item.numpy(), item.name, item.requires_grad)


def _named_dtype(name: str) -> DType:
    return DTYPES[name]


def _reduced_dtype(kind: DType) -> tuple[Any, ...]:
    return _named_dtype, (kind.name,)


def register() -> None:
    """Register the reducers of tensors and element types with ``copyreg``."""
    copyreg.pickle(Tensor, _reduced)
    copyreg.pickle(DType, _reduced_dtype)
