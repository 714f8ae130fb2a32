"""The figures of docs/learners, one function a page; small data, fixed seeds, drawn by ``deltarule.render``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from learners_figures import bayes, components, ensembles, linear, networks

FIGURES: Mapping[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        linear.linear_regression,
        linear.ridge,
        linear.lasso,
        linear.elastic_net,
        linear.perceptron,
        linear.adaline,
        linear.logistic_regression,
        linear.softmax_regression,
        linear.linear_svm,
        bayes.gaussian_naive_bayes,
        bayes.multinomial_naive_bayes,
        bayes.bernoulli_naive_bayes,
        bayes.gaussian_classifier,
        bayes.knn_classifier,
        bayes.knn_regressor,
        components.pca,
        components.fast_ica,
        components.tsne,
        components.umap,
        components.parametric_umap,
        networks.mlp_classifier,
        networks.mlp_regressor,
        networks.cnn_classifier,
        networks.network_classifier,
        networks.network_regressor,
        networks.autoencoder_transformer,
        ensembles.bagging_classifier,
        ensembles.bagging_regressor,
        ensembles.network_search_cv,
        ensembles.snapshots,
        ensembles.running_statistics,
    )
}
