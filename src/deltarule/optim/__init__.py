"""Optimisers: pure transforms of gradients into steps, composed like pipes, and the textbook's recipes."""

from deltarule.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from deltarule.optim.adaptive import AdaDelta, AdaGrad, RMSProp
from deltarule.optim.gradient_descent import SGD, Lion
from deltarule.optim.recipe import Optimizer, from_config, get
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

__all__ = [
    "SGD", "AdaDelta", "AdaGrad", "Adam", "AdamW", "Adamax", "Clock", "Constant", "CosineDecay", "ExponentialDecay",
    "InverseTimeDecay", "Lion", "NAdam", "OneCycle", "Optimizer", "Piecewise", "PolynomialDecay", "RAdam", "RMSProp",
    "Schedule", "StepDecay", "Transform", "WarmUp", "add_decayed_weights", "chain", "clip_by_global_norm",
    "clip_by_value", "decay_weights", "from_config", "get", "global_norm", "scale", "scale_by_learning_rate",
]  # fmt: skip
