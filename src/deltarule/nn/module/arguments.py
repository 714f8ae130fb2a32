"""The constructor arguments of a built-in layer, read from the attributes of the same names."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, signature
from operator import attrgetter
from typing import Any

from deltarule.nn.init import Initializer

LAYERS = "deltarule.nn.layers."  # the package of the built-in layers
ATTRIBUTES: Mapping[str, str | None] = {
    "bias": "has_bias",
    "seed": None,
}  # of every layer


def is_built_in(kind: type) -> bool:
    """Return whether a class is a layer of this library, which a file may name.

    >>> from deltarule import nn
    >>> is_built_in(nn.Linear), is_built_in(nn.Module)
    (True, False)
    """
    return kind.__module__.startswith(LAYERS)


def parameters(kind: type) -> tuple[Parameter, ...]:
    """Return the parameters of a constructor, without ``self``, ``*args`` and ``**kwargs``.

    >>> from deltarule import nn
    >>> [parameter.name for parameter in parameters(nn.GroupNorm)]
    ['n_groups', 'n_channels', 'epsilon', 'n_axes', 'scale_and_shift']
    """
    _, *every = signature(kind.__init__).parameters.values()  # type: ignore[misc]  # read, not called
    variadic = {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}
    return tuple(p for p in every if p.kind not in variadic)


def constructor_arguments(
    layer: Any, attributes: Mapping[str, str | None]
) -> dict[str, Any]:
    """Return the constructor arguments of a layer as plain data.

    Args:
        layer: The layer.
        attributes: Parameter → path of the attribute that holds it, where it is not the attribute of the same name;
            None for a parameter that is not part of the architecture.

    >>> from deltarule import nn
    >>> constructor_arguments(nn.LayerNorm(3), {})
    {'shape': [3], 'epsilon': 1e-05}
    """
    named = {**ATTRIBUTES, **attributes}
    paths = {p: named.get(p.name, p.name) for p in parameters(type(layer))}
    return {
        p.name: _plain(attrgetter(path)(layer), str(p.annotation))
        for p, path in paths.items()
        if path is not None
    }


def _plain(value: Any, annotation: str) -> Any:
    """Return the value of a parameter as plain data: one number for equal sizes, the config of an initialiser."""
    if isinstance(value, Initializer):
        return value.config()
    if value is None and "Initializer" in annotation:
        return "auto"
    if isinstance(value, tuple):
        equal = annotation.startswith("Sizes") and len(set(value)) == 1
        return value[0] if equal else list(value)
    return value
