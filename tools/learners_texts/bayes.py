"""Pages of generative classifiers: P(c)·P(x|c), each with another P(x|c)."""

from __future__ import annotations

import deltarule as dr
from deltarule import nn
from deltarule.explain.explanation import Derivation
from learners_texts.page import Page

_BAYES = "arg max_c ln P(c) + ln P(x|c), P(c|x) by Bayes' rule in logarithms; "
_STREAMS = (
    " Streams: `partial_fit` gives the estimates of all chunks together. New "
    "examples: `sample` draws them from P(x|c)."
)
_COST = "One pass O(N·d), prediction O(K·d) an example. Memory O(K·d) beside the data, whatever the number of chunks."


def normal() -> Derivation:
    """Derive −ln of a normal density (less a constant); s = ln σ²."""
    x, mu, s = dr.symbol("x", (3,)), dr.symbol("mu", (3,)), dr.symbol("s", (3,))
    gap = x - mu
    return dr.derive((0.5 * gap * gap * dr.exp(-s) + 0.5 * s).sum(), wrt=[mu, s])


def counts() -> Derivation:
    """Derive −ln of the probability of counts; p = softmax(η) keeps Σp = 1."""
    n, eta = dr.symbol("n", (4,)), dr.symbol("eta", (4,))
    p = nn.softmax(eta)
    return dr.derive(
        -(n * dr.log(p)).sum(),
        wrt=[eta],
        names={p: "p"},
        assume={n: "nonnegative"},  # counts sum to N
    )


def switches() -> Derivation:
    """Derive −ln of the probability of switches; p = σ(η) stays between 0 and 1."""
    x, eta = dr.symbol("x", (4,)), dr.symbol("eta", (4,))
    p = nn.sigmoid(eta)
    return dr.derive(
        -(x * dr.log(p) + (1 - x) * dr.log(1 - p)).sum(), wrt=[eta], names={p: "p"}
    )


def full_normal() -> Derivation:
    """Derive −ln of a normal density of several dimensions, with Σ⁻¹ = AᵀA."""
    x, mu, A = dr.symbol("x", (3,)), dr.symbol("mu", (3,)), dr.symbol("A", (3, 3))
    z = A @ (x - mu)
    return dr.derive(0.5 * (z * z).sum() - dr.linalg.logdet(A), wrt=[mu, A])


PAGES: tuple[Page, ...] = (
    Page(
        "GaussianNaiveBayes",
        _BAYES
        + "P(x|c) = Πⱼ N(xⱼ; μ_cj, σ²_cj), mean and variance of each feature in each class.",
        "Numbers, very few examples, or a first answer in one pass." + _STREAMS,
        "Features that repeat each other: it ranks classes well and is too sure of them; take [[GaussianClassifier]], "
        "which knows how they move together, or [[LogisticRegression]]. Counts: [[MultinomialNaiveBayes]].",
        _COST,
        "Petal widths of two kinds of iris: the density of each class, and the posterior by Bayes' rule.",
        (
            (
                "−ln of a normal density, s = ln σ²: zero at the mean, and at σ² = mean of (x − μ)²",
                normal,
            ),
        ),
        ("GaussianClassifier", "MultinomialNaiveBayes", "BernoulliNaiveBayes"),
    ),
    Page(
        "MultinomialNaiveBayes",
        _BAYES + "P(x|c) ∝ Π_w p(w|c)^count, p(w|c) = (count + α)/(total + α·words).",
        "Documents as counts of words, or anything that is counted; a vocabulary of thousands is no burden."
        + _STREAMS,
        "Whether a word occurs matters more than how often (short texts): [[BernoulliNaiveBayes]]. Numbers that are "
        "no counts: [[GaussianNaiveBayes]]. Enough texts to weigh words against each other: [[LogisticRegression]].",
        _COST,
        "P(class|the words so far) while an unseen sentence is read word by word: every known word adds its own "
        "ln p(w|c).",
        (
            (
                "−ln of the probability of counts n, p = softmax(η): zero where p = n/Σn, which α smooths",
                counts,
            ),
        ),
        ("BernoulliNaiveBayes", "GaussianNaiveBayes"),
    ),
    Page(
        "BernoulliNaiveBayes",
        _BAYES
        + "P(x|c) = Πⱼ p_cj^xⱼ(1 − p_cj)^(1 − xⱼ), xⱼ = 1 above `threshold`, p_cj = (count + α)/(N_c + 2α).",
        "Yes-or-no features: does a word occur, is a pixel inked. What is absent counts as evidence too."
        + _STREAMS,
        "How often matters: [[MultinomialNaiveBayes]]. How much matters: [[GaussianNaiveBayes]]. Pixels that belong "
        "together: [[CNNClassifier]].",
        _COST,
        "What it learns from 1797 digits: p_cj, the probability that a pixel is inked (bright) in that class.",
        (
            (
                "−ln of the probability of switches x, p = σ(η): over the data zero where p = mean of x",
                switches,
            ),
        ),
        ("MultinomialNaiveBayes", "GaussianNaiveBayes"),
    ),
    Page(
        "GaussianClassifier",
        _BAYES
        + "P(x|c) = N(x; μ_c, Σ_c). An own Σ_c for each class gives quadratic boundaries, a shared Σ straight "
        "ones (linear discriminant analysis).",
        "Classes that are clouds of roughly elliptic shape; features that move together."
        + _STREAMS,
        "Many features and few examples: Σ has d²/2 numbers to estimate; take [[GaussianNaiveBayes]], or raise "
        "`regularization`. Classes of another shape: [[KNNClassifier]] or [[MLPClassifier]].",
        "One pass O(N·d²), then O(K·d³); prediction O(K·d²) an example. Memory O(K·d²) beside the data.",
        "Two kinds of iris: the ellipses hold 39 % and 86 % of each class (one and two deviations), the line is where "
        "both are equally probable.",
        (
            (
                "−ln of a normal density, Σ⁻¹ = AᵀA: over the data zero at the mean, and where Σ is their covariance",
                full_normal,
            ),
        ),
        ("GaussianNaiveBayes", "LogisticRegression"),
    ),
)
