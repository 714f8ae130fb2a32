"""Layers and networks in PyTorch that tests compare with; found by ``support.oracles.torch_layers``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn as tnn


class Last(tnn.Module):
    """A torch module on channels-last arrays."""

    def __init__(self, inner: tnn.Module, pad: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.inner, self.pad = inner, pad

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(tnn.functional.pad(x.movedim(-1, 1), self.pad))
        return y.movedim(1, -1) if y.ndim > 2 else y


class Global(tnn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=tuple(range(2, x.ndim)))


class Function(tnn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


class GlobalMax(tnn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amax(dim=tuple(range(2, x.ndim)))


class Sequence(tnn.Module):
    """A recurrent torch module that gives the hidden states, or the last of them."""

    def __init__(
        self, inner: tnn.Module, last: bool = False, reverse: bool = False
    ) -> None:
        super().__init__()
        self.inner, self.last, self.reverse = inner, last, reverse

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x.flip(1) if self.reverse else x)[0]
        return y[:, -1] if self.last else y.flip(1) if self.reverse else y


class SelfAttention(tnn.Module):
    def __init__(self, n_features: int, n_heads: int, causal: bool = False) -> None:
        super().__init__()
        self.inner, self.causal = (
            tnn.MultiheadAttention(n_features, n_heads, batch_first=True),
            causal,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = (
            torch.ones(x.shape[1], x.shape[1]).triu(1).bool() if self.causal else None
        )
        return self.inner(x, x, x, need_weights=False, attn_mask=hidden)[0]


class Maxout(tnn.Module):
    def __init__(self, n: int, m: int, pieces: int) -> None:
        super().__init__()
        self.inner, self.pieces = tnn.Linear(n, m * pieces), pieces

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x).unflatten(-1, (self.pieces, -1)).amax(-2)


class Masked(tnn.Module):
    def __init__(self, mask: Any) -> None:
        super().__init__()
        self.mask = torch.tensor(mask).bool()
        self.weight = tnn.Parameter(torch.zeros(int(self.mask.sum())))
        self.bias = tnn.Parameter(torch.zeros(len(self.mask)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        whole = torch.zeros(self.mask.shape, dtype=x.dtype).masked_scatter(
            self.mask, self.weight
        )
        return tnn.functional.linear(x, whole, self.bias)


def block(norm_first: bool, activation: Any) -> tnn.Module:
    return tnn.TransformerEncoderLayer(
        4,
        2,
        6,
        dropout=0.0,
        activation=activation,
        batch_first=True,
        norm_first=norm_first,
    )


class Images(tnn.Module):
    """A convolutional network with batch norm, a residual and a transposed convolution, channels first."""

    def __init__(self) -> None:
        super().__init__()
        self.first = tnn.Sequential(
            tnn.Conv2d(3, 6, 3, padding=1), tnn.BatchNorm2d(6), tnn.ReLU()
        )
        self.around = tnn.Sequential(
            tnn.Conv2d(6, 6, 3, padding=1, groups=2, bias=False), tnn.BatchNorm2d(6)
        )
        self.up = tnn.ConvTranspose2d(6, 4, 2, 2, bias=True)
        self.norm = tnn.LayerNorm((4, 8, 12))
        self.classify = tnn.Sequential(
            tnn.MaxPool2d(2),
            tnn.Flatten(),
            tnn.BatchNorm1d(4 * 4 * 6),
            tnn.PReLU(96),
            tnn.Linear(96, 96),
            tnn.Tanh(),
            tnn.Linear(96, 5),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.classify(self.norm(self.up(x + self.around(x))))


class Signals(tnn.Module):
    """A convolution along time, flattened; then nothing else that knows of space."""

    def __init__(self) -> None:
        super().__init__()
        self.body = tnn.Sequential(
            tnn.Conv1d(2, 3, 3), tnn.GroupNorm(3, 3), tnn.Flatten(), tnn.Linear(21, 4)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


class Sentences(tnn.Module):
    """Words, two LSTM layers, attention, a transformer layer, all hidden states flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.words = tnn.Embedding(11, 4)
        self.lstm = tnn.LSTM(4, 8, num_layers=2, batch_first=True)
        self.gru = tnn.GRU(8, 8, batch_first=True)
        self.attention = tnn.MultiheadAttention(8, 2, batch_first=True)
        self.block = tnn.TransformerEncoderLayer(
            8, 2, 12, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.head = tnn.Linear(5 * 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.gru(self.lstm(self.words(x))[0])[0]
        x = self.attention(x, x, x, need_weights=False)[0]
        return self.head(self.block(x).flatten(1))
