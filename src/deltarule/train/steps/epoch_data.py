"""The training data of an epoch: the arrays themselves, or a copy that is augmented anew in every epoch."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast, final

import numpy as np
import numpy.typing as npt

from deltarule.cached import cached_property
from deltarule.data.augment import Augmentation, Mixup
from deltarule.errors import ArgumentError, DataError
from deltarule.runtime.buffers import Array

Change = Augmentation | Mixup | Callable[[Array, int, int], Array]
Rows = npt.NDArray[np.int64]
Augment = Change | Sequence[Change] | None
_STREAM_STRIDE = 16  # random streams reserved for each augmentation of a list


def fingerprint(arrays: Sequence[npt.NDArray[Any]]) -> str:
    """Return a checksum of arrays, including their types and shapes.

    >>> fingerprint([np.zeros(3)]) == fingerprint([np.zeros(3)]) != fingerprint([np.zeros((3, 1))])
    True
    """
    value = 0
    for array in arrays:
        value = zlib.crc32(f"{array.dtype} {array.shape}".encode(), value)
        value = zlib.crc32(
            np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, value
        )
    return f"{value:08x}"


@final
class EpochData:
    """The arrays of every epoch, a function of the data, the seed and the epoch, so that runs can resume.

    Augmentations change the inputs only, ``data.augment.Mixup`` inputs and targets. One epoch's copy is in memory
    besides the data; without augmentation nothing is copied.

    Args:
        arrays: Inputs, targets and, optionally, weights.
        augment: An augmentation or a list of them.
        seed: Seed of the augmentations.
        chosen: The rows to train on; None for all.

    >>> data = EpochData([np.arange(4.0), np.arange(4)], chosen=np.array([0, 2]))
    >>> data.n_samples, data.rows(np.array([1, 0])).tolist()
    (2, [2, 0])
    """

    def __init__(
        self,
        arrays: Sequence[Array],
        augment: Augment = None,
        seed: int = 0,
        chosen: Rows | None = None,
    ) -> None:
        is_list = isinstance(augment, (list, tuple))
        self._augmentations: tuple[Change, ...] = tuple(
            cast("Sequence[Change]", augment if is_list else (augment,))
        )
        if augment is None:
            self._augmentations = ()
        for augmentation in self._augmentations:
            if not callable(augmentation) or isinstance(augmentation, type):
                raise ArgumentError(
                    "fit augment",
                    expected="an augmentation such as data.augment.RandomFlip(), or a list of them",
                    got=repr(augmentation),
                    hint="A function takes (inputs, seed, epoch) and returns new inputs.",
                )
        copied = bool(self._augmentations) and chosen is not None
        self.arrays = [array[chosen] for array in arrays] if copied else list(arrays)
        self._chosen = None if copied else chosen
        self._seed = seed
        self._epoch, self._epoch_arrays = -1, self.arrays

    def of(self, epoch: int) -> list[Array]:
        """Return the arrays of an epoch (from 0); without augmentation, always the same list."""
        if self._augmentations and epoch != self._epoch:
            self._epoch_arrays = self._augmented(epoch)
            self._epoch = epoch
        return self._epoch_arrays

    @property
    def n_samples(self) -> int:
        """Number of examples to train on."""
        return len(self.arrays[0]) if self._chosen is None else len(self._chosen)

    def rows(self, order: Rows) -> Rows:
        """Return the rows of the arrays for positions among the examples to train on."""
        return order if self._chosen is None else self._chosen[order]

    def parts(self, order: Rows, ends: Iterable[int]) -> tuple[Rows, Iterable[int]]:
        """Return ``rows(order)`` for an order that is computed part by part, also part by part."""
        if self._chosen is None:
            return order, ends
        chosen, found = self._chosen, np.empty_like(order)

        def made() -> Iterator[int]:
            start = 0
            for end in ends:
                found[start:end] = chosen[order[start:end]]
                yield end
                start = end

        return found, made()

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of the data before augmentation, and of the rows to train on."""
        return fingerprint(
            self.arrays if self._chosen is None else [*self.arrays, self._chosen]
        )

    @property
    def description(self) -> str:
        """A description of the augmentations, the same in every process."""
        return ", ".join(
            repr(augmentation)
            if isinstance(augmentation, (Augmentation, Mixup))
            else str(
                getattr(augmentation, "__qualname__", type(augmentation).__qualname__)
            )
            for augmentation in self._augmentations
        )

    def _augmented(self, epoch: int) -> list[Array]:
        inputs, targets, *weights = self.arrays
        for i, augmentation in enumerate(self._augmentations):
            if isinstance(augmentation, Mixup):
                inputs, targets = augmentation(
                    inputs, targets, self._seed, epoch, i * _STREAM_STRIDE
                )
            elif isinstance(augmentation, Augmentation):
                inputs = augmentation(inputs, self._seed, epoch, i * _STREAM_STRIDE)
            else:
                inputs = np.asarray(augmentation(inputs, self._seed, epoch))
        if len(inputs) != len(self.arrays[0]) or inputs.dtype.kind not in "fiub":
            raise DataError(
                "fit augment",
                expected=f"{len(self.arrays[0])} changed examples, numbers",
                got=f"{inputs.dtype} {inputs.shape}",
                hint="An augmentation must return as many examples as it is given.",
            )
        changed: list[Any] = [
            inputs.astype(self.arrays[0].dtype, copy=False),
            targets,
            *weights,
        ]
        return [np.ascontiguousarray(array) for array in changed]
