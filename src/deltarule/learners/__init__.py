"""Estimators of the scikit-learn convention: classical and neural learners (extra ``[learn]``)."""

from deltarule.learners.autoencoder import AutoencoderTransformer
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
from deltarule.learners.network_classifier import CNNClassifier, MLPClassifier, NetworkClassifier
from deltarule.learners.network_regressor import MLPRegressor, NetworkRegressor

__all__ = [
    "PCA", "Adaline", "AutoencoderTransformer", "BernoulliNaiveBayes", "CNNClassifier", "FastICA",
    "GaussianClassifier", "GaussianNaiveBayes", "KNNClassifier", "KNNRegressor", "Lasso", "LinearRegression",
    "LinearSVM", "LogisticRegression", "MLPClassifier", "MLPRegressor", "MultinomialNaiveBayes",
    "NetworkClassifier", "NetworkRegressor", "Perceptron", "Ridge", "SoftmaxRegression",
]  # fmt: skip
