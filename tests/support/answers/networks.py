"""Networks with right answers: losses in Deltarule, values and gradients from PyTorch in float64, formulas, Python.

Formulas and Python expressions were derived by hand. Names are those that derivations give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import deltarule as dr
from deltarule import losses, nn
from deltarule.tensor.tensor import Tensor
from support.answers.expressions import Tree, apply, symbols
from support.oracles import torch

Shapes = Mapping[str, tuple[int, ...]]
Forward = Callable[[Mapping[str, Any]], dict[str, Any]]  # signals, the loss under "L"


@dataclass(frozen=True)
class Network:
    """A loss: in Deltarule, and in PyTorch with the values of all signals."""

    shapes: Shapes
    parameters: tuple[str, ...]
    make: Callable[[Mapping[str, Tensor]], Tensor]
    forward: Forward
    formulas: Mapping[str, tuple[Tree, ...]]
    python: Mapping[str, tuple[str, ...]]
    distributions: tuple[str, ...] = ()

    def loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its inputs by name."""
        found = {
            name: dr.symbol(name, shape, dtype="float64")
            for name, shape in self.shapes.items()
        }
        return self.make(found), found

    def point(self, random: np.random.Generator, scale: float) -> dict[str, np.ndarray]:
        """Return values of all inputs and signals, and gradients as ``d name``."""
        given = {
            name: scale * random.normal(size=shape)
            for name, shape in self.shapes.items()
        }
        for name in self.distributions:
            positive = np.abs(random.normal(size=self.shapes[name])) + 0.1
            given[name] = positive / positive.sum(-1, keepdims=True)
        leaves = {
            name: torch.tensor(value, requires_grad=True)
            for name, value in given.items()
        }
        signals = self.forward(leaves)
        for value in signals.values():
            value.retain_grad()
        signals["L"].backward()
        values = {name: value.detach().numpy() for name, value in signals.items()}
        for name, tensor in (*leaves.items(), *signals.items()):
            if tensor.grad is not None:
                values[f"d {name}"] = tensor.grad.numpy()
        return {**given, **values}


x, y, w, b, X, Y = symbols("x y w b X Y")
W1, W2, b1, b2, Wm = symbols("W_1 W_2 b_1 b_2 W")
z, a, z1, a1, z2, yh = symbols("z a z_1 a_1 z_2 ŷ")
d1, d2, A1, Yh, D1, D2, Z1, lam, A = symbols("δ₁ δ₂ A_1 Ŷ Δ₁ Δ₂ Z_1 λ A")


def _neuron(t):
    z = t["w"] @ t["x"] + t["b"]
    a = torch.tanh(z)
    return {"z": z, "a": a, "L": 0.5 * (a - t["y"]) ** 2}


NEURON = Network(
    {"w": (4,), "x": (4,), "b": (), "y": ()},
    ("w", "b"),
    lambda t: 0.5 * (dr.tanh(t["w"] @ t["x"] + t["b"]) - t["y"]) ** 2,
    _neuron,
    {
        "w": (
            (a - y) @ (1 - a**2) @ x,
            (apply("tanh", w.T @ x + b) - y) @ (1 - apply("tanh", z) ** 2) @ x,
        ),
        "b": ((a - y) @ (1 - a**2), (a - y) @ (1 - a) @ (1 + a)),
    },
    {
        "w": (
            "(a - y) * (1 - a**2) * x",
            "(np.tanh(w @ x + b) - y) * (1 - np.tanh(w @ x + b)**2) * x",
        ),
        "b": ("(a - y) * (1 - a * a)",),
    },
)


def _logistic(t):
    z = t["w"] @ t["x"] + t["b"]
    return {
        "z": z,
        "ŷ": torch.sigmoid(z),
        "L": torch.nn.functional.binary_cross_entropy_with_logits(z, t["y"]),
    }


LOGISTIC = Network(
    {"w": (4,), "x": (4,), "b": (), "y": ()},
    ("w", "b"),
    lambda t: losses.BinaryCrossEntropy()(t["w"] @ t["x"] + t["b"], t["y"]),
    _logistic,
    {
        "w": (
            (yh - y) @ x,
            (apply("σ", z) - y) @ x,
            (yh @ (1 - y) - y @ (1 - yh)) @ x,
            yh @ x - y @ x,
        ),
        "b": (yh - y, apply("σ", w.T @ x + b) - y),
    },
    {
        "w": (
            "(y_hat - y) * x",
            "(1 / (1 + np.exp(-z)) - y) * x",
            "x * (np.exp(z) / (1 + np.exp(z)) - y)",
        ),
        "b": ("y_hat - y",),
    },
)


