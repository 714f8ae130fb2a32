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
from deltarule import losses, nn, optim
from deltarule.explain.explanation import Derivation
from deltarule.explain.results.identities import IDENTITIES
from deltarule.shapes import Dimension
from deltarule.tensor.explain import grade
from deltarule.tensor.tensor import Tensor

PAGE = Path(__file__).resolve().parent.parent / "docs" / "derivations.md"


def gates() -> Derivation:
    """The smallest: one product, used twice."""
    x, y = dr.symbol("x", ()), dr.symbol("y", ())
    q = x * y
    return dr.derive(q * q + q, wrt=[x, y], names={q: "q"})


def least_squares() -> Derivation:
    """Linear model, half squared error."""
    X, theta, Y = dr.symbol("X", (5, 3)), dr.symbol("theta", (3,)), dr.symbol("Y", (5,))
    residual = X @ theta - Y
    return dr.derive(0.5 * (residual * residual).sum(), wrt=[theta])


def weighted() -> Derivation:
    """Two layers, weighted binary cross-entropy."""
    x, y, a, b = (
        dr.symbol("x", (3,)),
        dr.symbol("y", (1,)),
        dr.symbol("alpha", ()),
        dr.symbol("beta", ()),
    )
    W1, b1, W2, b2 = (
        dr.symbol(n, s)
        for n, s in (("W_1", (2, 3)), ("b_1", (2,)), ("W_2", (1, 2)), ("b_2", (1,)))
    )
    p = nn.sigmoid(W2 @ nn.relu(W1 @ x + b1) + b2)
    return dr.derive(
        -(a * y * dr.log(p) + b * (1 - y) * dr.log(1 - p)).sum(), wrt=[W1, b1, W2, b2]
    )


def classifier() -> Derivation:
    """A dense classifier: softmax with cross-entropy."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    return dr.derive(model, losses.CrossEntropy(), input_shape=(4,))


def batch() -> Derivation:
    """The same classifier for a batch of N examples: one example, then the mean."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    return dr.derive(
        model, losses.CrossEntropy(), input_shape=(Dimension("N"), 4), batch="example"
    )


def matrices() -> Derivation:
    """The same batch in matrices, examples as rows."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    return dr.derive(model, losses.CrossEntropy(), input_shape=(Dimension("N"), 4))


def siamese() -> Derivation:
    """A Siamese network with shared weights and cosine similarity."""
    x, other, y, W1, W2 = (
        dr.symbol(n, s)
        for n, s in (
            ("x", (3,)),
            ("x_hat", (3,)),
            ("y", ()),
            ("W_1", (4, 3)),
            ("W_2", (2, 4)),
        )
    )
    z, w = W2 @ nn.relu(W1 @ x), W2 @ nn.relu(W1 @ other)
    s = z @ w / (z.norm() * w.norm())
    return dr.derive(-y * s, wrt=[W1, W2], names={z: "z", w: "z_hat"})


def normalised() -> Derivation:
    """Batch normalisation and dropout in training."""
    model = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2)
    )
    return dr.derive(model, losses.CrossEntropy(), input_shape=(6, 3), mode="training")


def convolutional() -> Derivation:
    """A convolutional network."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 3),
    )
    return dr.derive(model, losses.CrossEntropy(), input_shape=(2, 8, 8, 1))


def residual() -> Derivation:
    """A skip connection: the paths add up."""
    x, y, W1, W2 = (
        dr.symbol(n, s)
        for n, s in (("x", (3,)), ("y", (3,)), ("W_1", (3, 3)), ("W_2", (3, 3)))
    )
    out = x + W2 @ nn.relu(W1 @ x)
    error = out - y
    return dr.derive(0.5 * (error * error).sum(), wrt=[W1, W2, x])


def attention() -> Derivation:
    """Causal attention with one head."""
    layer = nn.MultiHeadAttention(4, 1, bias=False, causal=True)
    x, target = dr.symbol("x", (5, 4)), dr.symbol("y", (5, 4))
    error = layer(x) - target
    return dr.derive(
        0.5 * (error * error).sum(),
        wrt=[tensor for _, tensor in layer.named_parameters()],
    )


def variational() -> Derivation:
    """A variational autoencoder: the gradient passes through the sample."""
    x, E, S, D, noise = (
        dr.symbol(n, s)
        for n, s in (
            ("x", (4,)),
            ("W_mu", (2, 4)),
            ("W_s", (2, 4)),
            ("W_d", (4, 2)),
            ("epsilon", (2,)),
        )
    )
    mu, s = E @ x, S @ x
    z = mu + dr.exp(0.5 * s) * noise
    error = D @ z - x
    loss = 0.5 * (error * error).sum() + 0.5 * (mu * mu + dr.exp(s) - s - 1).sum()
    return dr.derive(loss, wrt=[E, S, D], names={mu: "mu", s: "s", z: "z"})


GALLERY: tuple[Callable[[], Derivation], ...] = (
    gates,
    least_squares,
    weighted,
    classifier,
    batch,
    matrices,
    residual,
    siamese,
    normalised,
    convolutional,
    attention,
    variational,
)


