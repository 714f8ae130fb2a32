"""One hidden layer approximates any continuous function, unless its activation is a polynomial.

Hinges that are set by hand interpolate x² on n pieces with the error 1/(4n²); three sigmoids make x² as the second
difference (σ(1 + hx) − 2σ(1) + σ(1 − hx)) / (h²σ″(1)). Networks of growing width, trained side
by side, come closer and closer to a wave; with squares as activation no width helps: the network stays a parabola,
and no parabola comes nearer to x³ than 1/4.
"""

from pathlib import Path

import numpy as np

from deltarule import nn, optim, train
from deltarule.render.svg import Series, line_chart
from deltarule.tensor.tensor import Tensor

grid = np.linspace(0.0, 1.0, 4097)[:, None]
for n in (4, 8, 16):
    hinges = nn.Sequential(nn.Linear(1, n), nn.ReLU(), nn.Linear(n, 1)).astype(
        "float64"
    )
    slopes = np.diff((np.arange(n + 1) / n) ** 2) * n
    hinges[0].weight.assign(np.ones((n, 1)))
    hinges[0].bias.assign(-np.arange(n) / n)
    hinges[2].weight.assign(np.diff(slopes, prepend=0.0)[None])
    error = np.abs(hinges.predict(grid) - grid**2).max()
    print(f"{n} hinges miss x² by {error:.7f} = 1/{1 / error:.0f}")

h, s = 0.01, 1 / (1 + np.exp(-1.0))
sigmoids = nn.Sequential(
    nn.Linear(1, 3), nn.Sigmoid(), nn.Linear(3, 1, bias=False)
).astype("float64")
sigmoids[0].weight.assign([[h], [0.0], [-h]])
sigmoids[0].bias.assign(np.ones(3))
sigmoids[2].weight.assign(
    np.array([[1.0, -2.0, 1.0]]) / (h**2 * s * (1 - s) * (1 - 2 * s))
)
print(
    "three sigmoids at 0.5, 1, 2:",
    " ".join(f"{v:.7f}" for v in sigmoids.predict([[0.5], [1.0], [2.0]])[:, 0]),
)

widths = [1, 2, 4, 8, 16, 32]
x = np.linspace(-1.0, 1.0, 256)[:, None].astype(np.float32)
wave = np.sin(np.pi * x)
models = [
    nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))
    for width in widths
    for _ in range(4)
]
for seed, model in enumerate(models):
    model.initialize(seed)
falling = optim.Adam(learning_rate=optim.ExponentialDecay(0.03, decay=0.5, every=1000))
train.fit_many(
    models,
    x,
    wave,
    loss="mean_squared_error",
    optimizer=falling,
    batch_size=16,
    epochs=400,
)
largest = [float(np.abs(model.predict(x) - wave).max()) for model in models]
errors = np.array(largest).reshape(len(widths), 4).min(axis=1)
print(
    "width "
    + ", ".join(
        f"{width}: {error:.3f}" for width, error in zip(widths, errors, strict=True)
    )
)


class Square(nn.Module):
    """The activation z²."""

    def forward(self, z: Tensor) -> Tensor:
        """Return the square."""
        return z * z


cube = x**3
squares = nn.Sequential(nn.Linear(1, 64), Square(), nn.Linear(64, 1))
squares.initialize(0)
squares.fit(
    x,
    cube,
    loss="mean_squared_error",
    optimizer=optim.Adam(learning_rate=0.01),
    epochs=200,
    verbose=0,
)
print(
    f"64 squares miss x³ by {np.abs(squares.predict(x) - cube).max():.3f}, which is at least 1/4"
)
chart = line_chart(
    [Series("largest error", widths, errors.tolist())],
    "Wider is closer",
    "hidden units",
    "",
    log_y=True,
)
Path("universal_approximation.svg").write_text(chart, "utf-8")
