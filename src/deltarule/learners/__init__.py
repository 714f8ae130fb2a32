"""Estimators of the scikit-learn convention: classical and neural learners (extra ``[learn]``)."""

from deltarule.learners.bayes import (
    BernoulliNaiveBayes,
    GaussianClassifier,
    GaussianNaiveBayes,
    MultinomialNaiveBayes,
)
from deltarule.learners.decomposition import PCA, FastICA
from deltarule.learners.delta_rule import Adaline, LogisticRegression, Perceptron
from deltarule.learners.least_squares import Lasso, LinearRegression, Ridge
from deltarule.learners.margin import LinearSVM, SoftmaxRegression
from deltarule.learners.neighbors import KNNClassifier, KNNRegressor

__all__ = [
    "PCA", "Adaline", "BernoulliNaiveBayes", "FastICA", "GaussianClassifier", "GaussianNaiveBayes", "KNNClassifier",
    "KNNRegressor", "Lasso", "LinearRegression", "LinearSVM", "LogisticRegression", "MultinomialNaiveBayes",
    "Perceptron", "Ridge", "SoftmaxRegression",
]  # fmt: skip
