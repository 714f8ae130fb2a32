"""Deltarule: a deep-learning library that trains, differentiates and explains models.

::

    user code      Tensor ──build──▶ Graph ──grad──▶ Graph ──simplify──▶ Graph ──lower──▶ Loops ──backend──▶ run
                                       └──────────── explain: the same graphs, as mathematics

One lazily built graph with three readers: it is run (a whole training step, an epoch in one call),
differentiated (backpropagation as a graph → graph transformation) and explained (the steps of that very
transformation, as matrix calculus).
"""

from __future__ import annotations

from deltarule import startup  # noqa: F401  # handles Ctrl-C during the other imports

# isort: split

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING

from deltarule import renamed
from deltarule.tensor.convolution import convolve
from deltarule.tensor.functional import (
    absolute,
    arange,
    argsort,
    concatenate,
    cos,
    cosine_similarity,
    erf,
    exp,
    expm1,
    eye,
    flip,
    floor,
    full,
    log,
    log1p,
    logical_not,
    logsumexp,
    maximum,
    minimum,
    one_hot,
    ones,
    outer,
    pad,
    sign,
    sin,
    sort,
    sqrt,
    stack,
    stop_gradient,
    take,
    take_along_axis,
    tanh,
    where,
    zeros,
)
from deltarule.tensor.jit import jit
from deltarule.tensor.linalg import norm, trace
from deltarule.tensor.random import random_normal, random_uniform
from deltarule.tensor.tensor import Tensor, parameter, symbol, tensor
from deltarule.tensor.transforms import (
    GradientReport,
    check_gradients,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    per_example_grad,
    value_and_grad,
    vjp,
)

__version__ = "0.1.0"

if TYPE_CHECKING:  # imported lazily below
    from deltarule import data, generative, interop, learners, losses, nn, optim, train
    from deltarule.nn.numbering import manual_seed
    from deltarule.nn.saving import load
    from deltarule.optim.exam import Task, exam
    from deltarule.optim.explanation import optimizer_steps
    from deltarule.tensor import linalg
    from deltarule.tensor.closed_forms import (
        derive_hessian,
        derive_identity,
        derive_jacobian,
        derive_slices,
    )
    from deltarule.tensor.explain import derive, grade
    from deltarule.tensor.graded_derivations import grade_derivation

# Subpackages that are imported on first use, so that ``import deltarule`` is fast.
_ROOMS = {
    "data": "data",
    "generative": "generative",
    "interop": "interop",
    "learners": "learners",
    "linalg": "tensor.linalg",
    "losses": "losses",
    "nn": "nn",
    "optim": "optim",
    "train": "train",
}
_EXPLAINED = ("derive", "grade")
_CLOSED_FORMS = (
    "derive_hessian",
    "derive_identity",
    "derive_jacobian",
    "derive_slices",
)
_LATE = (
    {
        "Task": "optim.exam",
        "exam": "optim.exam",
        "grade_derivation": "tensor.graded_derivations",
        "load": "nn.saving",
        "manual_seed": "nn.numbering",
        "optimizer_steps": "optim.explanation",
    }
    | dict.fromkeys(_EXPLAINED, "tensor.explain")
    | dict.fromkeys(_CLOSED_FORMS, "tensor.closed_forms")
)

renamed.install()

__all__ = [
    "GradientReport",
    "Task",
    "Tensor",
    "absolute",
    "arange",
    "argsort",
    "check_gradients",
    "concatenate",
    "convolve",
    "cos",
    "cosine_similarity",
    "data",
    "derive",
    "derive_hessian",
    "derive_identity",
    "derive_jacobian",
    "derive_slices",
    "erf",
    "exam",
    "exp",
    "expm1",
    "eye",
    "flip",
    "floor",
    "full",
    "generative",
    "grad",
    "grade",
    "grade_derivation",
    "hessian",
    "hvp",
    "interop",
    "jacobian",
    "jit",
    "jvp",
    "learners",
    "linalg",
    "load",
    "log",
    "log1p",
    "logical_not",
    "logsumexp",
    "losses",
    "manual_seed",
    "maximum",
    "minimum",
    "nn",
    "norm",
    "one_hot",
    "ones",
    "optim",
    "optimizer_steps",
    "outer",
    "pad",
    "parameter",
    "per_example_grad",
    "random_normal",
    "random_uniform",
    "sign",
    "sin",
    "sort",
    "sqrt",
    "stack",
    "stop_gradient",
    "symbol",
    "take",
    "take_along_axis",
    "tanh",
    "tensor",
    "trace",
    "train",
    "value_and_grad",
    "vjp",
    "where",
    "zeros",
]

if not TYPE_CHECKING:
    if (
        find_spec("sklearn") is None
    ):  # without the extra [learn] ``from deltarule import *`` leaves learners out
        __all__ = [name for name in __all__ if name != "learners"]

    def __getattr__(name: str) -> object:
        if name in _ROOMS:
            return importlib.import_module(f"deltarule.{_ROOMS[name]}")
        if name in _LATE:
            return getattr(importlib.import_module(f"deltarule.{_LATE[name]}"), name)
        raise AttributeError(f"module 'deltarule' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(
        {
            *(name for name in globals() if name.startswith("__")),
            "__version__",
            *_ROOMS,
            *__all__,
        }
    )
