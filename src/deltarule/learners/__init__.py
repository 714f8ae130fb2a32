"""Estimators of the scikit-learn convention: classical and neural learners (extra ``[learn]``).

Beside the estimators: streaming statistics, probability on tables, ensembles of fitted models, samplers for rare
classes, curves and leakage checks. Polynomial features are scikit-learn's (``PolynomialFeatures``).
"""

from deltarule.learners.autoencoder import AutoencoderTransformer
from deltarule.learners.bayes import (
    BernoulliNaiveBayes,
    GaussianClassifier,
    GaussianNaiveBayes,
    MultinomialNaiveBayes,
)
from deltarule.learners.decomposition import PCA
from deltarule.learners.delta_rule import Adaline, LogisticRegression, Perceptron
from deltarule.learners.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ErrorCorrelation,
    average_proba,
    bootstrap,
    error_correlation,
    majority,
)
from deltarule.learners.independent import FastICA
from deltarule.learners.least_squares import ElasticNet, Lasso, LinearRegression, Ridge
from deltarule.learners.likelihood import maximum_likelihood
from deltarule.learners.margin import LinearSVM, SoftmaxRegression
from deltarule.learners.neighbors import KNNClassifier, KNNRegressor
from deltarule.learners.network_classifier import (
    CNNClassifier,
    MLPClassifier,
    NetworkClassifier,
)
from deltarule.learners.network_regressor import MLPRegressor, NetworkRegressor
from deltarule.learners.network_search import NetworkSearchCV
from deltarule.learners.parametric_umap import ParametricUMAP
from deltarule.learners.sampling import oversampled, smote, undersampled
from deltarule.learners.selection import (
    Curve,
    Leak,
    find_leaks,
    learning_curve,
    revealing_features,
    shared_groups,
    shared_rows,
    validation_curve,
)
from deltarule.learners.snapshots import Snapshots
from deltarule.learners.streaming import RunningStatistics
from deltarule.learners.tables import conditional, marginal, posterior
from deltarule.learners.together import fit_together
from deltarule.learners.tsne import TSNE
from deltarule.learners.umap import UMAP

__all__ = [
    "PCA",
    "TSNE",
    "UMAP",
    "Adaline",
    "AutoencoderTransformer",
    "BaggingClassifier",
    "BaggingRegressor",
    "BernoulliNaiveBayes",
    "CNNClassifier",
    "Curve",
    "ElasticNet",
    "ErrorCorrelation",
    "FastICA",
    "GaussianClassifier",
    "GaussianNaiveBayes",
    "KNNClassifier",
    "KNNRegressor",
    "Lasso",
    "Leak",
    "LinearRegression",
    "LinearSVM",
    "LogisticRegression",
    "MLPClassifier",
    "MLPRegressor",
    "MultinomialNaiveBayes",
    "NetworkClassifier",
    "NetworkRegressor",
    "NetworkSearchCV",
    "ParametricUMAP",
    "Perceptron",
    "Ridge",
    "RunningStatistics",
    "Snapshots",
    "SoftmaxRegression",
    "average_proba",
    "bootstrap",
    "conditional",
    "error_correlation",
    "find_leaks",
    "fit_together",
    "learning_curve",
    "majority",
    "marginal",
    "maximum_likelihood",
    "oversampled",
    "posterior",
    "revealing_features",
    "shared_groups",
    "shared_rows",
    "smote",
    "undersampled",
    "validation_curve",
]
