"""Neural learners: against plain ``train.fit``, scikit-learn's own networks, and scikit-learn's tools around them."""

from __future__ import annotations

import io
import pickle
from typing import Any

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LinearRegression as ReferenceLinear
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier as ReferenceMLP
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deltarule import data, losses, nn, optim, train
from deltarule.errors import ArgumentError, DataError, DivergenceError, ShapeError
from deltarule.learners import (
    PCA,
    AutoencoderTransformer,
    CNNClassifier,
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkRegressor,
)
from deltarule.learners.base import seed
from support.oracles import pd

IRIS, DIGITS = data.load("iris"), data.load("digits")
X = (np.asarray(IRIS.inputs, np.float64) - IRIS.inputs.mean(0)) / IRIS.inputs.std(0)
Y = np.array(["setosa", "versicolor", "virginica"])[IRIS.targets]
QUICK: dict[str, Any] = {"device": "reference", "random_state": 0}


def test_fit_is_train_fit_of_the_same_network() -> None:
    learner = MLPClassifier((8,), epochs=5, batch_size=32, alpha=0.1, **QUICK).fit(X, Y)
    number = int(np.random.RandomState(0).randint(2**31))
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).astype("float64")
    model.initialize(number)
    history = train.fit(
        model,
        X,
        IRIS.targets,
        loss="cross_entropy",
        optimizer=optim.Adam(learning_rate=1e-3),
        epochs=5,
        batch_size=32,
        regularizers=[losses.L2(strength=0.1, half=True)],
        seed=number,
        device="reference",
        verbose=0,
    )
    assert learner.loss_curve_ == history["loss"]
    np.testing.assert_allclose(
        learner.predict_proba(X), model.predict_proba(X, "cross_entropy"), rtol=1e-12
    )


def test_linear_network_finds_least_squares() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3))
    y = x @ [1.0, -2.0, 0.5] + 3 + 0.1 * random.normal(size=200)
    learner = NetworkRegressor(
        epochs=800, batch_size=200, learning_rate=0.05, **QUICK
    ).fit(x, y)
    wanted = ReferenceLinear().fit(x, y)
    weight, bias = (p.numpy() for p in learner.network_.parameters())
    np.testing.assert_allclose(weight[0], wanted.coef_, atol=1e-6)
    np.testing.assert_allclose(bias[0], wanted.intercept_, atol=1e-6)


