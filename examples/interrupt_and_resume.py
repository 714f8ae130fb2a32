"""A run that stops half-way and goes on from its checkpoint gives the same bits as one that never stopped."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from deltarule import data, nn, optim

wine = data.load("wine")


def run(epochs: int, **options: Any) -> dict[str, np.ndarray]:
    """Train a fresh network (dropout and all) and return its weights."""
    scale = nn.Standardize(13).learn(wine.inputs)
    model = nn.Sequential(
        scale, nn.Linear(13, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3), seed=1
    )
    model.fit(
        wine.inputs,
        wine.targets,
        loss="cross_entropy",
        optimizer=optim.Adam(learning_rate=0.01),
        epochs=epochs,
        seed=5,
        verbose=0,
        **options,
    )
    return model.state_dict()


with TemporaryDirectory() as folder:
    path = Path(folder) / "run.dr"
    whole = run(epochs=10)
    run(epochs=4, checkpoint=path)
    resumed = run(epochs=10, checkpoint=path, resume=True)
print(
    "equal to the bit:",
    all(np.array_equal(whole[name], resumed[name]) for name in whole),
)
