"""Places where the gradient is zero: a saddle that holds descent up, an inflection, a poor minimum, two valleys.

f = ½x² − ½y² + ¼y⁴ has a saddle at 0 and minima at y = ±1. Descent that starts a hair from the ridge leaves the saddle
at the rate (1 + η)ᵗ, so the time grows with the logarithm of the hair; momentum leaves several times as early. (x³ is
flat at 0 and has no saddle there: a curve has none.) On a curve with a sharp and a flat valley, noise in the gradient
leaves the sharp one; plain descent ends where it began.
"""

from pathlib import Path

import numpy as np

from deltarule import optim, parameter
from deltarule.render.svg import Series, line_chart


def steps_to_leave(optimizer: optim.Optimizer, start: float) -> tuple[int, list[float]]:
    """Return the steps until |y| > ½, and the values of f on the way."""
    place = parameter(np.array([1.0, start]))
    stepper, values = optim.Stepper(optimizer, [place]), []
    for step in range(2000):
        x, y = place[0], place[1]
        value = 0.5 * x**2 - 0.5 * y**2 + 0.25 * y**4
        values.append(value.item())
        if abs(place.numpy()[1]) > 0.5:
            return step, values
        value.backward()
        stepper.step()
    return 2000, values


curves = []
for name, optimizer in (
    ("plain", optim.SGD(learning_rate=0.05)),
    ("momentum", optim.SGD(learning_rate=0.05, momentum=0.9)),
):
    counts = [steps_to_leave(optimizer, start)[0] for start in (1e-2, 1e-4, 1e-6)]
    values = steps_to_leave(optimizer, 1e-6)[1]
    curves.append(Series(name, list(range(len(values))), values))
    print(
        f"{name}: {counts[0]}, {counts[1]}, {counts[2]} steps to leave the saddle from 10⁻², 10⁻⁴, 10⁻⁶"
    )

# A sharp valley of curvature 50 at −1 and a flat one of curvature 0.5 at 1, equally deep: min of both parabolas.
random = np.random.default_rng(0)
ends = {}
for noise in (0.0, 30.0):
    w = np.where(np.arange(1000) % 2 == 0, -1.0, 1.0) + 0.01 * random.normal(size=1000)
    for _ in range(400):
        sharp = 25.0 * (w + 1.0) ** 2 < 0.25 * (w - 1.0) ** 2
        w -= 0.02 * (
            np.where(sharp, 50.0 * (w + 1.0), 0.5 * (w - 1.0))
            + noise * random.normal(size=1000)
        )
    ends[noise] = float((25.0 * (w + 1.0) ** 2 >= 0.25 * (w - 1.0) ** 2).mean())
print(f"in the flat valley: {ends[0.0]:.2f} without noise, {ends[30.0]:.2f} with noise")
Path("saddle_points.svg").write_text(
    line_chart(curves, "Held up by a saddle", "step", "f"), "utf-8"
)
