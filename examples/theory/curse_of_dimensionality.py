"""In many dimensions all points are equally far away, and pixels are a poor measure of likeness.

The contrast (farthest − nearest) / nearest of 1000 uniform points, seen from a random point, falls to nothing. A bar
shifted by one pixel is farther from itself than a grey square is.
"""

from pathlib import Path

import numpy as np

from deltarule.learners import KNNClassifier
from deltarule.render.svg import Series, line_chart

random = np.random.default_rng(0)
dimensions = [1, 2, 5, 10, 30, 100, 300, 1000]
contrasts = []
for d in dimensions:
    points, queries = random.random((1000, d)), random.random((20, d))
    nearest = (
        KNNClassifier(1000).fit(points, np.arange(1000) % 2).kneighbors(queries)[0]
    )
    contrasts.append(float(np.median(nearest[:, -1] / nearest[:, 0] - 1)))
for d, contrast in zip(dimensions, contrasts, strict=True):
    print(f"d = {d:<4}  contrast {contrast:.3g}")
bar, shifted = np.zeros((5, 5)), np.zeros((5, 5))
bar[:, 1], shifted[:, 2] = 1.0, 1.0
moved, grey = np.linalg.norm(bar - shifted), np.linalg.norm(bar - 0.2)
print(
    f"a bar is {moved:.3f} from itself one pixel to the right, and {grey:.1f} from a grey square"
)
chart = line_chart(
    [Series("contrast", np.log10(dimensions).tolist(), contrasts)],
    "Distances lose their contrast",
    "log₁₀ of the dimension",
    "(farthest − nearest) / nearest",
    log_y=True,
)
Path("curse_of_dimensionality.svg").write_text(chart, "utf-8")
