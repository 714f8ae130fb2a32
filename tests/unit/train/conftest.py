"""A small network of plain tensors, so that the loop is tested without layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deltarule.tensor.functional import relu
from deltarule.tensor.random import random_uniform
from deltarule.tensor.tensor import Tensor, parameter, tensor
from deltarule.train import ForwardResult


class Network:
    """Dense, running centring (state), ReLU, dropout (random), dense; ``frozen`` names are not learned."""

    def __init__(
        self,
        n_in=4,
        n_hidden=8,
        n_out=3,
        *,
        seed=0,
        drop=0.0,
        running=False,
        frozen=(),
        dtype="float32",
    ):
        rng = np.random.default_rng(seed)
        draw = lambda *shape: parameter(rng.normal(size=shape).astype(dtype) * 0.5)  # noqa: E731  # three times the same
        self.tensors = {
            "w1": draw(n_hidden, n_in),
            "b1": draw(n_hidden),
            "w2": draw(n_out, n_hidden),
            "b2": draw(n_out),
        }
        self.mean = tensor(np.zeros(n_hidden, dtype))
        self.drop, self.running, self.frozen = drop, running, frozen

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        return [
            (name, t) for name, t in self.tensors.items() if name not in self.frozen
        ]

    def named_state(self) -> list[tuple[str, Tensor]]:
        return [("mean", self.mean)] if self.running else []

    def apply(
        self, inputs: Tensor, *, mode: str, seed: Tensor | None, step: Tensor | None
    ) -> ForwardResult:
        p = self.tensors
        z = inputs @ p["w1"].T + p["b1"]
        state = {}
        if self.running:
            batch_mean = z.mean(0)
            state = {"mean": self.mean * 0.9 + batch_mean.detach() * 0.1}
            z = z - (batch_mean if mode == "training" else self.mean)
        a = relu(z)
        if self.drop and mode == "training":
            assert seed is not None and step is not None
            keep = random_uniform(a.shape, seed, step, stream=1) >= self.drop
            a = a * keep.astype(a.dtype) / (1 - self.drop)
        return ForwardResult(a @ p["w2"].T + p["b2"], state)

    def config(self) -> dict[str, Any] | None:
        return None

    def state_dict(self) -> dict[str, np.ndarray]:
        return {
            name: t.numpy() for name, t in (*self.tensors.items(), ("mean", self.mean))
        }

    def load_state_dict(self, values: dict[str, Any]) -> None:
        for name, t in (*self.tensors.items(), ("mean", self.mean)):
            t.assign(values[name])

    def bytes(self) -> bytes:
        """All numbers of the network, to compare runs to the bit."""
        return b"".join(value.tobytes() for value in self.state_dict().values())


@pytest.fixture
def network():
    return Network


@pytest.fixture
def blobs():
    """53 points (no multiple of a batch size) in 4 dimensions, of 3 classes."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, 53)
    return (rng.normal(size=(53, 4)) + labels[:, None]).astype(np.float32), labels
