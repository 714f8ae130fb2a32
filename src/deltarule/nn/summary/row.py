"""One row of a summary."""

from __future__ import annotations

from dataclasses import dataclass

from deltarule.nn.summary.receptive_field import ReceptiveField
from deltarule.shapes import Shape


@dataclass(frozen=True)
class Row:
    """One layer of a summary, for one example.

    >>> from deltarule import nn
    >>> row = nn.Sequential(nn.Linear(3, 2)).summary((3,)).rows[1]
    >>> row.layer, row.output, row.parameters
    ('Linear(3→2)', (2,), 8)
    """

    number: int
    name: str
    layer: str
    output: Shape
    activations: int
    how: str = ""
    parameters: int = 0
    parameters_how: str = ""
    frozen: bool = False
    shared_with: int | None = None  # the number of the row that counts the parameters
    flops: int | None = 0
    receptive_field: ReceptiveField = None
    reads: tuple[int, ...] = ()  # positions of the rows whose outputs it reads
