"""Pages of ensembles, of search, and of streaming statistics."""

from __future__ import annotations

import deltarule as dr
from deltarule.explain.explanation import Derivation
from deltarule.explain.results.identities import Identity
from deltarule.graph import build
from deltarule.graph import functions as f
from learners_texts.derivations import number, real, result
from learners_texts.page import Page

_SAMPLES = "each fitted to N rows drawn with replacement. A member has not seen about N/e of them: `oob_score_` is "
_GAIN = (
    "Models that vary with the sample gain: trees, one nearest neighbour, networks. Look at "
    "`error_correlation` first: with c = v averaging gives nothing."
)
_COST = (
    "O(k) times the member, in training, memory and prediction; neural members are "
    "trained side by side in one program."
)


def votes() -> Identity:
    """Prove that averaged probabilities cost no more than the members do."""
    p = f.sigmoid(real("p", 5))
    names = {"p": p, "m": build.mean(p), "n": number(5)}
    return result(
        "p: what each of n members gives the true class, m their mean",
        names,
        (
            "(1 − m)²",
            "=",
            "Σ (1 − p)²/n − Σ (p − m)²/n",
            "the members' mean less what they differ by",
        ),
        ("(1 − m)²", "≤", "Σ (1 − p)²/n", "a variance is never negative"),
        ("−log(m)", "≤", "−Σ log(p)/n", "log is concave (Jensen)"),
    )


def averages() -> Identity:
    """Prove what averaging k predictions does to the error."""
    e = real("e", 5)
    squares, total = build.sum_over(build.multiply(e, e)), build.sum_over(e)
    products = build.subtract(build.multiply(total, total), squares)
    names = {
        "e": e,
        "k": number(5),
        "v": build.divide(squares, number(5)),
        "c": build.divide(products, number(20)),
        "m": build.mean(e),
    }
    return result(
        "e: errors of k members, m their mean, v the mean of e², c that of eᵢeⱼ, i ≠ j",
        names,
        ("m²", "=", "v/k + (k − 1)c/k", "k squares and k(k − 1) products"),
        ("m²", "=", "v − Σ (e − m)²/k", "what the members differ by is gained"),
        ("m²", "≤", "v", "no average is worse than its members are on average"),
    )


def side_by_side() -> Derivation:
    """Derive the sum of the losses of two candidates."""
    x, y = dr.symbol("x", (3,)), dr.symbol("y", ())
    first, second = dr.symbol("theta1", (3,)), dr.symbol("theta2", (3,))
    one, other = first @ x - y, second @ x - y
    return dr.derive(0.5 * one * one + 0.5 * other * other, wrt=[first, second])


def rate() -> Derivation:
    """Derive how the learning rate changes with the epoch t of a cycle of T epochs; ω = π/T."""
    t, omega, eta = dr.symbol("t", ()), dr.symbol("omega", ()), dr.symbol("eta", ())
    return dr.derive(0.5 * eta * (1 + dr.cos(omega * t)), wrt=[t])


def recursion() -> Identity:
    """Prove the update of mean and scatter."""
    return dr.derive_identity("welford")


