"""Bias, variance and noise: polynomials through 12 noisy points of a sine, their expected errors taken apart.

The expected squared error of a fit at the training points, for new noise, is Σσ² + Σbias² + Σvariance. For a linear
fit ŷ = Hy all three are known: bias = (I − H)f, variance = σ²·diag(HHᵀ). The same is counted on 20,000 data sets.
"""

from pathlib import Path

import numpy as np

from deltarule.render.svg import Series, line_chart

sigma, x = 0.3, np.linspace(0.0, 3.0, 12)
truth = np.sin(x)
degrees = range(9)
parts = []
for degree in degrees:
    columns = np.vander(x / 3.0, degree + 1)
    hat = columns @ np.linalg.pinv(columns)
    parts.append(
        (12 * sigma**2, ((truth - hat @ truth) ** 2).sum(), sigma**2 * (hat**2).sum())
    )
noise, bias, variance = (np.array(part) for part in zip(*parts, strict=True))
total = noise + bias + variance

random = np.random.default_rng(0)
straight = np.vander(x, 2) @ np.linalg.pinv(np.vander(x, 2))
seen = truth + sigma * random.normal(size=(20_000, 12))
new = truth + sigma * random.normal(size=(20_000, 12))
counted = ((new - seen @ straight.T) ** 2).sum(axis=1).mean()
print(
    f"straight line: noise {noise[1]:.2f} + bias² {bias[1]:.4f} + variance {variance[1]:.2f} = {total[1]:.4f}"
)
print(f"counted on 20,000 data sets: {counted:.3f}")
print(f"least expected error: degree {total.argmin()}")
curves = [("error", total), ("noise", noise), ("bias²", bias), ("variance", variance)]
series = [Series(name, list(degrees), list(values)) for name, values in curves]
Path("bias_variance.svg").write_text(
    line_chart(
        series,
        "Bias falls, variance grows",
        "degree of the polynomial",
        "squared error of 12 points",
    ),
    "utf-8",
)
