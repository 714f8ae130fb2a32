"""Shape arguments of functions that create tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from deltarule.errors import ShapeError
from deltarule.shapes import Dimension, Shape


def sizes(shape: Any, where: str) -> Shape:
    """Return a shape argument as a checked tuple; a single size is a shape of one axis.

    >>> sizes(3, "zeros"), sizes([2, 3], "zeros")
    ((3,), (2, 3))
    """
    is_sequence = isinstance(shape, Iterable) and not isinstance(shape, str)
    listed = tuple(shape) if is_sequence else (shape,)
    for size in listed:
        is_integer = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
        if not (is_integer and size >= 0) and not isinstance(size, Dimension):
            raise ShapeError(
                where, expected="sizes that are whole numbers ≥ 0", got=repr(shape)
            )
    return tuple(size if isinstance(size, Dimension) else int(size) for size in listed)
