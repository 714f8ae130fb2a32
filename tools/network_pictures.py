"""Write the pictures of networks of the documentation: ``python tools/network_pictures.py``."""

from __future__ import annotations

from pathlib import Path

from deltarule import Tensor, nn

FIGURES = Path(__file__).parents[1] / "docs" / "figures"


class Residual(nn.Module):
    """A convolution with a skip connection."""

    def __init__(self, channels: int) -> None:
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(x + conv(x))."""
        return self.activation(x + self.convolution(x))


def pictures() -> dict[str, str]:
    """Return the pictures by the names of their files."""
    dense = nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10), nn.Softmax())
    residual = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        Residual(8),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )
    return {
        "network-dense.svg": dense.summary((64,)).svg(),
        "network-residual.svg": residual.summary((8, 8, 1)).svg(),
    }


if __name__ == "__main__":
    for name, drawing in pictures().items():
        (FIGURES / name).write_text(drawing + "\n", encoding="utf-8")
