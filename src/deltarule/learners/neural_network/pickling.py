"""Tensors in pickles: joblib and ``pickle`` store their values.

A tensor is a handle on a node of a shared graph, which cannot leave the process; what is stored is the array, the
name, and whether it is a parameter. Importing this module tells ``pickle`` so. Models are better kept with
``module.save``, which runs no code when it is read.
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
    """Teach ``pickle`` tensors and element types."""
    copyreg.pickle(Tensor, _reduced)
    copyreg.pickle(DType, _reduced_dtype)
