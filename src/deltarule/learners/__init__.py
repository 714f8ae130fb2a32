"""Estimators with the scikit-learn interface, classical and neural (extra ``[learn]``).

Besides the estimators: streaming statistics, discrete probability tables, ensembles of
fitted models, resampling of imbalanced classes, learning curves and leakage checks. For
polynomial features take scikit-learn's ``PolynomialFeatures``.
"""

from deltarule.learners.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ErrorCorrelation,
    average_proba,
    bootstrap,
    error_correlation,
    majority,
)
from deltarule.learners.linear_model.delta_rule import (
    Adaline,
    LogisticRegression,
    Perceptron,
)
from deltarule.learners.linear_model.least_squares import (
    ElasticNet,
    Lasso,
    LinearRegression,
    Ridge,
)
from deltarule.learners.linear_model.margin import LinearSVM, SoftmaxRegression
from deltarule.learners.linear_model.streaming import RunningStatistics
from deltarule.learners.manifold_learning.parametric_umap import ParametricUMAP
from deltarule.learners.manifold_learning.tsne import TSNE
from deltarule.learners.manifold_learning.umap import UMAP
from deltarule.learners.matrix_decomposition.decomposition import PCA
from deltarule.learners.matrix_decomposition.independent import FastICA
from deltarule.learners.model_selection.batched_fit import fit_together
from deltarule.learners.model_selection.network_search import NetworkSearchCV
from deltarule.learners.model_selection.probability_tables import (
    conditional,
    marginal,
    posterior,
)
from deltarule.learners.model_selection.sampling import oversampled, smote, undersampled
from deltarule.learners.model_selection.selection import (
    Curve,
    Leak,
    find_leaks,
    learning_curve,
    revealing_features,
    shared_groups,
    shared_rows,
    validation_curve,
)
from deltarule.learners.naive_bayes.bayes import (
    BernoulliNaiveBayes,
    GaussianClassifier,
    GaussianNaiveBayes,
    MultinomialNaiveBayes,
)
from deltarule.learners.naive_bayes.likelihood import maximum_likelihood
from deltarule.learners.nearest_neighbors.neighbors import KNNClassifier, KNNRegressor
from deltarule.learners.neural_network.autoencoder import AutoencoderTransformer
from deltarule.learners.neural_network.classifier import (
    CNNClassifier,
    MLPClassifier,
    NetworkClassifier,
)
from deltarule.learners.neural_network.regressor import MLPRegressor, NetworkRegressor
from deltarule.learners.neural_network.snapshots import Snapshots

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
