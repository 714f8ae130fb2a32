"""The first weights do two things: they break the symmetry of units, and they keep signals alive through depth.

Equal units have equal gradients and stay equal for ever. Through ten ReLU layers, Var z grows by ½·n·Var w a layer:
He's 2/n keeps it, small weights lose the signal, large ones blow it up.
"""

from pathlib import Path

import numpy as np

from deltarule import nn, train
from deltarule.render.svg import Series, line_chart

random = np.random.default_rng(0)
x, y = (
    random.normal(size=(200, 4)).astype(np.float32),
    random.integers(0, 2, (200, 1)).astype(np.float32),
)
for name, spread in (("equal", 0.0), ("random", 0.5)):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    for layer in (model[0], model[2]):
        layer.weight.assign(0.1 + spread * random.normal(size=layer.weight.shape))
    train.fit(model, x, y, loss="binary_cross_entropy", epochs=20, verbose=0)
    rows = model[0].weight.numpy()
    different = len({row.tobytes() for row in rows.round(4)})
    print(
        f"{name} first weights: {different} different hidden units of 8 after training"
    )

n, depth, curves = 256, 10, []
signal = random.normal(size=(500, n))
for name, std in (
    ("0.01", 0.01),
    ("Xavier", np.sqrt(1 / n)),
    ("He", np.sqrt(2 / n)),
    ("0.25", 0.25),
):
    net = nn.Sequential(
        *(layer for _ in range(depth) for layer in (nn.Linear(n, n), nn.ReLU()))
    ).astype("float64")
    for layer in list(net)[::2]:
        layer.weight.assign(std * random.normal(size=(n, n)))
    seen = net.hidden_features(signal)
    sizes = [
        float(np.sqrt((seen[str(2 * i + 1)].numpy() ** 2).mean())) for i in range(depth)
    ]
    curves.append(Series(name, list(range(1, depth + 1)), sizes))
    print(
        f"{name}: root mean square {sizes[-1]:.2e} after {depth} layers, {sizes[-1] / sizes[0]:.2e} of the first"
    )
chart = line_chart(
    curves, "Signals through depth", "layer", "root mean square", log_y=True
)
Path("initialisation.svg").write_text(chart, "utf-8")
