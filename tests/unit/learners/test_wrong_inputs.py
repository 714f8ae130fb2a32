"""What is refused, and in which words: one error a mistake, which names the parameter and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from deltarule import learners as of
from deltarule.errors import ArgumentError, DataError, ShapeError

X = np.random.default_rng(0).normal(size=(30, 3))
LABELS, SIGNS, NUMBERS = np.arange(30) % 3, np.arange(30) % 2, X[:, 0]
MIXED = np.array([1, "a"] * 15, object)
QUICK: dict[str, Any] = {"device": "reference", "epochs": 1}

PARAMETERS: list[tuple[Any, Any, str]] = [
    (
        of.MLPClassifier(epochs=1.5),
        LABELS,
        "MLPClassifier epochs: expected a whole number ≥ 1, got 1.5",
    ),
    (
        of.MLPClassifier(batch_size=2.5),
        LABELS,
        "batch_size: expected a whole number ≥ 1",
    ),
    (of.MLPClassifier(alpha="x"), LABELS, "alpha: expected a number ≥ 0"),
    (
        of.MLPClassifier(threads=0),
        LABELS,
        "threads: expected a whole number ≥ 1 or None",
    ),
    (
        of.MLPClassifier(regularizers=["l2"]),
        LABELS,
        r"regularizers: expected objects such as losses.L1",
    ),
    (
        of.MLPClassifier(class_weight="balance"),
        LABELS,
        "class_weight: expected None, 'balanced' or {class: weight}",
    ),
    (
        of.LogisticRegression(class_weight={0: -3.0, 1: 1.0}),
        SIGNS,
        "class_weight: expected finite weights ≥ 0, got {0: -3",
    ),
    (
        of.LogisticRegression(class_weight={0: np.nan}),
        SIGNS,
        "class_weight: expected finite weights ≥ 0, got {0: nan}",
    ),
    (
        of.LinearSVM(class_weight={2: "a"}),
        LABELS,
        "class_weight: expected finite weights ≥ 0, got {2: 'a'}",
    ),
    (
        of.Adaline(class_weight={1: np.inf}),
        SIGNS,
        "class_weight: expected finite weights ≥ 0, got {1: inf}",
    ),
    (
        of.Perceptron(class_weight=[1, 2]),
        SIGNS,
        "class_weight: expected None, 'balanced' or {class: weight}",
    ),
    (
        of.MLPClassifier(class_weight={0: -3.0}),
        LABELS,
        "class_weight: expected finite weights ≥ 0",
    ),
    (
        of.LinearSVM(learning_rate=np.inf),
        LABELS,
        "LinearSVM learning_rate: expected a number > 0 or None, got inf",
    ),
    (of.Ridge(alpha=np.inf), NUMBERS, "Ridge alpha: expected a number ≥ 0, got inf"),
    (of.Lasso(alpha=np.inf), NUMBERS, "Lasso alpha: expected a number ≥ 0, got inf"),
    (
        of.NetworkClassifier(3),
        LABELS,
        "NetworkClassifier module: expected a Module, or a function",
    ),
    (of.AutoencoderTransformer(1.5), None, "n_components: expected a whole number"),
    (
        of.MLPClassifier(dropout="a"),
        LABELS,
        r"MLPClassifier dropout: expected a probability in \[0, 1\), got 'a'",
    ),
    (
        of.MLPClassifier(callbacks=3),
        LABELS,
        r"callbacks: expected objects such as train.EarlyStopping\(\), in a list",
    ),
    (
        of.MLPClassifier(callbacks=[of.Snapshots]),
        LABELS,
        "callbacks: expected objects such as .*, got <class",
    ),
    (
        of.MLPClassifier(regularizers=3),
        LABELS,
        "regularizers: expected objects such as .* in a list, got 3",
    ),
    (
        of.MLPRegressor(early_stopping=True, validation_fraction="a"),
        NUMBERS,
        "fraction: expected a number in .0, 1.",
    ),
    (
        of.MLPRegressor(early_stopping=True, monitor=3),
        NUMBERS,
        "MLPRegressor monitor: expected the name of a value",
    ),
    (
        of.MLPRegressor(early_stopping="no"),
        NUMBERS,
        "MLPRegressor early_stopping: expected True or False, got 'no'",
    ),
    (
        of.MLPRegressor(warm_start="no"),
        NUMBERS,
        "MLPRegressor warm_start: expected True or False, got 'no'",
    ),
    (
        of.MLPRegressor(shuffle="no"),
        NUMBERS,
        "MLPRegressor shuffle: expected True or False, got 'no'",
    ),
    (
        of.NetworkSearchCV(return_train_score="no"),
        LABELS,
        "return_train_score: expected True or False, got 'no'",
    ),
    (
        of.MLPRegressor(verbose="x"),
        NUMBERS,
        "MLPRegressor verbose: expected 0 .silent., 1 .* or 2, got 'x'",
    ),
    (
        of.MLPRegressor(batch_norm="yes"),
        NUMBERS,
        "MLPRegressor batch_norm: expected True or False, got 'yes'",
    ),
    (
        of.MLPRegressor(activation=[]),
        NUMBERS,
        r"MLPRegressor activation: expected one of .*, got \[\]",
    ),
    (
        of.MLPRegressor(loss=lambda outputs, targets: 3),
        NUMBERS,
        "loss <lambda>: expected a tensor with .*, got 3",
    ),
    (
        of.CNNClassifier(image_shape="ab"),
        LABELS,
        "CNNClassifier image_shape: expected whole numbers ≥ 1, got 'ab'",
    ),
    (
        of.CNNClassifier(kernel_size=(3, 3)),
        LABELS,
        r"kernel_size: expected a whole number ≥ 1, got \(3, 3\)",
    ),
    (
        of.CNNClassifier(batch_norm="yes"),
        LABELS,
        "CNNClassifier batch_norm: expected True or False, got 'yes'",
    ),
    (
        of.AutoencoderTransformer(corruption="a"),
        None,
        r"corruption: expected a probability in \[0, 1\), got 'a'",
    ),
    (
        of.MLPClassifier(class_weight={0: 2.0}),
        np.eye(30, 2, dtype=int),
        "None, 'balanced' or a list of 2 dicts",
    ),
    (
        of.MLPClassifier(class_weight=[{0: 2.0}]),
        np.eye(30, 2, dtype=int),
        "a list of 2 dicts .*, got .*0: 2.0",
    ),
    (
        of.MLPClassifier(class_weight=[{2: 1}] * 2),
        np.eye(30, 2, dtype=int),
        "a list of 2 dicts .*one per label",
    ),
    (of.Lasso(max_iter=0), NUMBERS, "Lasso max_iter"),
    (of.Ridge(alpha="a"), NUMBERS, "Ridge alpha: expected a number ≥ 0, got 'a'"),
    (
        of.Perceptron(max_iter=2.5),
        SIGNS,
        "Perceptron max_iter: expected a whole number",
    ),
    (
        of.Perceptron(learning_rate=0),
        SIGNS,
        "Perceptron learning_rate: expected a number > 0",
    ),
    (
        of.LogisticRegression(solver="delta", batch_size=1.5),
        SIGNS,
        "LogisticRegression batch_size",
    ),
    (
        of.SoftmaxRegression(solver="sgd"),
        LABELS,
        "SoftmaxRegression solver: expected 'newton' or 'delta'",
    ),
    (
        of.LinearSVM(loss="x"),
        LABELS,
        "LinearSVM loss: expected 'hinge' or 'squared_hinge'",
    ),
    (
        of.BernoulliNaiveBayes(threshold="a"),
        LABELS,
        "BernoulliNaiveBayes threshold: expected a number",
    ),
    (
        of.GaussianClassifier(regularization=2),
        LABELS,
        r"regularization: expected a number in \[0, 1\]",
    ),
    (
        of.KNNClassifier(2.5),
        LABELS,
        "n_neighbors: expected a whole number ≥ 1, got 2.5",
    ),
    (
        of.KNNClassifier(metric="euclid"),
        LABELS,
        "metric: expected a callable or one of euclidean",
    ),
    (of.PCA(1.5), None, "PCA n_components: expected a whole number"),
    (
        of.PCA(solver="randomized", n_iter=-1),
        None,
        "PCA n_iter: expected a whole number ≥ 0",
    ),
    (of.FastICA(tol=0), None, "FastICA tol: expected a number > 0"),
    (of.TSNE(2.5), None, "TSNE n_components: expected a whole number"),
    (of.UMAP(n_neighbors=2.5), None, "UMAP n_neighbors: expected a whole number ≥ 2"),
    (of.UMAP(spread=-1), None, "UMAP spread: expected a number > 0"),
    (of.UMAP(learning_rate=-1), None, "UMAP learning_rate: expected a number > 0"),
    (
        of.ParametricUMAP(min_dist=3),
        None,
        r"ParametricUMAP min_dist: expected a number in \[0, spread\]",
    ),
    (
        of.BaggingClassifier(3),
        LABELS,
        "BaggingClassifier estimator: expected an estimator",
    ),
    (of.BaggingRegressor(n_estimators=0), NUMBERS, "BaggingRegressor n_estimators"),
]


@pytest.mark.parametrize(
    ("learner", "y", "message"), PARAMETERS, ids=lambda value: str(value)[:40]
)
def test_wrong_parameters_name_themselves(learner: Any, y: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        learner.fit(X, y)


CALLS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: of.MLPClassifier(**QUICK).fit(X, LABELS, validation_data=X),
        ArgumentError,
        r"a pair \(X, y\)",
    ),
    (
        lambda: of.MLPRegressor(**QUICK).fit(X, NUMBERS, validation_data=X),
        ArgumentError,
        r"a pair \(X, y\)",
    ),
    (
        lambda: of.MLPClassifier(**QUICK).fit(X, NUMBERS),
        ValueError,
        "Unknown label type",
    ),
    (
        lambda: of.Perceptron().fit(X, MIXED),
        DataError,
        "Perceptron y: expected labels of one type, .* got int and str",
    ),
    (
        lambda: of.KNNClassifier().fit(X, MIXED[::-1]),
        DataError,
        r"KNNClassifier y: .*\n.*np\.asarray",
    ),
    (
        lambda: of.MLPClassifier(**QUICK).fit(X, MIXED),
        DataError,
        "MLPClassifier y: expected labels of one type",
    ),
    (
        lambda: of.BaggingClassifier().fit(X, MIXED),
        DataError,
        "BaggingClassifier y: expected labels of one type",
    ),
    (
        lambda: of.LinearSVM().partial_fit(X, SIGNS, classes=MIXED[:2]),
        DataError,
        "LinearSVM y: expected labels",
    ),
    (
        lambda: of.MLPClassifier(**QUICK).partial_fit(X, MIXED, classes=[0, 1]),
        DataError,
        "MLPClassifier y: expected",
    ),
    (
        lambda: of.MLPClassifier(class_weight={0: -3.0}, **QUICK).partial_fit(
            X, SIGNS, [0, 1]
        ),
        ArgumentError,
        "finite w",
    ),
    (
        lambda: of.Adaline(class_weight={0: -3.0}).partial_fit(X, SIGNS, [0, 1]),
        ArgumentError,
        "got {0: -3.0}",
    ),
    (
        lambda: of.GaussianNaiveBayes().fit(X, np.array([None, "a"] * 15)),
        DataError,
        "got NoneType and str",
    ),
    (
        lambda: of.MLPClassifier(**QUICK).fit(X, LABELS, sample_weight=-np.ones(30)),
        ValueError,
        "Negative values",
    ),
    (lambda: of.MLPClassifier(**QUICK).predict(X), NotFittedError, "not fitted yet"),
    (
        lambda: of.LinearRegression(solver="normal").fit(np.ones((5, 2)), NUMBERS[:5]),
        DataError,
        "'auto' or 'svd'",
    ),
    (
        lambda: of.Perceptron(shuffle=True, random_state="a").fit(X, SIGNS),
        ValueError,
        "cannot be used to seed",
    ),
    (lambda: of.GaussianClassifier().sample(3), NotFittedError, "not fitted yet"),
    (
        lambda: of.GaussianClassifier().fit(X, LABELS).sample(-1),
        ArgumentError,
        "sample n: expected a whole number",
    ),
    (lambda: of.MultinomialNaiveBayes().fit(X, LABELS), ValueError, "Negative values"),
    (
        lambda: of.KNNClassifier(31).fit(X, LABELS).predict(X),
        ArgumentError,
        "a whole number from 1 to 30, got 31",
    ),
    (
        lambda: of.KNNClassifier(30).fit(X, LABELS).kneighbors(),
        ArgumentError,
        "a whole number from 1 to 29, got 30",
    ),
    (
        lambda: of.KNNClassifier(weights=np.sum).fit(X, LABELS).predict(X),
        DataError,
        "KNNClassifier weights: expected",
    ),
    (
        lambda: of.KNNRegressor(weights=np.negative).fit(X, NUMBERS).predict(X),
        DataError,
        "weights: expected finite nu",
    ),
    (
        lambda: of.KNNClassifier(metric=lambda a, b: a - b).fit(X, LABELS).predict(X),
        DataError,
        "a number for two",
    ),
    (
        lambda: of.KNNClassifier(metric=lambda a, b: np.nan).fit(X, LABELS).predict(X),
        DataError,
        "got nan",
    ),
    (
        lambda: of.PCA(2).fit(X).inverse_transform(X),
        ShapeError,
        r"PCA.inverse_transform: expected \(N, 2\)",
    ),
    (
        lambda: of.FastICA(2).fit(X).inverse_transform(X),
        ShapeError,
        "FastICA.inverse_transform",
    ),
    (lambda: of.PCA(9).fit(X), ValueError, "between 1 and min"),
    (lambda: of.UMAP().transform(X), NotFittedError, "not fitted yet"),
    (
        lambda: of.average_proba([of.KNNClassifier().fit(X, LABELS)], X, [1, 2]),
        ArgumentError,
        "1 numbers with a positive sum",
    ),
    (
        lambda: of.average_proba([3], X),
        ArgumentError,
        "average_proba models: expected fitted classifiers and modules",
    ),
    (
        lambda: of.average_proba(3, X),
        ArgumentError,
        "expected a list of at least one classifier, got 3",
    ),
    (
        lambda: of.MLPRegressor(shuffle="no").partial_fit(X, NUMBERS),
        ArgumentError,
        "shuffle: expected True or False",
    ),
    (lambda: of.majority([]), DataError, r"predictions \(models, N\)"),
    (lambda: of.bootstrap(0, np.random.default_rng(0)), ArgumentError, "bootstrap n"),
    (lambda: of.smote(X, SIGNS, n_neighbors=0), ArgumentError, "smote n_neighbors"),
    (
        lambda: of.marginal([[0.5, 0.5]], axis=4),
        ArgumentError,
        "an axis of a table with 2 axes, got 4",
    ),
    (
        lambda: of.conditional([[0.5, 0.5]], given=4),
        ArgumentError,
        "an axis of a table",
    ),
    (
        lambda: of.validation_curve(of.KNNClassifier(), X, LABELS, "n_neighbors", []),
        ArgumentError,
        "at least one",
    ),
    (lambda: of.find_leaks(X, X[:, :2]), DataError, "3 features in both, got 2"),
]


@pytest.mark.parametrize(("call", "kind", "message"), CALLS, ids=range(len(CALLS)))
def test_wrong_calls_say_what_was_expected(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_examples_without_weight_are_absent_for_the_perceptron() -> None:
    labels = (X @ [1.0, 2.0, -1.0] > 0).astype(int)
    alone = of.Perceptron(class_weight={0: 0.0}).fit(X, labels)
    assert alone.converged_ and (labels[alone.mistake_log_[:, 1]] == 1).all()
    assert alone.n_mistakes_ <= alone.mistake_bound_
