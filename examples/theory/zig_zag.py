"""Two reasons to zig-zag: a valley that is steep across and flat along, and inputs that are all positive.

On ½(x² + 25y²) a rate that the steep direction just bears changes sides in y at every step; momentum with a smaller
rate changes sides less often and is much nearer after as many steps. A unit σ(wᵀh) with positive inputs h has a
gradient whose entries all have one sign, so w can move in few directions only.
"""

from pathlib import Path

import numpy as np

import deltarule as dr
from deltarule import optim
from deltarule.render.svg import Series, scatter


def path(optimizer: optim.Optimizer, steps: int = 40) -> np.ndarray:
    """Return the positions of a descent from (10, 1)."""
    place = dr.parameter(np.array([10.0, 1.0]))
    stepper = optim.Stepper(optimizer, [place])
    places = [place.numpy()]
    for _ in range(steps):
        (0.5 * (place[0] ** 2 + 25.0 * place[1] ** 2)).backward()
        stepper.step()
        places.append(place.numpy())
    return np.array(places)


plain = path(optim.SGD(learning_rate=0.076))
momentum = path(optim.SGD(learning_rate=0.03, momentum=0.7))
for name, places in (("plain", plain), ("momentum", momentum)):
    changes = int((np.sign(places[1:, 1]) != np.sign(places[:-1, 1])).sum())
    print(
        f"{name}: {changes} changes of sides in 40 steps, ends {np.linalg.norm(places[-1]):.4f} from the minimum"
    )

h = dr.tensor(np.array([0.2, 0.7, 0.5]))
w = dr.tensor(np.array([1.0, -2.0, 0.3]))
slope = dr.grad(1.0 / (1.0 + dr.exp(-(w * h).sum())), w).numpy()
print("gradient after positive inputs:", " ".join(f"{value:.10f}" for value in slope))
chart = scatter(
    [Series("plain", *plain.T.tolist()), Series("momentum", *momentum.T.tolist())],
    "Across and along",
)
Path("zig_zag.svg").write_text(chart, "utf-8")
