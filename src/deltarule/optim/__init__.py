"""Optimisers, learning-rate schedules, composable gradient transforms, and minimisers of functions."""

from typing import TYPE_CHECKING

from deltarule.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from deltarule.optim.adaptive import AdaDelta, AdaGrad, RMSProp
from deltarule.optim.averages import exponential_moving_average, moving_average
from deltarule.optim.gradient_descent import SGD, Lion
from deltarule.optim.recipe import RENAMED, Optimizer, ParameterNames, from_config, get
from deltarule.optim.schedules import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    OneCycle,
    Piecewise,
    PolynomialDecay,
    Schedule,
    StepDecay,
    WarmUp,
)
from deltarule.optim.solvers import Minimum, lbfgs, minimize, newton
from deltarule.optim.stepper import Stepper
from deltarule.optim.transform import (
    Clock,
    Transform,
    add_decayed_weights,
    chain,
    clip_by_global_norm,
    clip_by_value,
    decay_weights,
    global_norm,
    scale,
    scale_by_learning_rate,
)
from deltarule.optim.wrappers import (
    EMA,
    GradientAccumulation,
    ParamGroups,
    Proximal,
)
from deltarule.renamed import former_names

__all__ = [
    "EMA",
    "SGD",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Clock",
    "Constant",
    "CosineDecay",
    "ExponentialDecay",
    "GradientAccumulation",
    "InverseTimeDecay",
    "Lion",
    "Minimum",
    "NAdam",
    "OneCycle",
    "Optimizer",
    "ParamGroups",
    "ParameterNames",
    "Piecewise",
    "PolynomialDecay",
    "Proximal",
    "RAdam",
    "RMSProp",
    "Schedule",
    "StepDecay",
    "Stepper",
    "Transform",
    "WarmUp",
    "add_decayed_weights",
    "chain",
    "clip_by_global_norm",
    "clip_by_value",
    "decay_weights",
    "exponential_moving_average",
    "from_config",
    "get",
    "global_norm",
    "lbfgs",
    "minimize",
    "moving_average",
    "newton",
    "scale",
    "scale_by_learning_rate",
]


if not TYPE_CHECKING:
    __getattr__ = former_names(
        __name__, {old: f"deltarule.optim:{new}" for old, new in RENAMED.items()}
    )
