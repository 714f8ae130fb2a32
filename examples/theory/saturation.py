"""A wrong and certain output: squared error gives it no gradient, cross-entropy the whole error.

With ŷ = σ(z) and y = 1, ∂½(ŷ − y)²/∂z = (ŷ − 1)ŷ(1 − ŷ) vanishes as z → −∞; ∂(−ln ŷ)/∂z = ŷ − 1 → −1. Through n
sigmoid layers a gradient loses at least the factor 0.25ⁿ.
"""

from pathlib import Path

import numpy as np

import deltarule as dr
from deltarule import nn, train
from deltarule.render.svg import Series, line_chart

z = np.linspace(-12.0, 4.0, 65)
sigmoid = 1 / (1 + np.exp(-z))
t = dr.tensor(z)
squared = dr.grad((0.5 * (nn.sigmoid(t) - 1.0) ** 2).sum(), t).numpy()
entropy = dr.grad(nn.softplus(-t).sum(), t).numpy()
place = int(np.argmin(np.abs(z + 10)))
print(
    f"at z = −10: squared error {squared[place]:.2e}, cross-entropy {entropy[place]:.5f}"
)
gaps = (squared - (sigmoid - 1) * sigmoid * (1 - sigmoid), entropy - (sigmoid - 1))
print(f"from the formulas: {max(np.abs(gap).max() for gap in gaps):.0e} at most")

losses = {}
for name in ("mean_squared_error", "binary_cross_entropy"):
    model = nn.Sequential(
        nn.Linear(1, 1), *([nn.Sigmoid()] if name == "mean_squared_error" else [])
    )
    model[0].weight.assign([[0.0]])
    model[0].bias.assign([-8.0])  # certain, and wrong
    train.fit(
        model,
        np.zeros((32, 1), np.float32),
        np.ones((32, 1), np.float32),
        loss=name,
        optimizer="sgd",
        epochs=500,
        verbose=0,
    )
    losses[name] = float(model[0].bias.numpy()[0])
print(
    f"after 500 steps from z = −8: squared error z = {losses['mean_squared_error']:.2f}, "
    f"cross-entropy z = {losses['binary_cross_entropy']:.2f}"
)

depths = [1, 5, 10, 20]
norms = []
for depth in depths:
    layers = [
        layer
        for _ in range(depth)
        for layer in (nn.Linear(16, 16, bias=False), nn.Sigmoid())
    ]
    net = nn.Sequential(*layers).astype("float64")
    for layer in list(net)[::2]:
        layer.weight.assign(np.eye(16))
    start = dr.tensor(np.zeros(16))
    slope = dr.grad(net(start).sum(), start).numpy()
    norms.append(float(np.abs(slope).max()))
print(
    "largest gradient after n sigmoids:",
    ", ".join(f"{n}: {v:.2e}" for n, v in zip(depths, norms, strict=True)),
)
print(
    "never more than 0.25ⁿ:",
    all(norm <= 0.25**depth for norm, depth in zip(norms, depths, strict=True)),
)
curves = [
    Series("squared error", z.tolist(), squared.tolist()),
    Series("cross-entropy", z.tolist(), entropy.tolist()),
]
chart = line_chart(curves, "Gradients of a wrong answer", "z", "∂L/∂z")
Path("saturation.svg").write_text(chart, "utf-8")