PAGES: tuple[Page, ...] = (
    Page(
        "BaggingClassifier",
        "P(c|x) = mean over k members of their P(c|x) (or votes), "
        + _SAMPLES
        + "the accuracy of the mean of those that have not seen the example.",
        _GAIN,
        "Stable members (linear ones, [[GaussianNaiveBayes]]) all say the same: one of them suffices. k networks for "
        "the price of one: [[Snapshots]].",
        _COST,
        "Error of k decision trees on digits: held out, and (dashed) as the out-of-bag rows tell, which are too strict "
        "where few trees vote on a row.",
        (
            (
                "Bagging has no gradient of its own, its members do. Why the mean is no worse than they are",
                votes,
            ),
        ),
        ("BaggingRegressor", "Snapshots", "KNNClassifier"),
    ),
    Page(
        "BaggingRegressor",
        "ŷ = mean of k members, "
        + _SAMPLES
        + "R² of the mean of those that have not seen the example.\n\n"
        "Mean square error of the average = v/k + (k − 1)·c/k, v the error of one member, c the mean product of the "
        "errors of two (`error_correlation`).",
        _GAIN,
        "Stable members such as [[LinearRegression]] or [[Ridge]]: one suffices. A smoother curve from neighbours: "
        "[[KNNRegressor]] with a larger k is cheaper.",
        _COST,
        "Error of the average of k of 30 1-NN regressors (300 draws of k), and the formula with their v and c.",
        (
            (
                "Bagging has no gradient of its own, its members do. What averaging them is worth",
                averages,
            ),
        ),
        ("BaggingClassifier", "KNNRegressor", "MLPRegressor"),
    ),
    Page(
        "NetworkSearchCV",
        "best = arg max over candidates of the mean over folds of score(fit on the other folds); then one fit of the "
        "best on all data.\n\nCandidates × folds are trained side by side: one program, one matrix product for all.",
        "Learning rate, penalty, seed, patience or sizes of a network. Random candidates: "
        "`candidates=list(ParameterSampler(…))`. Before believing a score: `find_leaks`, groups split by `GroupKFold`, "
        "rare classes resampled in training rows only.",
        "Learners that are no networks ([[LogisticRegression]], [[KNNClassifier]] …): scikit-learn's `GridSearchCV` "
        "takes them as they are, and a `Pipeline` whose scaler is to be fitted in every fold. Very "
        "many candidates of very different cost: `HalvingGridSearchCV`.",
        "O(candidates·folds) fits, 3 to 20 times as fast as one after the other where the networks are small; memory "
        "that of all of them at once.",
        "Accuracy in four folds of 600 digits against the learning rate, by size of the network: 30 candidates × 4 "
        "folds.",
        (
            (
                "The search compares scores, which have no gradient. Why candidates can share a program: their "
                "losses are added, and each gradient stays its own",
                side_by_side,
            ),
        ),
        ("MLPClassifier", "MLPRegressor", "NetworkClassifier"),
    ),
    Page(
        "Snapshots",
        "η(t) = ½η(1 + cos(π·t/T)) in epoch t of every cycle of T, then from the start; the weights are kept at the "
        "end of each cycle, near a minimum of its own (Huang et al. 2017).\n\nP(c|x) = mean over the snapshots.",
        "An ensemble of networks for the price of one run: hand it over as a callback, then average what `models` "
        "predict.",
        "Time for several runs: [[BaggingClassifier]] over [[MLPClassifier]] has members that differ more. One network "
        "only: [[MLPClassifier]] with `early_stopping`.",
        "One run of training. For k snapshots memory O(k·weights), a prediction O(k·weights).",
        "Error on held-out digits of each of eight snapshots, and of the average of the first k.",
        (
            (
                "How the rate L falls, ω = π/T: the slope is 0 at t = 0 and at t = T, a gentle start and end",
                rate,
            ),
        ),
        ("MLPClassifier", "NetworkClassifier", "BaggingClassifier"),
    ),
    Page(
        "RunningStatistics",
        "μₙ = μₙ₋₁ + (xₙ − μₙ₋₁)/n, Sₙ = Sₙ₋₁ + (xₙ − μₙ)(xₙ − μₙ₋₁); variance S/n, or S/(n − 1).\n\n"
        "Parts are merged by S = S₁ + S₂ + (μ₂ − μ₁)²n₁n₂/n, in any order.",
        "Mean and variance of a stream, of data larger than memory, or of parts counted on several machines.",
        "Data in memory: `x.mean()` and `x.var()` of NumPy. How features move together: [[PCA]] with `partial_fit`.",
        "Time O(d) an example, memory O(d), however long the stream.",
        "Relative error of the variance of 1000 numbers against the size of their mean, and what Σx²/n − μ² makes of "
        "them: it loses all digits.",
        (("The recursion, and the merge with one example", recursion),),
        ("PCA", "GaussianNaiveBayes"),
    ),
)