def test_accuracy_is_that_of_scikit_learns_network() -> None:
    x = DIGITS.inputs.reshape(len(DIGITS.inputs), -1).astype(np.float32)
    rows = np.random.default_rng(0).permutation(len(x))
    part, rest = rows[:1200], rows[1200:]
    reference = ReferenceMLP(
        (32,), max_iter=30, batch_size=64, alpha=0.0, random_state=0
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        reference.fit(x[part], DIGITS.targets[part])
    learner = MLPClassifier((32,), epochs=30, random_state=0).fit(
        x[part], DIGITS.targets[part]
    )
    assert learner.network_.parameters()[0].dtype.name == "float32"
    wanted = reference.score(x[rest], DIGITS.targets[rest])
    assert learner.score(x[rest], DIGITS.targets[rest]) > wanted - 0.01


@pytest.mark.notes("REG-14")
def test_early_stopping_keeps_the_best_epoch_and_the_validation_curve() -> None:
    learner = MLPClassifier(
        (32,),
        epochs=300,
        learning_rate=0.05,
        early_stopping=True,
        validation_fraction=0.3,
        patience=3,
        metrics=["accuracy"],
        **QUICK,
    ).fit(X, Y)
    curve = learner.validation_curve_
    assert learner.n_iter_ == len(curve) < 300
    assert (
        learner.history_.best_epoch == int(np.argmin(curve)) + 1 == learner.n_iter_ - 3
    )
    assert 0.8 < learner.history_["val_accuracy"][-1] <= 1.0


def test_validation_data_are_measured_and_not_trained_on() -> None:
    part, rest = np.arange(0, 150, 2), np.arange(1, 150, 2)
    learner = MLPClassifier((8,), epochs=4, **QUICK).fit(
        X[part], Y[part], validation_data=(X[rest], Y[rest])
    )
    alone = MLPClassifier((8,), epochs=4, **QUICK).fit(X[part], Y[part])
    assert learner.loss_curve_ == alone.loss_curve_ and alone.validation_curve_ is None
    expected = log_loss(Y[rest], learner.predict_proba(X[rest]))
    np.testing.assert_allclose(learner.validation_curve_[-1], expected, rtol=1e-9)


@pytest.mark.notes("DA-15", "C-DA-08")
def test_weights_are_repetitions() -> None:
    options: dict[str, Any] = {"epochs": 20, "batch_size": 1000, **QUICK}
    times = np.where(Y == "setosa", 3, 1)
    repeated = np.repeat(np.arange(150), times)
    by_rows = MLPClassifier((8,), **options).fit(X[repeated], Y[repeated])
    by_sample = MLPClassifier((8,), **options).fit(X, Y, sample_weight=times)
    by_class = MLPClassifier((8,), class_weight={"setosa": 3.0}, **options).fit(X, Y)
    for learner in (by_sample, by_class):
        np.testing.assert_allclose(
            learner.predict_proba(X), by_rows.predict_proba(X), rtol=1e-8
        )
    rare = np.concatenate([np.arange(10), np.arange(50, 150)])
    balanced = MLPClassifier((8,), class_weight="balanced", **options).fit(
        X[rare], Y[rare]
    )
    weights = np.where(Y[rare] == "setosa", 110 / 30, 110 / 150)
    by_hand = MLPClassifier((8,), **options).fit(
        X[rare], Y[rare], sample_weight=weights
    )
    np.testing.assert_allclose(
        balanced.predict_proba(X), by_hand.predict_proba(X), rtol=1e-8
    )


def test_partial_fit_keeps_the_optimizers_state() -> None:
    """Chunk after chunk with Adam is one epoch over all of them in that order."""
    options: dict[str, Any] = {"batch_size": 25, "shuffle": False, **QUICK}
    parts = MLPClassifier((8,), **options)
    for row in range(0, 150, 50):
        parts.partial_fit(X[row : row + 50], Y[row : row + 50], classes=np.unique(Y))
    whole = MLPClassifier((8,), epochs=1, **options).fit(X, Y)
    np.testing.assert_allclose(
        parts.predict_proba(X), whole.predict_proba(X), rtol=1e-12
    )
    assert len(parts.loss_curve_) == 3
    restored = pickle.loads(pickle.dumps(parts))
    np.testing.assert_array_equal(restored.predict_proba(X), parts.predict_proba(X))
    restored.partial_fit(X, Y)
    with pytest.raises(ValueError, match="classes must be passed"):
        MLPClassifier(**options).partial_fit(X, Y)
    with pytest.raises(ValueError, match="not among"):
        parts.partial_fit(X[:2], ["rose", "setosa"])
    with pytest.raises(ValueError, match="balanced"):
        MLPClassifier(class_weight="balanced", **options).partial_fit(
            X, Y, classes=np.unique(Y)
        )


def test_partial_fit_of_numbers_learns_and_tells_divergence() -> None:
    x = np.linspace(-1, 1, 64)[:, None]
    learner = MLPRegressor((16,), learning_rate=0.02, **QUICK)
    for _ in range(150):
        learner.partial_fit(x, x[:, 0] ** 2)
    assert learner.score(x, x[:, 0] ** 2) > 0.98
    wild = MLPRegressor((16,), optimizer="sgd", learning_rate=1e6, **QUICK)
    with pytest.raises(DivergenceError, match="finite loss"), np.errstate(all="ignore"):
        wild.partial_fit(np.tile(x, (60, 1)), np.tile(x[:, 0] ** 2, 60))


def test_warm_start_goes_on() -> None:
    cold = MLPClassifier((8,), epochs=3, **QUICK).fit(X, Y)
    first = cold.loss_curve_[0]
    cold.fit(X, Y)
    assert cold.loss_curve_[0] == first and cold.n_iter_ == 3
    warm = MLPClassifier((8,), epochs=3, warm_start=True, **QUICK).fit(X, Y)
    warm.fit(X, Y)
    assert warm.n_iter_ == 6 and warm.loss_curve_[3] < warm.loss_curve_[2] < first
    before = warm.predict_proba(X)
    with pytest.raises(
        DataError,
        match=r"the classes .'setosa', .* of the last fit, with warm_start, got .*'a'",
    ):
        warm.fit(X, np.where(Y == "setosa", "a", Y))
    with pytest.raises(DataError, match="got multilabel targets"):
        warm.fit(X, np.eye(2, dtype=int)[(Y == "setosa").astype(int)])
    np.testing.assert_array_equal(warm.predict_proba(X), before)


WARM: list[tuple[Any, Any]] = [
    (MLPClassifier((8,), epochs=2, warm_start=True, **QUICK), Y),
    (MLPRegressor((8,), epochs=2, warm_start=True, **QUICK), X[:, 0]),
    (
        AutoencoderTransformer(
            2, hidden_sizes=(8,), epochs=2, warm_start=True, **QUICK
        ),
        None,
    ),
    (NetworkRegressor(epochs=2, warm_start=True, **QUICK), X[:, 0]),
]


@pytest.mark.parametrize(("learner", "y"), WARM, ids=lambda value: type(value).__name__)
def test_warm_start_refuses_other_features_before_anything_changes(
    learner: Any, y: Any
) -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    learner = clone(learner).fit(frame, y)
    output = learner.transform if y is None else learner.predict
    before = output(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        learner.fit(frame[["d", "c", "b", "a"]], y)
    with pytest.raises(ValueError, match="feature names should match"):
        learner.fit(frame[["a", "b"]], y)
    plain = clone(learner).fit(X, y)
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 4"):
        plain.fit(X[:, :2], y)
    assert plain.n_features_in_ == 4 and plain.n_iter_ == 2
    np.testing.assert_array_equal(output(frame), before)
    assert (
        learner.feature_names_in_.tolist() == list("abcd")
        and learner.fit(frame, y).n_iter_ == 4
    )


def test_warm_start_refuses_what_needs_another_network() -> None:
    warm = MLPClassifier((8,), epochs=2, warm_start=True, **QUICK).fit(X, Y)
    before = warm.predict_proba(X)
    for name, value in (
        ("hidden_sizes", [4]),
        ("activation", "tanh"),
        ("batch_norm", True),
        ("dtype", "float32"),
    ):
        own = getattr(warm, name)
        with pytest.raises(
            ArgumentError,
            match=f"MLPClassifier {name}: expected .* with warm_start(.|\n)*a new network is built",
        ):
            warm.set_params(**{name: value}).fit(X, Y)
        warm.set_params(**{name: own})
    assert warm.set_params(hidden_sizes=[8], learning_rate=1e-9).fit(X, Y).n_iter_ == 4
    np.testing.assert_allclose(warm.predict_proba(X), before, atol=1e-6)
    two = MLPClassifier((8,), epochs=2, warm_start=True, **QUICK).fit(X, Y == "setosa")
    with pytest.raises(
        DataError,
        match=r"MLPClassifier loss: expected what needs 2 outputs, .*, got what needs 1",
    ):
        two.set_params(loss="hinge").fit(X, Y == "setosa")
    numbers = MLPRegressor((8,), epochs=2, warm_start=True, **QUICK).fit(X, X[:, :2])
    for again in (numbers.fit, numbers.partial_fit):
        with pytest.raises(
            DataError, match="MLPRegressor y: expected what needs 2 outputs"
        ):
            again(X, X[:, :3])
    assert numbers.predict(X).shape == (150, 2)
    images = NetworkRegressor(epochs=1, **QUICK).fit(X.reshape(-1, 2, 2), X[:, 0])
    with pytest.raises(
        ShapeError,
        match=r"examples of shape \(2, 2\), as in the last fit, got \(2, 3\)",
    ):
        images.predict(np.zeros((4, 2, 3)))


def test_frames_and_sparse_inputs_are_arrays() -> None:
    learner = MLPClassifier((8,), epochs=3, **QUICK)
    expected = clone(learner).fit(X, Y).predict_proba(X)
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    framed = clone(learner).fit(frame, pd.Series(Y))
    np.testing.assert_array_equal(framed.predict_proba(frame), expected)
    assert framed.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names should match"):
        framed.predict(frame[["b", "a", "c", "d"]])
    few = np.where(np.abs(X) > 1, X, 0)
    dense, thin = (
        clone(learner).fit(few, Y),
        clone(learner).fit(sparse.csr_matrix(few), Y),
    )
    long = np.tile(few, (30, 1))  # more rows than are made dense at a time
    np.testing.assert_allclose(
        thin.predict_proba(sparse.csr_matrix(long)),
        dense.predict_proba(long),
        rtol=1e-12,
    )


def test_polars_frames_are_arrays() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(X, schema=["a", "b", "c", "d"])
    learner = MLPClassifier((8,), epochs=3, **QUICK)
    expected = clone(learner).fit(X, Y).predict_proba(X)
    framed = clone(learner).fit(frame, polars.Series(Y))
    np.testing.assert_array_equal(framed.predict_proba(frame), expected)
    assert framed.feature_names_in_.tolist() == ["a", "b", "c", "d"]


def test_works_in_pipelines_and_searches_in_several_processes() -> None:
    pipe = make_pipeline(
        StandardScaler(), MLPClassifier((8,), epochs=40, learning_rate=0.02, **QUICK)
    )
    assert cross_val_score(pipe, X, Y, cv=3).mean() > 0.93
    grid = {
        "mlpclassifier__hidden_sizes": [(4,), (8, 4)],
        "mlpclassifier__dropout": [0.0, 0.2],
    }
    search = GridSearchCV(pipe, grid, cv=2, n_jobs=2).fit(X, Y)
    assert set(search.best_params_) == set(grid) and search.best_score_ > 0.85
    module = NetworkClassifier(
        nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), epochs=20, **QUICK
    )
    scores = [cross_val_score(module, X, Y, cv=2, n_jobs=jobs) for jobs in (1, 2)]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("store", ["pickle", "joblib"])
def test_stored_learners_predict_the_same(store: str) -> None:
    learner = MLPClassifier((8,), batch_norm=True, dropout=0.2, epochs=3, **QUICK).fit(
        X, Y
    )
    if store == "pickle":
        again = pickle.loads(pickle.dumps(learner))
    else:
        stream = io.BytesIO()
        joblib.dump(learner, stream)
        stream.seek(0)
        again = joblib.load(stream)
    np.testing.assert_array_equal(again.predict_proba(X), learner.predict_proba(X))
    before = learner.predict_proba(X)
    again.network_.parameters()[0].assign(np.zeros((8, 4)))
    np.testing.assert_array_equal(learner.predict_proba(X), before)


@pytest.mark.notes("DA-10")
def test_labels_of_which_any_may_hold() -> None:
    rows = np.stack([X[:, 0] > 0, X[:, 1] > 0, X[:, 2] + X[:, 3] > 0], axis=1).astype(
        int
    )
    learner = MLPClassifier((16,), epochs=150, learning_rate=0.02, **QUICK).fit(X, rows)
    shares, scores = learner.predict_proba(X), learner.decision_function(X)
    np.testing.assert_allclose(shares, 1 / (1 + np.exp(-scores)), rtol=1e-9)
    np.testing.assert_array_equal(learner.predict(X), (shares > 0.5).astype(int))
    assert (learner.predict(X) == rows).mean() > 0.97
    with pytest.raises(ArgumentError, match="multilabel targets"):
        MLPClassifier(loss="cross_entropy").fit(X, rows)


def test_labels_have_weights_by_their_values() -> None:
    options: dict[str, Any] = {"epochs": 5, "batch_size": 1000, **QUICK}
    rows = np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int)
    by_label = MLPClassifier(
        (4,), class_weight=[{1: 3.0}, {0: 0.5, 1: 2.0}], **options
    ).fit(X, rows)
    weights = np.where(rows[:, 0], 3.0, 1.0) * np.where(rows[:, 1], 2.0, 0.5)
    by_hand = MLPClassifier((4,), **options).fit(X, rows, sample_weight=weights)
    np.testing.assert_allclose(
        by_label.predict_proba(X), by_hand.predict_proba(X), rtol=1e-9
    )
    alone = MLPClassifier((4,), **options).fit(X, rows)
    assert not np.allclose(by_hand.predict_proba(X), alone.predict_proba(X))
    parts = [
        clone(learner).partial_fit(X, rows, [0, 1], own)
        for learner, own in ((by_label, None), (alone, weights))
    ]
    np.testing.assert_allclose(
        parts[0].predict_proba(X), parts[1].predict_proba(X), rtol=1e-9
    )
    MLPClassifier((4,), class_weight="balanced", **options).fit(X, rows)


