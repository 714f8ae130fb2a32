"""Optimisers: pure transforms of gradients into steps, composed like pipes, and the textbook's recipes."""

from deltarule.optim.recipe import Optimizer, from_config, get
from deltarule.optim.recipes import SGD, AdaGrad, Adam, AdamW, RMSProp
from deltarule.optim.schedules import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    OneCycle,
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
    scale_by_learning_rate,
)

__all__ = [
    "SGD", "AdaGrad", "Adam", "AdamW", "Clock", "Constant", "CosineDecay", "ExponentialDecay", "InverseTimeDecay",
    "OneCycle", "Optimizer", "RMSProp", "Schedule", "StepDecay", "Transform", "WarmUp", "add_decayed_weights",
    "chain", "clip_by_global_norm", "clip_by_value", "from_config", "get", "scale_by_learning_rate",
]  # fmt: skip
