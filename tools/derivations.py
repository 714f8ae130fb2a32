"""Write docs/derivations.md: a gallery of derivations, from a linear model to a convolutional network and a VAE.

Every page is made by the library and ends with its proof, so the gallery cannot say what the code does not do.

usage: python tools/derivations.py [--check]      --check writes nothing and fails where the page is out of date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import deltarule as dr
from deltarule import losses, nn
from deltarule.explain.explanation import Derivation

PAGE = Path(__file__).resolve().parent.parent / "docs" / "derivations.md"


def least_squares() -> Derivation:
    """Linear model, half squared error."""
    X, theta, Y = dr.symbol("X", (5, 3)), dr.symbol("theta", (3,)), dr.symbol("Y", (5,))
    residual = X @ theta - Y
    return dr.derive(0.5 * (residual * residual).sum(), wrt=[theta])


def weighted() -> Derivation:
    """Two layers, weighted binary cross-entropy."""
    x, y, a, b = dr.symbol("x", (3,)), dr.symbol("y", (1,)), dr.symbol("alpha", ()), dr.symbol("beta", ())
    W1, b1, W2, b2 = (dr.symbol(n, s) for n, s in (("W_1", (2, 3)), ("b_1", (2,)), ("W_2", (1, 2)), ("b_2", (1,))))
    p = nn.sigmoid(W2 @ nn.relu(W1 @ x + b1) + b2)
    return dr.derive(-(a * y * dr.log(p) + b * (1 - y) * dr.log(1 - p)).sum(), wrt=[W1, b1, W2, b2])


def classifier() -> Derivation:
    """A dense classifier: softmax with cross-entropy."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    return dr.derive(model, losses.CrossEntropy(), input_shape=(4,))


def siamese() -> Derivation:
    """A Siamese network with shared weights and cosine similarity."""
    x, other, y, W1, W2 = (dr.symbol(n, s) for n, s in (("x", (3,)), ("x_hat", (3,)), ("y", ()), ("W_1", (4, 3)),
                                                        ("W_2", (2, 4))))  # fmt: skip
    z, w = W2 @ nn.relu(W1 @ x), W2 @ nn.relu(W1 @ other)
    s = z @ w / (z.norm() * w.norm())
    return dr.derive(-y * s, wrt=[W1, W2], names={z: "z", w: "z_hat"})


def normalised() -> Derivation:
    """Batch normalisation and dropout in training."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    return dr.derive(model, losses.CrossEntropy(), input_shape=(6, 3), mode="training")


def convolutional() -> Derivation:
    """A convolutional network."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 3)
    )
    return dr.derive(model, losses.CrossEntropy(), input_shape=(2, 8, 8, 1))


def variational() -> Derivation:
    """A variational autoencoder: the gradient passes through the sample."""
    x, E, S, D, noise = (dr.symbol(n, s) for n, s in (("x", (4,)), ("W_mu", (2, 4)), ("W_s", (2, 4)), ("W_d", (4, 2)),
                                                      ("epsilon", (2,))))  # fmt: skip
    mu, s = E @ x, S @ x
    z = mu + dr.exp(0.5 * s) * noise
    error = D @ z - x
    loss = 0.5 * (error * error).sum() + 0.5 * (mu * mu + dr.exp(s) - s - 1).sum()
    return dr.derive(loss, wrt=[E, S, D], names={mu: "mu", s: "s", z: "z"})


GALLERY: tuple[Callable[[], Derivation], ...] = (
    least_squares, weighted, classifier, siamese, normalised, convolutional, variational,
)  # fmt: skip


def page() -> str:
    """Return the gallery."""
    parts = ["# Derivations\n\nMade by `python tools/derivations.py`; every page is proved when it is made.\n"]
    for make in GALLERY:
        text = re.sub(r"largest relative error.*", "every error below 10⁻⁶", str(make()), flags=re.DOTALL)
        parts.append(f"## {(make.__doc__ or '').rstrip('.')}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def main() -> int:
    """Write the page, or with --check compare it."""
    text = page()
    if "NOT proved" in text:
        sys.stderr.write("a derivation is not proved\n")
        return 1
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
