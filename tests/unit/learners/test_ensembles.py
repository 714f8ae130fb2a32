"""Ensembles and selection against scikit-learn, closed forms and the worked cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import model_selection
from sklearn.model_selection import (
    GroupShuffleSplit,
    ShuffleSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.svm import LinearSVC

from deltarule import data, nn, optim, train
from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.learners import (
    BaggingClassifier,
    BaggingRegressor,
    GaussianNaiveBayes,
    KNNClassifier,
    KNNRegressor,
    MLPClassifier,
    Ridge,
    Snapshots,
    average_proba,
    bootstrap,
    error_correlation,
    find_leaks,
    learning_curve,
    majority,
    oversampled,
    revealing_features,
    shared_groups,
    shared_rows,
    smote,
    undersampled,
    validation_curve,
)

IRIS = data.load("iris")
X, Y = np.asarray(IRIS.inputs, np.float64), IRIS.targets


@pytest.mark.notes("ENS-05", "C-ENS-02")
def test_share_of_distinct_rows_in_a_bootstrap_sample() -> None:
    random = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        drawn, left = bootstrap(1000, random)
        assert (
            len(drawn) == 1000
            and not set(drawn) & set(left)
            and len(set(drawn)) + len(left) == 1000
        )
        shares.append(len(set(drawn)) / 1000)
    assert np.mean(shares) == pytest.approx(1 - (1 - 1 / 1000) ** 1000, abs=2e-3)


@pytest.mark.notes("ENS-01", "ENS-04")
def test_bagging_averages_its_members_and_scores_out_of_bag() -> None:
    learner = BaggingClassifier(KNNClassifier(1), n_estimators=15, random_state=0).fit(
        X, Y
    )
    by_hand = np.mean(
        [member.predict_proba(X) for member in learner.estimators_], axis=0
    )
    np.testing.assert_allclose(learner.predict_proba(X), by_hand)
    votes, counts = np.zeros((150, 3)), np.zeros(150)
    for member, left in zip(learner.estimators_, learner.out_of_bag_, strict=True):
        votes[left] += member.predict_proba(X[left])
        counts[left] += 1
    assert counts.min() > 0
    assert learner.oob_score_ == pytest.approx((votes.argmax(axis=1) == Y).mean())
    assert (
        learner.score(X, Y) > learner.oob_score_ > 0.9
    )  # on its own data 1-NN is always right
    honest = cross_val_score(KNNClassifier(1), X, Y, cv=5).mean()
    assert learner.oob_score_ == pytest.approx(honest, abs=0.04)


@pytest.mark.notes("ENS-04", "REG-23")
def test_bagging_lowers_the_error_of_unstable_regressors() -> None:
    random = np.random.default_rng(0)
    x = random.uniform(0, 6, size=(300, 1))
    y = np.sin(x[:, 0]) + 0.5 * random.normal(size=300)
    at = np.linspace(0.3, 5.7, 100)[:, None]
    one, many = (
        KNNRegressor(1).fit(x, y),
        BaggingRegressor(KNNRegressor(1), n_estimators=40, random_state=0).fit(x, y),
    )
    errors = [
        np.mean((model.predict(at) - np.sin(at[:, 0])) ** 2) for model in (one, many)
    ]
    assert errors[1] < 0.65 * errors[0]
    np.testing.assert_allclose(
        many.predict(at), np.mean([m.predict(at) for m in many.estimators_], axis=0)
    )
    truth = model_selection.cross_val_score(many, x, y, cv=5).mean()
    assert many.oob_score_ == pytest.approx(truth, abs=0.12)


@pytest.mark.notes("ENS-02", "ENS-03", "C-ENS-01", "E000-11")
def test_error_of_an_average_by_correlation() -> None:
    random = np.random.default_rng(0)
    n, k = 200_000, 4
    for c, expected in ((0.0, 0.25), (0.5, 0.625)):
        errors = np.sqrt(c) * random.normal(size=n) + np.sqrt(1 - c) * random.normal(
            size=(k, n)
        )
        report = error_correlation(errors + 3.0, np.full(n, 3.0))
        assert report.ensemble == pytest.approx(expected, abs=0.01)
        assert report.ensemble == pytest.approx(
            (errors.mean(axis=0) ** 2).mean(), rel=1e-9
        )
        np.testing.assert_allclose(report.correlation, np.corrcoef(errors), atol=1e-9)
    assert "4 models: mean squared error" in str(report)
    cancelling = error_correlation([[1.0, -2.0], [-1.0, 2.0]], [0.0, 0.0])
    assert cancelling.covariance == -cancelling.variance and cancelling.ensemble == 0
    with pytest.raises(DataError, match="models, N"):
        error_correlation([1.0, 2.0], [1.0, 2.0])


@pytest.mark.notes("ENS-01")
def test_votes_and_averages_of_different_models() -> None:
    models = [
        GaussianNaiveBayes().fit(X, Y),
        KNNClassifier(5).fit(X, Y),
        LinearSVC().fit(X, Y),
    ]
    shares = average_proba(models, X, weights=[2, 1, 1])
    hard = np.eye(3)[models[2].predict(X)]
    np.testing.assert_allclose(
        shares,
        (2 * models[0].predict_proba(X) + models[1].predict_proba(X) + hard) / 4,
        atol=1e-12,
    )
    votes = majority([model.predict(X) for model in models])
    assert (votes == Y).mean() > 0.95
    partial = KNNClassifier(1).fit(X[:100], Y[:100])  # knows two of the classes
    assert average_proba([partial, models[1]], X[:1]).shape == (1, 3)
    with pytest.raises(ArgumentError, match="at least one"):
        average_proba([], X)


@pytest.mark.notes("ENS-01")
def test_snapshots_are_the_weights_at_the_ends_of_cycles() -> None:
    snapshots = Snapshots(5)
    scaled = (X - X.mean(0)) / X.std(0)
    learner = MLPClassifier(
        (8,),
        epochs=15,
        callbacks=[snapshots],
        optimizer=optim.Adam(learning_rate=0.02),
        learning_rate=None,
        random_state=0,
        device="reference",
    ).fit(scaled, Y)
    rates = learner.history_["learning_rate"]
    np.testing.assert_allclose(
        rates[:5], 0.01 * (1 + np.cos(np.pi * np.arange(5) / 5)), rtol=1e-6
    )
    np.testing.assert_allclose(rates[5:10], rates[:5])
    models = snapshots.models(learner.network_)
    assert len(models) == 3
    np.testing.assert_array_equal(
        models[-1].predict(scaled), learner.network_.predict(scaled)
    )
    assert not np.array_equal(models[0].predict(scaled), models[1].predict(scaled))
    alone = [(m.predict(scaled).argmax(axis=1) == Y).mean() for m in models]
    mean = np.mean([m.predict_proba(scaled, "cross_entropy") for m in models], axis=0)
    assert (mean.argmax(axis=1) == Y).mean() >= min(alone)
    with pytest.raises(ArgumentError, match="cycle_epochs"):
        Snapshots(0)


@pytest.mark.notes("ENS-01")
def test_snapshots_are_those_of_the_last_training_and_clones_have_their_own() -> None:
    snapshots = Snapshots(2)
    learner = MLPClassifier(
        (4,), epochs=4, callbacks=[snapshots], random_state=0, device="reference"
    ).fit(X, Y)
    first = snapshots.weights
    learner.fit(X, Y)
    assert len(first) == len(snapshots.weights) == 2
    folds = cross_validate(learner, X, Y, cv=3, return_estimator=True)["estimator"]
    assert snapshots.weights is not first and len(snapshots.weights) == 2
    np.testing.assert_array_equal(
        snapshots.weights[1]["0.weight"], first[1]["0.weight"]
    )
    for fold in folds:
        assert fold.callbacks[0] is not snapshots
        models = fold.callbacks[0].models(fold.network_)
        np.testing.assert_array_equal(models[-1].predict(X), fold.network_.predict(X))
        assert len(models) == 2


def test_snapshots_of_a_run_that_is_resumed_are_those_of_the_whole_run(
    tmp_path: Path,
) -> None:
    def trained(epochs: int, **options: Any) -> Snapshots:
        snapshots = Snapshots(2)
        model = nn.Sequential(nn.Linear(4, 3))
        model.initialize(0)
        train.fit(
            model,
            X,
            Y,
            loss="cross_entropy",
            epochs=epochs,
            callbacks=[snapshots],
            device="reference",
            verbose=0,
            checkpoint=tmp_path / "run.dr",
            **options,
        )
        return snapshots

    whole = trained(6).weights
    trained(3)
    resumed = trained(6, resume=True)
    assert len(resumed.weights) == len(whole) == 3
    for own, other in zip(resumed.weights, whole, strict=True):
        for name, values in other.items():
            np.testing.assert_array_equal(own[name], values)


@pytest.mark.notes("ENS-01")
def test_modules_take_part_in_averages_with_their_softmax() -> None:
    snapshots = Snapshots(3)
    learner = MLPClassifier(
        (8,), epochs=9, callbacks=[snapshots], random_state=0, device="reference"
    ).fit(X, Y)
    models = snapshots.models(learner.network_)
    expected = np.mean([softmax(model.predict(X), axis=1) for model in models], axis=0)
    np.testing.assert_allclose(average_proba(models, X.tolist()), expected, rtol=1e-6)
    np.testing.assert_allclose(
        average_proba(models[-1:], X), learner.predict_proba(X), rtol=1e-6
    )
    bayes = GaussianNaiveBayes().fit(X, Y)
    both = average_proba([bayes, models[-1]], X, [1, 3])
    np.testing.assert_allclose(
        both, (bayes.predict_proba(X) + 3 * learner.predict_proba(X)) / 4, rtol=1e-6
    )
    two = MLPClassifier(
        (4,), epochs=3, loss="binary_cross_entropy", random_state=0, device="reference"
    )
    two.fit(X, np.where(Y == 0, "a", "b"))
    np.testing.assert_allclose(
        average_proba([two.network_, two], X), two.predict_proba(X), rtol=1e-6
    )
    with pytest.raises(
        ShapeError,
        match=r"outputs of a module: expected \(N, 2\), one column per class.* \(150, 3\)",
    ):
        average_proba([two, models[0]], X)
    with pytest.raises(ShapeError, match="modules with equal numbers of outputs"):
        average_proba([two.network_, models[0]], X)
    for wrong in (3, GaussianNaiveBayes()):
        with pytest.raises(
            ArgumentError,
            match="average_proba models: expected fitted classifiers and modules, got",
        ):
            average_proba([wrong], X)


@pytest.mark.notes("DA-16", "DA-18")
def test_curves_are_scikit_learns_scores() -> None:
    folds = ShuffleSplit(4, test_size=0.3, random_state=0)
    curve = learning_curve(KNNClassifier(5), X, Y, sizes=(0.3, 1.0), cv=folds)
    counts, _, wanted = model_selection.learning_curve(
        KNNClassifier(5), X, Y, train_sizes=[0.3, 1.0], cv=folds
    )
    assert curve.points == tuple(counts)
    np.testing.assert_array_equal(curve.validation, wanted)
    values = (1, 5, 60)
    by_k = validation_curve(KNNClassifier(), X, Y, "n_neighbors", values, cv=folds)
    assert by_k.best == values[int(by_k.validation.mean(axis=1).argmax())] != 60
    assert by_k.gap[0] > by_k.gap[-1] - 0.05 and by_k.training[0].min() == 1.0
    assert "n_neighbors" in str(by_k) and "±" in str(by_k)


@pytest.mark.notes("DA-06", "C-DA-09")
def test_copies_on_both_sides_look_like_skill_and_are_found() -> None:
    """Random labels, ten noisy copies of each example: by rows 1-NN looks perfect, by groups it is at chance."""
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 10)
    x = np.repeat(random.normal(size=(100, 5)), 10, axis=0) + 1e-3 * random.normal(
        size=(1000, 5)
    )
    y = np.repeat(random.integers(2, size=100), 10)
    learner = KNNClassifier(1)
    leaking = cross_val_score(learner, x, y, cv=ShuffleSplit(5, random_state=0)).mean()
    honest = cross_val_score(
        learner, x, y, groups=groups, cv=GroupShuffleSplit(10, random_state=0)
    ).mean()
    assert leaking > 0.99 and honest < 0.7
    train, test = next(ShuffleSplit(1, random_state=0).split(x))
    leaks = find_leaks(
        x[train], x[test], groups_train=groups[train], groups_test=groups[test]
    )
    assert [leak.kind for leak in leaks] == ["groups"] and "split by group" in str(
        leaks[0]
    )
    train, test = next(GroupShuffleSplit(1, random_state=0).split(x, y, groups))
    assert find_leaks(x[train], x[test], y[train], groups[train], groups[test]) == []
    assert shared_groups(["a", "b"], ["b", "c"]) == ["b"]
    with pytest.raises(ArgumentError, match="training and test data, or of neither"):
        find_leaks(x[train], x[test], groups_train=groups[train])


@pytest.mark.notes("DA-06")
def test_equal_rows_and_features_that_are_the_target() -> None:
    assert shared_rows(
        [[1.0, 0.0], [2.0, 3.0], [2.0, 3.0]], [[2, 3], [1, -0.0], [5, 5]]
    ) == [(1, 0), (0, 1)]
    guise = np.stack(
        [np.array([30.0, 10.0, 20.0])[Y], X[:, 0], np.arange(150.0)], axis=1
    )
    assert [feature for feature, _ in revealing_features(guise, Y)] == [
        0
    ]  # a row's number tells nothing
    assert revealing_features(X, Y) == []
    numbers = X[:, 0] * 2.5 + 1
    assert [feature for feature, _ in revealing_features(X, numbers)] == [0]
    leaks = find_leaks(guise, guise[:2], Y)
    assert [leak.kind for leak in leaks] == ["duplicates", "target among the features"]
    with pytest.raises(DataError, match="features in both"):
        shared_rows([[1.0]], [[1.0, 2.0]])
    with pytest.raises(ArgumentError, match="threshold"):
        revealing_features(X, Y, threshold=0)


@pytest.mark.notes("DA-15")
def test_samplers_make_classes_equally_frequent() -> None:
    rare = np.concatenate([np.arange(10), np.arange(50, 150)])
    x, y = X[rare], Y[rare]
    more, less = oversampled(y, seed=1), undersampled(y, seed=1)
    assert np.bincount(y[more]).tolist() == [50, 50, 50] and set(more) == set(
        range(110)
    )
    assert np.bincount(y[less]).tolist() == [10, 10, 10] and len(set(less)) == 30
    new_x, new_y = smote(x, y, n_neighbors=3, seed=1)
    assert np.bincount(new_y).tolist() == [50, 50, 50]
    np.testing.assert_array_equal(new_x[:110], x)
    made = new_x[110:]  # every made point lies on a segment between two rare examples
    a, b = x[:10, None, None], x[None, :10, None]
    direction = b - a
    length = (direction**2).sum(-1, keepdims=True)
    share = np.clip(
        ((made - a) * direction).sum(-1, keepdims=True)
        / np.where(length > 0, length, 1),
        0,
        1,
    )
    distance = np.linalg.norm(a + share * direction - made, axis=-1).min(axis=(0, 1))
    assert distance.max() < 1e-9
    with pytest.raises(DataError, match="two examples"):
        smote(x[9:], y[9:])
    with pytest.raises(DataError, match="labels"):
        oversampled([])


def test_bagging_hands_seeds_on_and_repeats_itself() -> None:
    make = MLPClassifier((4,), epochs=2, device="reference")
    first, second = (
        BaggingClassifier(make, n_estimators=3, random_state=5).fit(X, Y)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    seeds = {member.random_state for member in first.estimators_}
    assert len(seeds) == 3 and make.random_state is None
    assert (
        BaggingRegressor(Ridge(), n_estimators=2, random_state=0)
        .fit(X, X[:, 0])
        .score(X, X[:, 0])
        > 0.99
    )
