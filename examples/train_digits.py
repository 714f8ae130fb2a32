"""A convolutional network on handwritten digits, from data to a saved model, in Python."""

from pathlib import Path
from tempfile import TemporaryDirectory

import deltarule as dr
from deltarule import data, nn, optim, train

digits = data.load("digits")  # 1,797 images, 8×8×1
rows = data.split(
    digits.n_samples, validation=0.1, test=0.2, seed=0, stratify=digits.targets
)
X, y = digits.inputs, digits.targets

model = nn.Sequential(
    nn.Standardize(1).learn(X[rows.train]),
    nn.Conv2d(1, 16, kernel_size=3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Dropout(0.2),
    nn.Linear(256, 10),
)
print(model.summary(input_shape=(8, 8, 1)))

history = model.fit(
    X[rows.train],
    y[rows.train],
    loss="cross_entropy",
    optimizer=optim.Adam(learning_rate=3e-3),
    epochs=8,
    batch_size=32,
    metrics=["accuracy"],
    validation_data=(X[rows.validation], y[rows.validation]),
    callbacks=[train.EarlyStopping("val_loss", patience=3)],
    seed=0,
)
score = model.evaluate(X[rows.test], y[rows.test], metrics=["accuracy"])
print(f"test accuracy {score['accuracy']:.3f} after {len(history.epochs)} epochs")

with TemporaryDirectory() as folder:
    model.save(Path(folder) / "digits.dr")
    same = dr.load(Path(folder) / "digits.dr")
print(
    "first test digit:",
    same.predict_proba(X[rows.test][:1]).argmax(),
    "– true:",
    y[rows.test][0],
)
