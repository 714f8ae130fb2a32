"""Ninety networks trained side by side: a search over learning rates, penalties and folds, then seeds with own ends."""

import time

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.preprocessing import StandardScaler

from deltarule import nn, train
from deltarule.learners import MLPClassifier, NetworkSearchCV

x, y = load_breast_cancer(return_X_y=True)
raw_train, raw_test, y_train, y_test = map(
    np.asarray, train_test_split(x, y, test_size=0.3, stratify=y, random_state=0)
)
scaler = StandardScaler().fit(raw_train)
x_train, x_test = (
    np.asarray(scaler.transform(part), np.float32) for part in (raw_train, raw_test)
)

# Fifteen candidates, six folds: ninety fits of 30-64-64-1 in one program.
learner = MLPClassifier(
    (64, 64), loss="binary_cross_entropy", batch_size=32, epochs=20, random_state=0
)
grid = {"learning_rate": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2], "alpha": [0.0, 1e-3, 1e-2]}
start = time.perf_counter()
search = NetworkSearchCV(
    learner, grid, cv=StratifiedKFold(6), scoring="neg_log_loss"
).fit(x_train, y_train)
seconds = time.perf_counter() - start
print(f"{90 / seconds:.0f} fits a second, with scoring and the last fit on all rows")
means = search.cv_results_["mean_test_score"].reshape(
    3, 5
)  # the grid's last name is the fastest
for alpha, row in zip(grid["alpha"], means, strict=True):
    print(f"alpha {alpha:<6g}" + "".join(f"{-value:8.4f}" for value in row))
best = search.best_params_
print(
    f"best: learning rate {best['learning_rate']:g}, alpha {best['alpha']:g};", end=" "
)
print(f"test accuracy {search.best_estimator_.score(x_test, y_test):.3f}")

# The same with modules: sixteen starts, each stopped by itself and left with its own best weights.
models = [
    nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 1)) for _ in range(16)
]
rows = [np.random.default_rng(seed).permutation(len(x_train)) for seed in range(16)]
histories = train.fit_many(
    models,
    x_train,
    y_train[:, None].astype(np.float32),
    loss="binary_cross_entropy",
    learning_rate=3e-3,
    seed=range(16),
    epochs=200,
    callbacks=[train.EarlyStopping(patience=5)],
    train_rows=[own[80:] for own in rows],
    validation_rows=[own[:80] for own in rows],
)
print("stopped after", sorted(len(history.epochs) for history in histories), "epochs")
probabilities = [1 / (1 + np.exp(-model.predict(x_test)[:, 0])) for model in models]
each = np.mean([(p > 0.5) == y_test for p in probabilities])
joint = ((np.mean(probabilities, axis=0) > 0.5) == y_test).mean()
print(f"one network {each:.3f}, sixteen averaged {joint:.3f} of the test rows right")