def _squared_margin(scores: Any, labels: Any) -> Any:
    return losses.CrossEntropy(reduction="none")(scores, labels) * 2.0


def test_losses_by_name_by_object_and_by_function() -> None:
    options: dict[str, Any] = {"epochs": 30, "learning_rate": 0.05, **QUICK}
    hinge = MLPClassifier((8,), loss="multiclass_hinge", **options).fit(X, Y)
    assert hinge.score(X, Y) > 0.94 and not hasattr(hinge, "predict_proba")
    two = Y != "setosa"
    for loss in ("hinge", "binary_cross_entropy", "binary_focal"):
        learner = MLPClassifier((8,), loss=loss, **options).fit(X, two)
        assert learner.score(X, two) == 1.0
        assert learner.decision_function(X).shape == (150,)
    with pytest.raises(ArgumentError, match="more than two classes"):
        MLPClassifier(loss="hinge").fit(X, Y)
    plain = MLPClassifier((8,), optimizer="sgd", **options).fit(X, Y)
    twice = MLPClassifier(
        (8,),
        loss=_squared_margin,
        optimizer="sgd",
        **(options | {"learning_rate": 0.025}),
    )
    np.testing.assert_allclose(
        twice.fit(X, Y).predict_proba(X), plain.predict_proba(X), rtol=1e-9
    )
    smooth = MLPClassifier(
        (8,), loss=losses.CrossEntropy(label_smoothing=0.3), **options
    ).fit(X, Y)
    hard = MLPClassifier((8,), **options).fit(X, Y)
    assert smooth.predict_proba(X).max() < 0.95 < hard.predict_proba(X).max()


