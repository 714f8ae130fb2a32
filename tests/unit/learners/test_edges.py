"""What users hand over at the edges: numbers beyond squares, priors, sparse labels, too many neighbours, names."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import multivariate_normal
from sklearn import naive_bayes
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from deltarule import learners as of
from deltarule.errors import ArgumentError, DataError, DataWarning, DeltaruleError
from deltarule.learners.neural_network.checks import own_words
from deltarule.losses import get as loss_named
from deltarule.train import EarlyStopping
from support.oracles import pd

R = np.random.default_rng(0)
X = R.normal(size=(60, 4))
LABELS, NUMBERS = np.arange(60) % 2, X @ [1.0, -2.0, 0.5, 0.0]
QUICK: dict[str, Any] = {"epochs": 2, "device": "reference", "random_state": 0}

FITTED = [
    of.PCA(2),
    of.PCA(2, solver="randomized"),
    of.FastICA(2),
    of.GaussianNaiveBayes(),
    of.GaussianClassifier(),
    of.GaussianClassifier(covariance="shared"),
    of.BernoulliNaiveBayes(),
    of.KNNClassifier(),
    of.KNNRegressor(),
    of.KNNClassifier(metric="cosine"),
    of.KNNClassifier(weights="distance"),
    of.TSNE(max_iter=20),
    of.UMAP(n_epochs=5),
    of.MLPClassifier(**QUICK),
    of.MLPRegressor(**QUICK),
    of.AutoencoderTransformer(2, **QUICK),
    of.BaggingClassifier(random_state=0),
    of.BaggingRegressor(random_state=0),
]


@pytest.mark.parametrize("size", [1e100, 1e155, 1e200, 1e300, 1e-100, 1e-200])
@pytest.mark.parametrize("learner", FITTED, ids=str)
def test_numbers_of_any_size_are_right_or_one_clear_error(
    learner: Any, size: float
) -> None:
    y = NUMBERS if is_regressor(learner) else LABELS
    fitted, refused = clone(learner), ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".* weights are initialized", DataWarning)
        try:
            fitted.fit(X * size, y)
        except DeltaruleError as error:
            refused = str(error)
        if not refused:
            names = ("predict_proba", "predict", "transform")
            ask = next(
                (getattr(fitted, name) for name in names if hasattr(fitted, name)), None
            )
            found = fitted.embedding_ if ask is None else ask(X * size)
    if refused:
        assert (size > 1e150 and "finite" in refused) or (
            size < 1e-150 and "above 0" in refused
        )
        return
    assert np.isfinite(found).all()
    scaling = (of.KNNClassifier, of.GaussianNaiveBayes, of.GaussianClassifier)
    if isinstance(learner, scaling):
        np.testing.assert_allclose(
            found, clone(learner).fit(X, y).predict_proba(X), rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize(
    "learner",
    [of.MLPClassifier(**QUICK), of.MLPRegressor(**QUICK)],
    ids=["classes", "numbers"],
)
def test_networks_refuse_features_whose_gradients_have_no_squares(
    learner: Any, kind: Any
) -> None:
    y = NUMBERS if is_regressor(learner) else LABELS
    for fit in (clone(learner).fit, clone(learner).partial_fit):
        given = (
            {"classes": [0, 1]}
            if not is_regressor(learner) and fit.__name__ == "partial_fit"
            else {}
        )
        with pytest.raises(
            DataError,
            match=r"MLP.* X: expected numbers up to 3e\+153, .* in float64, got .*e\+200",
        ):
            fit(kind(X * 1e200), y, **given)
        with pytest.raises(
            DataError, match=r"in float32, got .*e\+30(.|\n)*dtype='float64'"
        ):
            fit(kind(np.float32(X * 1e30)), y, **given)
    far = clone(learner).set_params(epochs=100)
    if not is_regressor(learner):
        for size, dtype in ((1e17, np.float32), (1e150, np.float64)):
            x = (X * size).astype(dtype)
            with pytest.warns(DataWarning, match=r"weights are initialized .* Scale"):
                far.fit(kind(x), X[:, 0] > 0)
            assert far.score(kind(x), X[:, 0] > 0) > 0.9


@pytest.mark.parametrize(
    "learner", [of.GaussianNaiveBayes(), of.GaussianClassifier(), of.PCA(2)], ids=str
)
def test_what_was_fitted_to_ordinary_numbers_refuses_enormous_ones(
    learner: Any,
) -> None:
    fitted = learner.fit(X, LABELS)
    for ask in (
        [fitted.score_samples]
        if isinstance(fitted, of.PCA)
        else [fitted.predict, fitted.predict_proba]
    ):
        with pytest.raises(
            DataError, match=r"X: expected numbers up to .* got 1e\+200"
        ):
            ask(np.full((1, 4), 1e200))
    with pytest.raises(DataError, match=r"finite in float32, got 1e\+30(.|\n)*float64"):
        of.PCA(2).fit(np.float32(X) + np.float32(1e30) * (np.arange(60) == 3)[:, None])


COUNTS = R.poisson(2.0, size=(60, 4)).astype(float)
PRIORS: list[tuple[Any, Any, Any]] = [
    (
        of.GaussianNaiveBayes(priors=[0.9, 0.1]),
        naive_bayes.GaussianNB(priors=[0.9, 0.1]),
        X,
    ),
    (
        of.MultinomialNaiveBayes(class_prior=[0.9, 0.1]),
        naive_bayes.MultinomialNB(class_prior=[0.9, 0.1]),
        COUNTS,
    ),
    (
        of.MultinomialNaiveBayes(fit_prior=False),
        naive_bayes.MultinomialNB(fit_prior=False),
        COUNTS,
    ),
    (
        of.BernoulliNaiveBayes(class_prior=[0.3, 0.7]),
        naive_bayes.BernoulliNB(class_prior=[0.3, 0.7]),
        X,
    ),
    (
        of.BernoulliNaiveBayes(fit_prior=False),
        naive_bayes.BernoulliNB(fit_prior=False),
        X,
    ),
]


@pytest.mark.notes("PR-04")
@pytest.mark.parametrize(("ours", "theirs", "x"), PRIORS, ids=range(len(PRIORS)))
def test_priors_are_those_that_were_given(ours: Any, theirs: Any, x: Any) -> None:
    y = (np.arange(60) % 3 == 0).astype(int)
    expected = theirs.fit(x, y).predict_log_proba(x)
    np.testing.assert_allclose(
        clone(ours).fit(x, y).predict_log_proba(x), expected, rtol=1e-6, atol=1e-9
    )
    parts = clone(ours).partial_fit(x[:20], y[:20], [0, 1]).partial_fit(x[20:], y[20:])
    np.testing.assert_allclose(
        parts.predict_log_proba(x), expected, rtol=1e-6, atol=1e-9
    )


def test_priors_of_normal_classes() -> None:
    random = np.random.default_rng(0)
    y = (X[:, 0] + random.normal(size=60) > 0.5).astype(int)
    ours = of.GaussianClassifier(
        covariance="shared", regularization=0.0, priors=[0.8, 0.2]
    ).fit(X, y)
    spread = sum((y == c).sum() * np.cov(X[y == c].T, ddof=0) for c in (0, 1)) / 60
    joint = [
        p * multivariate_normal(X[y == c].mean(axis=0), spread).pdf(X)
        for c, p in ((0, 0.8), (1, 0.2))
    ]
    np.testing.assert_allclose(
        ours.predict_proba(X), np.transpose(joint / np.sum(joint, axis=0)), rtol=1e-6
    )
    drawn = of.GaussianNaiveBayes(priors=[0.0, 1.0]).fit(X, y).sample(20, 0)[1]
    assert drawn.tolist() == [1] * 20


@pytest.mark.parametrize(
    "given",
    [[0.5], [0.5, 0.6], [-0.5, 1.5], [0.2, 0.3, 0.5], "even", 0.5, [np.nan, 1.0]],
)
@pytest.mark.parametrize(
    "kind", [of.GaussianNaiveBayes, of.GaussianClassifier, of.BernoulliNaiveBayes]
)
def test_wrong_priors_are_told(kind: Any, given: Any) -> None:
    name = "class_prior" if kind is of.BernoulliNaiveBayes else "priors"
    with pytest.raises(
        ArgumentError, match=f"{kind.__name__} {name}: expected 2 probabilities"
    ):
        kind(**{name: given}).fit(X, LABELS)


MANY = np.stack([X[:, 0] > 0, X[:, 1] > 0.3, X[:, 2] > 5], axis=1).astype(int)


@pytest.mark.parametrize(
    "kind", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array, sparse.lil_matrix]
)
@pytest.mark.parametrize(
    "learner",
    [
        of.MLPClassifier((4,), **QUICK),
        of.NetworkClassifier(**QUICK),
        of.CNNClassifier((2,), **QUICK),
    ],
    ids=str,
)
def test_sparse_labels_are_those_of_an_array(learner: Any, kind: Any) -> None:
    dense, found = clone(learner).fit(X, MANY), clone(learner).fit(X, kind(MANY))
    np.testing.assert_array_equal(found.predict_proba(X), dense.predict_proba(X))
    parts = clone(learner).partial_fit(X, kind(MANY), classes=[0, 1, 2])
    np.testing.assert_array_equal(parts.predict(X).shape, (60, 3))
    held = clone(learner).fit(X, kind(MANY), validation_data=(X, kind(MANY)))
    assert len(held.validation_curve_) == 2


@pytest.mark.parametrize(
    "learner", [of.MLPRegressor((4,), **QUICK), of.NetworkRegressor(**QUICK)], ids=str
)
def test_sparse_targets_are_those_of_an_array(learner: Any) -> None:
    y = MANY * X[:, :3]
    found = (
        clone(learner)
        .fit(X, sparse.csr_matrix(y), validation_data=(X, sparse.csr_array(y)))
        .predict(X)
    )
    np.testing.assert_array_equal(found, clone(learner).fit(X, y).predict(X))


def test_logarithms_of_probabilities() -> None:
    learner = of.MLPClassifier((4,), **QUICK).fit(X, LABELS)
    np.testing.assert_allclose(
        learner.predict_log_proba(X), np.log(learner.predict_proba(X)), rtol=1e-12
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for loss in (
            "cross_entropy",
            "binary_cross_entropy",
        ):  # where probabilities are 0, their logarithms are not
            far = of.NetworkClassifier(
                loss=loss,
                epochs=50,
                learning_rate=1.0,
                device="reference",
                random_state=0,
            )
            scores = far.fit(X * 1e3, X[:, 0] > 0).decision_function(X * 1e6)
            assert far.predict_proba(X * 1e6).min() == 0 and abs(scores).max() > 1e4
            expected = -np.logaddexp(0, np.stack([scores, -scores], axis=1))
            np.testing.assert_allclose(
                far.predict_log_proba(X * 1e6), expected, rtol=1e-5
            )
    assert not hasattr(of.MLPClassifier(loss="multiclass_hinge"), "predict_log_proba")
    for unfitted in (
        of.MLPClassifier(),
        of.LogisticRegression(),
        of.SoftmaxRegression(),
    ):
        with pytest.raises(NotFittedError):
            unfitted.predict_log_proba(X)
    assert loss_named("multiclass_hinge").link not in {"softmax", "sigmoid"}

    logistic, theirs = (
        of.LogisticRegression(alpha=1.0).fit(X, LABELS),
        LogisticRegression(tol=1e-10).fit(X, LABELS),
    )
    np.testing.assert_allclose(
        logistic.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-5
    )
    assert (
        logistic.predict_log_proba(X * 1e9).min()
        == -abs(logistic.decision_function(X * 1e9)).max()
    )

    bag = of.BaggingClassifier(random_state=0).fit(X, LABELS)
    np.testing.assert_allclose(bag.predict_log_proba(X), np.log(bag.predict_proba(X)))


TRANSFORMERS: list[Any] = [
    of.PCA(2),
    of.FastICA(2),
    of.TSNE(max_iter=5),
    of.UMAP(n_epochs=2),
    of.AutoencoderTransformer(2, **QUICK),
    of.ParametricUMAP(epochs=1, device="reference"),
]


@pytest.mark.parametrize(
    "learner", TRANSFORMERS, ids=lambda learner: type(learner).__name__
)
def test_every_transformer_names_its_features_and_gives_frames(learner: Any) -> None:
    frame = pd.DataFrame(X, columns=list("abcd"))
    found = clone(learner).set_output(transform="pandas").fit_transform(frame)
    names = [f"{type(learner).__name__.lower()}{i}" for i in range(2)]
    assert (
        found.columns.tolist() == names and found.index.tolist() == frame.index.tolist()
    )
    assert clone(learner).fit(frame).get_feature_names_out().tolist() == names


def test_no_more_neighbors_than_examples() -> None:
    random = np.random.default_rng(0)
    for perplexity in (60, 100, 1000.0):
        with pytest.raises(
            ArgumentError,
            match=r"TSNE perplexity: expected less than n_samples = 60, got (60|1000?)",
        ):
            of.TSNE(perplexity=perplexity).fit(X)
    with pytest.raises(
        ArgumentError, match="TSNE perplexity: expected a number ≥ 1 or 'auto'"
    ):
        of.TSNE(perplexity="many").fit(X)
    assert of.TSNE(max_iter=5).fit(X[:10]).perplexity_ == 3.0
    assert (
        of.TSNE(max_iter=5)
        .fit(np.tile(X, (3, 1)) + random.normal(size=(180, 4)))
        .perplexity_
        == 30.0
    )
    for kind, options in (
        (of.UMAP, {"n_epochs": 2}),
        (of.ParametricUMAP, {"epochs": 1, "device": "reference"}),
    ):
        with pytest.raises(
            ArgumentError,
            match=f"{kind.__name__} n_neighbors: expected at most n_samples = 10, got 11",
        ):
            kind(n_neighbors=11, **options).fit(X[:10])
        assert kind(**options).fit(X[:10]).embedding_.shape == (10, 2)


@pytest.mark.parametrize(
    ("learner", "rows"),
    [
        (of.MLPClassifier(early_stopping=True, **QUICK), 4),
        (of.MLPRegressor(early_stopping=True, **QUICK), 4),
        (of.MLPRegressor(early_stopping=True, validation_fraction=0.01, **QUICK), 20),
        (of.MLPClassifier(early_stopping=True, validation_fraction=0.9, **QUICK), 4),
        (of.MLPRegressor(early_stopping=True, validation_fraction=0.9, **QUICK), 4),
        (of.AutoencoderTransformer(2, early_stopping=True, **QUICK), 4),
    ],
    ids=range(6),
)
def test_errors_name_the_learners_own_parameters(learner: Any, rows: int) -> None:
    y = NUMBERS if is_regressor(learner) else LABELS
    with pytest.raises(
        DeltaruleError, match=f"{type(learner).__name__} validation_fraction"
    ) as told:
        clone(learner).fit(X[:rows], y[:rows])
    assert "validation_split" not in str(told.value)
    if not isinstance(learner, of.AutoencoderTransformer):
        with pytest.raises(
            DeltaruleError, match=f"{type(learner).__name__} validation_fraction"
        ):
            of.fit_together([clone(learner), clone(learner)], X[:rows], y[:rows])
    with pytest.raises(DeltaruleError, match="validation_fraction") as told:
        clone(learner).set_params(
            monitor="val_loss",
            early_stopping=False,
            callbacks=[EarlyStopping("val_loss", 2)],
        ).fit(X, (NUMBERS, LABELS)[not is_regressor(learner)])
    assert "validation_split" not in str(told.value)


def test_words_of_the_training_become_those_of_the_learner() -> None:
    with (
        pytest.raises(
            ArgumentError, match="MLPClassifier random_state: expected a whole number"
        ) as told,
        own_words(of.MLPClassifier()),
    ):
        raise ArgumentError(
            "seed",
            expected="a whole number",
            got="3.5",
            hint="Write validation_split=0.1, or seed=3.",
        )
    assert told.value.hint == "Write validation_fraction=0.1, or random_state=3."