def _two_layers(t):
    z1 = t["W_1"] @ t["x"] + t["b_1"]
    a1 = torch.tanh(z1)
    z2 = t["W_2"] @ a1 + t["b_2"]
    loss = -(t["y"] * torch.log_softmax(z2, 0)).sum()
    return {"z_1": z1, "a_1": a1, "z_2": z2, "ŷ": torch.softmax(z2, 0), "L": loss}


TWO_LAYERS = Network(
    {"x": (3,), "y": (2,), "W_1": (4, 3), "b_1": (4,), "W_2": (2, 4), "b_2": (2,)},
    ("W_1", "b_1", "W_2", "b_2"),
    lambda t: losses.CrossEntropy()(
        t["W_2"] @ dr.tanh(t["W_1"] @ t["x"] + t["b_1"]) + t["b_2"], t["y"]
    ),
    _two_layers,
    {
        "W_2": (
            (yh - y) @ a1.T,
            yh @ a1.T - y @ a1.T,
            d2 @ a1.T,
            (yh - y) @ apply("tanh", z1).T,
        ),
        "W_1": (
            ((W2.T @ (yh - y)) * (1 - a1**2)) @ x.T,
            ((W2.T @ d2) * (1 - apply("tanh", z1) ** 2)) @ x.T,
            (x @ ((W2.T @ (yh - y)) * (1 - a1) * (1 + a1)).T).T,
        ),
        "b_1": ((W2.T @ (yh - y)) * (1 - a1**2), (d2.T @ W2).T * (1 - a1 * a1)),
        "b_2": (yh - y,),
    },
    {
        "W_2": ("np.outer(y_hat - y, a_1)", "(y_hat - y)[:, None] * a_1[None, :]"),
        "W_1": (
            "np.outer(W_2.T @ (y_hat - y) * (1 - a_1**2), x)",
            "(W_2.T @ (y_hat - y) * (1 - np.tanh(z_1)**2))[:, None] @ x[None, :]",
        ),
        "b_1": (
            "W_2.T @ (y_hat - y) * (1 - a_1**2)",
            "(y_hat - y) @ W_2 * (1 - a_1**2)",
        ),
        "b_2": ("y_hat - y", "np.exp(z_2) / np.sum(np.exp(z_2)) - y"),
    },
    distributions=("y",),
)


def _rectified(t):
    z1 = t["W_1"] @ t["x"]
    a1 = torch.relu(z1)
    out = t["W_2"] @ a1
    return {"z_1": z1, "a_1": a1, "ŷ": out, "L": 0.5 * ((out - t["y"]) ** 2).sum()}


def _rectified_loss(t):
    error = t["W_2"] @ nn.relu(t["W_1"] @ t["x"]) - t["y"]
    return 0.5 * (error @ error)


RECTIFIED = Network(
    {"x": (3,), "y": (2,), "W_1": (4, 3), "W_2": (2, 4)},
    ("W_1", "W_2"),
    _rectified_loss,
    _rectified,
    {
        "W_1": (
            ((W2.T @ (yh - y)) * (z1 > 0)) @ x.T,
            ((W2.T @ (W2 @ apply("ReLU", z1) - y)) * (a1 > 0)) @ x.T,
            ((z1 > 0) * (W2.T @ W2 @ a1 - W2.T @ y)) @ x.T,
        ),
        "W_2": ((yh - y) @ a1.T, (W2 @ a1 - y) @ apply("ReLU", W1 @ x).T),
    },
    {
        "W_1": (
            "np.outer((z_1 > 0) * (W_2.T @ (y_hat - y)), x)",
            "np.outer(np.where(z_1 > 0, W_2.T @ (y_hat - y), 0), x)",
            "np.outer((W_1 @ x > 0) * (W_2.T @ (W_2 @ np.maximum(0, W_1 @ x) - y)), x)",
        ),
        "W_2": ("np.outer(y_hat - y, a_1)",),
    },
)


def _ridge(t):
    residual = t["X"] @ t["w"] - t["y"]
    return {
        "ŷ": t["X"] @ t["w"],
        "L": (residual @ residual) / 5 + 0.5 * t["lambda"] * (t["w"] @ t["w"]),
    }


def _ridge_loss(t):
    residual = t["X"] @ t["w"] - t["y"]
    return (residual @ residual) / 5 + 0.5 * t["lambda"] * (t["w"] @ t["w"])