def test_own_metrics_callbacks_and_regularizers_take_part() -> None:
    seen: list[int] = []

    class Count(train.Callback):
        def on_epoch_end(
            self, session: Any, epoch: int, logs: dict[str, float]
        ) -> None:
            seen.append(epoch)
            session.stop = epoch == 2

        def __deepcopy__(self, memo: Any) -> Any:
            return self

    def margin(scores: Any, labels: Any) -> Any:
        return scores.max(-1)

    learner = MLPClassifier(
        (8,),
        epochs=9,
        metrics=["accuracy", margin],
        callbacks=[Count()],
        regularizers=[losses.L1(strength=0.1)],
        **QUICK,
    ).fit(X, Y)
    assert seen == [1, 2] and learner.n_iter_ == 2
    assert {"accuracy", "margin", "penalty"} <= set(learner.history_.names)


@pytest.mark.notes("REG-19", "C-REG-09")
def test_dropout_and_batch_norm_are_layers_and_a_lonely_example_is_no_batch() -> None:
    learner = MLPClassifier(
        (8, 8), dropout=0.3, batch_norm=True, epochs=2, batch_size=49, **QUICK
    ).fit(X[1:99], Y[1:99])
    kinds = [type(layer).__name__ for layer in learner.network_]
    assert kinds == ["Linear", "BatchNorm", "ReLU", "Dropout"] * 2 + ["Linear"]
    learner.set_params(batch_size=49).fit(
        X[:99], Y[:99]
    )  # 99 = 2·49 + 1: one batch of 50, one of 49
    plain = MLPClassifier((8, 8), epochs=1, **QUICK).fit(X, Y)
    dropped = MLPClassifier((8, 8), dropout=0.3, epochs=1, **QUICK).fit(X, Y)
    assert dropped.network_.n_parameters == plain.network_.n_parameters


