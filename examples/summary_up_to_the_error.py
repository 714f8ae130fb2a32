"""A summary with its arithmetic; where shapes do not fit, it ends at the fault and says what would fit."""

from deltarule import nn

layers = [
    nn.Conv2d(3, 8, kernel_size=5),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(8, 16, kernel_size=5),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
]
print(nn.Sequential(*layers, nn.Linear(120, 84)).summary(input_shape=(32, 32, 3)))
print(
    nn.Sequential(*layers, nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 10)).summary(
        input_shape=(32, 32, 3)
    )
)
