"""Loading of state dictionaries: all mismatches are reported at once, before anything is assigned."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Protocol

import numpy as np

from deltarule.errors import ArgumentError
from deltarule.shapes import show
from deltarule.tensor.tensor import Tensor


class HasTensors(Protocol):
    """A module with named parameters and state."""

    def named_tensors(self) -> list[tuple[str, Tensor]]:
        """Return parameters and state by name."""
        ...


def load(module: HasTensors, values: Mapping[str, Any], *, strict: bool) -> None:
    """Assign parameters and state of a module by name."""
    check_entries(module, values, strict=strict)
    for name, item in module.named_tensors():
        if name in values:
            item.assign(np.asarray(values[name]))


def check_entries(
    module: HasTensors, values: Mapping[str, Any], *, strict: bool
) -> None:
    """Raise ArgumentError that lists missing and unexpected entries and wrong shapes."""
    if not isinstance(values, Mapping):
        expected = "a dictionary of arrays by name, as state_dict() gives"
        raise ArgumentError(
            "load_state_dict", expected=expected, got=f"a {type(values).__name__}"
        )
    wanted = dict(module.named_tensors())
    arrays = {name: np.asarray(value) for name, value in values.items()}
    missing = [name for name in wanted if strict and name not in arrays]
    unexpected = [name for name in arrays if strict and name not in wanted]
    misshapen = [
        name
        for name in wanted
        if name in arrays and arrays[name].shape != wanted[name].shape
    ]
    lines = [f"missing     {name} {show(wanted[name].shape)}" for name in missing]
    lines += [
        f"unexpected  {name} {show(arrays[name].shape)}{_near(name, missing)}"
        for name in unexpected
    ]
    lines += [
        f"shape       {name}: the {type(module).__name__} has {show(wanted[name].shape)}, given "
        f"{show(arrays[name].shape)}{_transposed(wanted[name].shape, arrays[name].shape)}"
        for name in misshapen
    ]
    if lines:
        raise ArgumentError(
            f"load_state_dict of {type(module).__name__}",
            expected=f"{len(wanted)} entries that fit",
            got=f"{len(missing)} missing, {len(unexpected)} unexpected, {len(misshapen)} of a wrong shape",
            hint="\n  ".join(lines),
        )


def _near(name: str, missing: list[str]) -> str:
    found = get_close_matches(name, missing, n=1)
    return f" — {found[0]}?" if found else ""


def _transposed(wanted: tuple[int, ...], given: tuple[int, ...]) -> str:
    return " (transposed?)" if given == wanted[::-1] and len(given) > 1 else ""