def test_images_by_shape_and_by_rows() -> None:
    images = DIGITS.inputs.reshape(-1, 8, 8, 1).astype(np.float32)[:400]
    learner = CNNClassifier(
        (8,),
        hidden_sizes=(16,),
        epochs=15,
        batch_size=40,
        learning_rate=0.01,
        random_state=0,
    )
    by_shape = clone(learner).fit(images, DIGITS.targets[:400])
    by_rows = clone(learner).fit(images.reshape(400, 64), DIGITS.targets[:400])
    np.testing.assert_array_equal(
        by_shape.predict(images), by_rows.predict(images.reshape(400, 64))
    )
    assert by_shape.score(images, DIGITS.targets[:400]) > 0.9
    wide = clone(learner).set_params(image_shape=(4, 16), epochs=1, device="reference")
    assert (
        wide.fit(images.reshape(400, 64), DIGITS.targets[:400]).network_[0].in_channels
        == 1
    )
    with pytest.raises(ArgumentError, match="of 64 numbers"):
        clone(learner).set_params(image_shape=(4, 4)).fit(images, DIGITS.targets[:400])


def test_given_modules_keep_values_and_frozen_layers() -> None:
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    module.freeze("0")
    first = module[0].weight.numpy()
    learner = NetworkClassifier(module, epochs=3, **QUICK).fit(X, Y)
    np.testing.assert_array_equal(learner.network_[0].weight.numpy(), first)
    assert not np.array_equal(
        learner.network_[2].weight.numpy(), module[2].weight.numpy()
    )
    made = NetworkClassifier(
        lambda shape, n: nn.Sequential(nn.Linear(shape[0], n)), epochs=2, **QUICK
    )
    for own, same in (
        ({}, {"learning_rate": 1e-3}),
        ({"learning_rate": 0.02}, {}),
    ):  # "auto" with and without a module
        linear = NetworkClassifier(epochs=2, **same, **QUICK).fit(X, Y)
        np.testing.assert_array_equal(
            made.set_params(**own).fit(X, Y).predict_proba(X), linear.predict_proba(X)
        )
    with pytest.raises(
        ArgumentError,
        match="NetworkClassifier learning_rate: expected a number > 0, 'auto', or None",
    ):
        NetworkClassifier(learning_rate="fast").fit(X, Y)
    with pytest.raises(ArgumentError, match="a Module, or a function"):
        NetworkRegressor(lambda shape, n: 3).fit(X, X[:, 0])


