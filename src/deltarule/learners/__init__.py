"""Estimators of the scikit-learn convention: classical and neural learners (extra ``[learn]``)."""

from deltarule.learners.bayes import (
    BernoulliNaiveBayes,
    GaussianClassifier,
    GaussianNaiveBayes,
    MultinomialNaiveBayes,
)
from deltarule.learners.delta_rule import Adaline, LogisticRegression, Perceptron
from deltarule.learners.least_squares import Lasso, LinearRegression, Ridge

__all__ = [
    "Adaline", "BernoulliNaiveBayes", "GaussianClassifier", "GaussianNaiveBayes", "Lasso", "LinearRegression",
    "LogisticRegression", "MultinomialNaiveBayes", "Perceptron", "Ridge",
]  # fmt: skip
