"""A network with a skip path, written as a class; its layers are found by attribute, and some are frozen."""

import numpy as np

import deltarule as dr
from deltarule import nn, optim


class Residual(nn.Module):
    """ŷ = v'(h + tanh(Wh + b)) + c with h = tanh(Ux + d)."""

    def __init__(self, width: int) -> None:
        self.encoder = nn.Linear(1, width)
        self.inner = nn.Linear(width, width)
        self.head = nn.Linear(width, 1)

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        """Return the prediction for a batch (N, 1)."""
        h = nn.tanh(self.encoder(x))
        return self.head(h + nn.tanh(self.inner(h)))


X = np.linspace(-3, 3, 200, dtype=np.float32)[:, None]
model = Residual(width=16)
print([name for name, _ in model.named_parameters()])

history = model.fit(
    X,
    np.sin(2 * X),
    loss="mean_squared_error",
    optimizer=optim.Adam(learning_rate=0.01),
    epochs=60,
    batch_size=50,
    verbose=0,
)
print(f"loss {history['loss'][0]:.3f} → {history['loss'][-1]:.4f}")

model.freeze("encoder", "inner")
print("still learned:", [name for name, _ in model.named_parameters()])