@pytest.mark.notes("AE-01", "AE-02", "AE-04", "C-AE-01", "THY-18")
def test_linear_autoencoder_finds_the_principal_plane() -> None:
    x = np.array([[2.0, 0], [0, 2], [3, 1], [1, 3], [4, 4]])
    learner = AutoencoderTransformer(
        1, hidden_sizes=(), epochs=3000, learning_rate=0.02, **QUICK
    ).fit(x)
    back = learner.inverse_transform(learner.transform(x))
    np.testing.assert_allclose(((x - back) ** 2).sum(), 8.0, rtol=1e-6)
    encoder, decoder = (
        learner.network_[part][0].weight.numpy() for part in ("encoder", "decoder")
    )
    np.testing.assert_allclose(decoder @ encoder, np.full((2, 2), 0.5), atol=1e-4)
    np.testing.assert_allclose(
        back, PCA(1).fit(x).inverse_transform(PCA(1).fit_transform(x)), atol=1e-3
    )


@pytest.mark.notes("AE-03", "C-AE-03", "AE-06")
def test_codes_as_large_as_the_input_copy_it_and_sparsity_makes_zeros() -> None:
    x = X[:, :3]
    copied = AutoencoderTransformer(
        3, hidden_sizes=(), epochs=1500, learning_rate=0.02, **QUICK
    ).fit(x)
    assert copied.loss_curve_[-1] < 1e-5
    dense, thin = (
        AutoencoderTransformer(
            3, hidden_sizes=(8,), sparsity=s, epochs=300, learning_rate=0.01, **QUICK
        ).fit(x)
        for s in (0.0, 0.05)
    )
    assert np.abs(thin.transform(x)).mean() < 0.5 * np.abs(dense.transform(x)).mean()
    expected = 0.05 * np.abs(thin.transform(x)).sum(axis=1).mean()
    np.testing.assert_allclose(thin.history_["penalty"][-1], expected, rtol=0.05)
    assert thin.get_feature_names_out().tolist() == [
        f"autoencodertransformer{i}" for i in range(3)
    ]


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "hinge"])
def test_early_stopping_holds_out_classes_by_share_and_examples_with_weights(
    loss: str,
) -> None:
    random = np.random.default_rng(0)
    x, rare, weights = (
        random.normal(size=(60, 3)),
        np.arange(60) % 12 == 0,
        random.uniform(0.2, 3.0, 60),
    )
    learner = MLPClassifier(
        (4,),
        loss=loss,
        early_stopping=True,
        validation_fraction=0.2,
        epochs=2,
        random_state=0,
    )
    learner.set_params(**QUICK).fit(
        x, np.where(rare, "rare", "usual"), sample_weight=weights
    )
    held = data.split(
        60, validation=0.2, test=0.0, seed=seed(0), stratify=rare
    ).validation
    assert rare[held].sum() == 1
    usual = (~rare).astype(int)  # classes in the order of their names
    targets = {
        "cross_entropy": usual,
        "binary_cross_entropy": usual[:, None],
        "hinge": 2.0 * usual[:, None] - 1,
    }[loss]
    share = weights * len(weights) / weights.sum()
    found = learner.network_.evaluate(
        x[held], targets[held], loss, sample_weight=share[held], device="reference"
    )
    assert min(learner.validation_curve_ or []) == pytest.approx(
        found["loss"], rel=1e-6
    )