NUMBERS = {
    "x": [1, 2, -1],
    "y": [1],
    "alpha": 1,
    "beta": 10,
    "W_1": [[1, -1, 0.5], [-0.5, 2, 1]],
    "b_1": [0.1, -0.2],
    "W_2": [[0.5, -1.5]],
    "b_2": [0.3],
}
HEAD = """# Derivations

Made by `python tools/derivations.py`; every page is proved when it is made. From the smallest to a convolutional
network, attention and a variational autoencoder. What the signs mean: `⊙` multiplies entry by entry, `𝟙(z > 0)` is 1
where the condition holds, `𝟙` alone a column of ones, `E_y` one-hot rows of labels, `W ⋆ x` a correlation with the
kernel W, `x[:, 1:2]` a part (counted from 1, the last included), `=: δ₁` names a derivative for the lines below it.
"""


def section(title: str, body: str, language: str = "text") -> str:
    """Return a section with a block of text."""
    return f"## {title}\n\n```{language}\n{body}\n```\n"


def answers() -> str:
    """Return graded answers about the second layer of the weighted network."""
    derivation = weighted()
    loss = Tensor(derivation.derived.loss)
    variables = {
        line.name: Tensor(line.node) for line in derivation.steps if line.wanted
    }
    written = [
        "δ₁xᵀ",
        r"\operatorname{diag}(\mathbb{1}(z_1 > 0)) W_2^\top \delta_2 x^\top",
        "x δ₁ᵀ",
        "W₂ᵀδ₂xᵀ",
        "-δ₁xᵀ",
    ]
    found = []
    for answer in written:
        verdict = grade(
            loss, variables["W_1"], answer, parameters=list(variables.values())
        )
        found.append(f"{answer}\n  {verdict}")
    return "\n".join(found)


def matrices_and_more() -> str:
    """Return derivatives that are no gradients of a scalar: a Jacobian, a Hessian, and slices by a matrix."""
    x, W, X, w, y = (
        dr.symbol(n, s)
        for n, s in (
            ("x", (3,)),
            ("W", (2, 3)),
            ("X", (5, 3)),
            ("w", (3,)),
            ("y", (5,)),
        )
    )
    share = nn.softmax(x)
    loss = losses.BinaryCrossEntropy(reduction="sum")(X @ w, y)
    found = [
        (
            "dr.derive_jacobian(S, x), S = softmax(x)",
            dr.derive_jacobian(share, x, names={share: "S"}),
        ),
        ("dr.derive_jacobian(relu(W @ x), x)", dr.derive_jacobian(nn.relu(W @ x), x)),
        (
            "dr.derive_hessian(loss, w), loss the binary cross-entropy of X @ w",
            dr.derive_hessian(loss, w),
        ),
        ("dr.derive_slices(W @ x, W)", dr.derive_slices(W @ x, W)),
        (
            "dr.derive_slices(W.T @ v, W)",
            dr.derive_slices(W.T @ dr.symbol("v", (2,)), W),
        ),
    ]
    texts = [
        re.sub(r"largest relative error.*", "every error below 10⁻⁶", f"{call}\n{one}")
        for call, one in found
    ]
    return "\n\n".join(texts)


def optimizers() -> str:
    """Write the steps of three optimisers, as they are run."""
    adam = dr.optimizer_steps("adam", [1.0, -2.0], [[1.0, 0.5], [0.0, -1.0]])
    nesterov = dr.optimizer_steps("nesterov_look_ahead", 1.0, [1.0])
    rate = optim.WarmUp(optim.CosineDecay(0.2, steps=100), steps=5)
    recipe = optim.EMA(inner=optim.Lion(learning_rate=rate, weight_decay=0.1))
    texts = [
        re.sub(r"largest relative error.*", "every error below 10⁻⁹", str(walk))
        for walk in (adam, nesterov, dr.optimizer_steps(recipe, 1.0, [1.0]))
    ]
    return "\n\n".join(texts)


def page() -> str:
    """Return the gallery."""
    parts = [HEAD]
    for make in GALLERY:
        text = re.sub(
            r"largest relative error.*",
            "every error below 10⁻⁶",
            str(make()),
            flags=re.DOTALL,
        )
        parts.append(section((make.__doc__ or "").rstrip("."), text))
    derivation = weighted()
    parts.append(
        section(
            "With the numbers of one example: `print(derivation.at(values))`",
            str(derivation.at(NUMBERS)),
        )
    )
    parts.append(
        section(
            "In components: `print(derivation.components())`", derivation.components()
        )
    )
    parts.append(section("Answers, graded", answers()))
    parts.append(
        section(
            "Not a gradient but a matrix, or more: Jacobian, Hessian, slices of a 3-tensor",
            matrices_and_more(),
        )
    )
    parts.append(section("The steps of an optimiser", optimizers()))
    for identity in (dr.derive_identity(name) for name in IDENTITIES):
        text = re.sub(
            r"largest relative error.*", "every error below 10⁻⁹", str(identity)
        )
        parts.append(section(f"Not a gradient: {identity.title}", text))
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