RIDGE = Network(
    {"X": (5, 3), "w": (3,), "y": (5,), "lambda": ()},
    ("w",),
    _ridge_loss,
    _ridge,
    {
        "w": (
            (2 * (X.T @ (X @ w - y))) / 5 + lam @ w,
            0.4 * (X.T @ X @ w) - 0.4 * (X.T @ y) + lam @ w,
            lam @ w - (2 * (X.T @ (y - X @ w))) / 5,
        )
    },
    {
        "w": (
            "2 / 5 * X.T @ (X @ w - y) + lam * w",
            "2 * (X @ w - y) @ X / len(y) + lam * w",
            "2 * np.sum((X @ w - y)[:, None] * X, axis=0) / X.shape[0] + lam * w",
            "2 * ((X @ w - y)[:, None] * X).mean(axis=0) + lam * w",
        )
    },
)


def _batch(t):
    z1 = t["X"] @ t["W_1"].T + t["b_1"]
    a1 = torch.tanh(z1)
    z2 = a1 @ t["W_2"].T + t["b_2"]
    loss = -(t["Y"] * torch.log_softmax(z2, 1)).sum(1).mean()
    return {"Z_1": z1, "A_1": a1, "Z_2": z2, "Ŷ": torch.softmax(z2, 1), "L": loss}


BATCH = Network(
    {"X": (5, 4), "Y": (5, 3), "W_1": (6, 4), "b_1": (6,), "W_2": (3, 6), "b_2": (3,)},
    ("W_1", "b_1", "W_2", "b_2"),
    lambda t: losses.CrossEntropy()(
        dr.tanh(t["X"] @ t["W_1"].T + t["b_1"]) @ t["W_2"].T + t["b_2"], t["Y"]
    ),
    _batch,
    {
        "W_2": (((Yh - Y).T @ A1) / 5, 0.2 * (Yh.T @ A1 - Y.T @ A1), (A1.T @ D2).T),
        "W_1": (
            (((D2 @ W2) * (1 - A1 * A1)).T @ X),
            (((Yh - Y) @ W2 * (1 - A1 * A1)).T @ X) / 5,
        ),
    },
    {
        "W_2": (
            "(Y_hat - Y).T @ A_1 / 5",
            "np.einsum('ni,nj->ij', Y_hat - Y, A_1) / len(Y)",
        ),
        "W_1": ("((Y_hat - Y) @ W_2 * (1 - A_1**2)).T @ X / 5",),
        "b_2": (
            "(Y_hat - Y).mean(axis=0)",
            "np.sum(Y_hat - Y, axis=0) / 5",
            "(Y_hat - Y).sum(axis=0) / Y.shape[0]",
        ),
        "b_1": ("np.sum((Y_hat - Y) @ W_2 * (1 - A_1**2), axis=0) / 5",),
    },
    distributions=("Y",),
)


def _leaky(t):
    z = t["W"] @ t["x"]
    out = torch.nn.functional.leaky_relu(z, 0.2)
    return {"z": z, "ŷ": out, "L": 0.5 * ((out - t["y"]) ** 2).sum()}


def _leaky_loss(t):
    error = nn.leaky_relu(t["W"] @ t["x"], 0.2) - t["y"]
    return 0.5 * (error @ error)


LEAKY = Network(
    {"x": (3,), "y": (4,), "W": (4, 3)},
    ("W",),
    _leaky_loss,
    _leaky,
    {"W": (((yh - y) * ((z > 0) + 0.2 * (z <= 0))) @ x.T,)},
    {"W": ("np.outer((y_hat - y) * np.where(z > 0, 1, 0.2), x)",)},
)


def _quadratic(t):
    return {"L": t["x"] @ t["A"] @ t["x"] + t["b"] @ t["x"]}


QUADRATIC = Network(
    {"A": (3, 3), "x": (3,), "b": (3,)},
    ("x", "A"),
    lambda t: t["x"] @ t["A"] @ t["x"] + t["b"] @ t["x"],
    _quadratic,
    {
        "x": ((A + A.T) @ x + b, A @ x + A.T @ x + b, (x.T @ A + x.T @ A.T).T + b),
        "A": (x @ x.T,),
    },
    {
        "x": ("(A + A.T) @ x + b", "A @ x + x @ A + b"),
        "A": ("np.outer(x, x)", "x[:, None] * x"),
    },
)

NETWORKS = {
    "neuron": NEURON,
    "logistic": LOGISTIC,
    "two layers": TWO_LAYERS,
    "rectified": RECTIFIED,
    "ridge": RIDGE,
    "batch": BATCH,
    "leaky": LEAKY,
    "quadratic": QUADRATIC,
}