def test_denoising_shrinks_as_the_best_linear_denoiser() -> None:
    """Six copies of one number, each kept as it is with q = 0.7: min E(1 − wS)², S ~ Bin(6, q), gives w = E S/E S².

    The mean gain at inference, where all six are there, is 6w = 6·6q/(6q(1 − q) + (6q)²).
    """
    x = np.repeat(np.random.default_rng(0).normal(size=(400, 1)), 6, axis=1)
    learner = AutoencoderTransformer(
        1, hidden_sizes=(), corruption=0.3, epochs=300, learning_rate=0.005, **QUICK
    )
    back = learner.fit(x).inverse_transform(learner.transform(x))
    gain = (back * x).sum() / (x * x).sum()
    np.testing.assert_allclose(gain, 6 * 4.2 / (4.2 * 0.3 + 4.2**2), atol=0.03)


def test_an_autoencoders_loss_may_be_a_function_and_its_examples_may_have_weights() -> (
    None
):
    options: dict[str, Any] = {
        "hidden_sizes": (8,),
        "epochs": 10,
        "batch_size": 1000,
        **QUICK,
    }
    plain = AutoencoderTransformer(2, **options).fit(X)
    own = AutoencoderTransformer(
        2, loss=lambda outputs, x: ((outputs - x) ** 2).mean(-1), **options
    ).fit(X)
    np.testing.assert_allclose(own.transform(X), plain.transform(X), rtol=1e-9)
    times = np.where(Y == "setosa", 3, 1)
    repeated = (
        AutoencoderTransformer(2, **options)
        .fit(np.repeat(X, times, axis=0))
        .transform(X)
    )
    weighted = AutoencoderTransformer(2, **options)
    np.testing.assert_allclose(
        weighted.fit(X, sample_weight=times).transform(X), repeated, rtol=1e-8
    )
    np.testing.assert_allclose(
        weighted.fit_transform(X, sample_weight=times), repeated, rtol=1e-8
    )
    assert not np.allclose(repeated, plain.transform(X))
    parts = (
        AutoencoderTransformer(2, optimizer="sgd", **options),
        AutoencoderTransformer(2, optimizer="sgd", **options),
    )
    parts[0].set_params(learning_rate=0.02).partial_fit(
        X, sample_weight=np.full(150, 0.5)
    )
    parts[1].set_params(learning_rate=0.01).partial_fit(X)
    np.testing.assert_allclose(parts[0].transform(X), parts[1].transform(X), rtol=1e-9)
    with pytest.raises(ValueError, match="Negative values"):
        weighted.fit(X, sample_weight=-times)
