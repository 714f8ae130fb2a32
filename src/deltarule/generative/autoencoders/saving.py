"""Serialization of generative models: configurations from which ``dr.load`` rebuilds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deltarule import nn
from deltarule.nn import saving

_ROOM = "generative"


def config_of(
    module: nn.Module, arguments: dict[str, Any], **children: nn.Module
) -> dict[str, Any] | None:
    """Return plain data from which a module is rebuilt; None if one of its children is a class of your own."""
    configs = {name: child.config() for name, child in children.items()}
    if None in configs.values():
        return None
    return {
        "class": f"{_ROOM}.{type(module).__name__}",
        "arguments": arguments,
        "children": configs,
    }


def register(*kinds: type[nn.Module], make: saving.Factory | None = None) -> None:
    """Register classes that files may name; they are built from children and arguments by name, or by ``make``."""
    for kind in kinds:
        saving.register(f"{_ROOM}.{kind.__name__}", make or _by_name(kind))


def _by_name(kind: Callable[..., nn.Module]) -> saving.Factory:
    return lambda children, arguments: kind(**children, **arguments)
