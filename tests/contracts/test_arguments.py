"""The contract of calls: arguments that a public constructor or method does not take end in one ArgumentError."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import inspect
import pickle
import pydoc
import typing
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import data, generative, learners, losses, nn, optim, train
from deltarule.arguments import NamedArguments
from deltarule.data import augment
from deltarule.errors import ArgumentError
from deltarule.nn import init, saving
from deltarule.synonyms import SYNONYMS
from deltarule.tensor import convolution
from support.public import public_callables, public_classes

ROOMS: list[ModuleType] = [nn, optim, losses, train, augment, generative, init]
# Results and records that users do not make, protocols, and those that take any keywords by design.
LEFT_OUT = {"Trainable", "Heads", "Sequential"}


def constructors() -> Iterator[type]:
    seen = set()
    for room in ROOMS:
        for name, found in vars(room).items():
            ours = (
                inspect.isclass(found)
                and found.__module__.startswith("deltarule")
                and name[0] != "_"
            )
            made = (
                ours
                and not inspect.isabstract(found)
                and not issubclass(found, Exception)
            )
            if made and found not in seen and isinstance(found, NamedArguments):
                seen.add(found)
                if found.__name__ not in LEFT_OUT:
                    yield found


CONSTRUCTORS = sorted(
    constructors(), key=lambda cls: f"{cls.__module__}.{cls.__qualname__}"
)


def test_every_family_of_what_users_construct_is_covered():
    assert len(CONSTRUCTORS) > 150
    families = {
        nn.Linear,
        optim.Adam,
        optim.CosineDecay,
        losses.CrossEntropy,
        losses.L2,
        train.EarlyStopping,
        augment.RandomFlip,
        generative.Normal,
        init.Orthogonal,
        train.Metric,
    }
    assert families - {train.Metric} <= set(CONSTRUCTORS)


@pytest.mark.parametrize(
    "cls",
    CONSTRUCTORS,
    ids=lambda cls: f"{cls.__module__.removeprefix('deltarule.')}.{cls.__name__}",
)
def test_unknown_keywords_and_too_many_arguments_are_told(cls):
    with pytest.raises(ArgumentError) as caught:
        cls(**{"no_such_argument": 1})
    assert (
        caught.value.where == cls.__name__ and "no_such_argument=" in caught.value.got
    )
    parameters = inspect.signature(cls.__init__).parameters.values()
    if not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        with pytest.raises(ArgumentError) as caught:
            cls(*range(40))  # a yes/no argument may be looked at first
        assert (
            "by position" in caught.value.expected
            or caught.value.expected == "True or False"
        )


# Type aliases, protocols and abstract classes cannot be called at all.
NOT_CALLED = {
    "CodePenalty",
    "Upsampling",
    "Trainable",
    "Family",
    "Loss",
    "Optimizer",
    "Penalty",
}


CALLABLES = public_callables()
CHECKED = [
    name
    for name in CALLABLES
    if name.rpartition(".")[2] not in NOT_CALLED | {"Heads", "Sequential"}
]  # those two take layers by any name


def test_callables_of_every_public_package_are_found() -> None:
    assert len(CALLABLES) > 500
    packages = {name.split(".")[1] for name in CALLABLES if name.count(".") > 1}
    assert packages >= {
        "data",
        "generative",
        "interop",
        "learners",
        "losses",
        "nn",
        "optim",
        "tensor",
        "train",
    }


def test_exceptions_of_the_contract_are_needed() -> None:
    left_out = {
        name: value
        for name, value in CALLABLES.items()
        if name.rpartition(".")[2] in NOT_CALLED
    }
    assert len(left_out) == len(NOT_CALLED)
    for value in left_out.values():
        assert (
            inspect.isabstract(value)
            or getattr(value, "_is_protocol", False)
            or typing.get_origin(value) is not None
        )


@pytest.mark.parametrize("name", CHECKED)
def test_a_misspelt_option_raises_argument_error(name: str) -> None:
    with pytest.raises(ArgumentError, match="misspelt_option_xyz"):
        CALLABLES[name](misspelt_option_xyz=1)


def is_checked_method(cls: type, name: str) -> bool:
    """Whether a class of the package defines a method that does not take any keywords by design."""
    value = next(vars(base)[name] for base in cls.__mro__ if name in vars(base))
    function = getattr(value, "__func__", value)
    if not inspect.isfunction(function) or not function.__module__.startswith(
        "deltarule"
    ):
        return False
    if getattr(cls, "_is_protocol", False) or issubclass(cls, BaseException):
        return False
    parameters = inspect.signature(function).parameters.values()
    return not any(p.kind is p.VAR_KEYWORD for p in parameters)


METHODS = {
    f"{name}.{method}": getattr(cls, method)
    for name, cls in public_classes().items()
    for method in dir(cls)
    if method[0] != "_" and is_checked_method(cls, method)
}


def test_methods_of_every_kind_of_class_are_found() -> None:
    assert len(METHODS) > 3000
    names = {tuple(name.split(".")[-2:]) for name in METHODS}
    assert names >= {
        ("Linear", "freeze"),
        ("Adam", "config"),
        ("CrossEntropy", "config"),
        ("Dataset", "take"),
        ("History", "to_dict"),
        ("Ridge", "predict"),
        ("Normal", "sample"),
        ("Tensor", "reshape"),
    }


def test_a_misspelt_option_of_a_method_raises_argument_error() -> None:
    """Called without an object: arguments are checked before the body runs."""
    unchecked = []
    for name, method in METHODS.items():
        placeholder = () if inspect.ismethod(method) else (None,)
        got = ""
        with contextlib.suppress(Exception):  # of a method that is not checked
            try:
                method(*placeholder, misspelt_option_xyz=1)
            except ArgumentError as error:
                got = f"{error.where}: {error.got}"
        if got != f"{name.rpartition('.')[2]}: misspelt_option_xyz=":
            unchecked.append(name)
    assert not unchecked


def test_methods_keep_their_signatures_and_kinds() -> None:
    assert str(inspect.signature(generative.Normal.sample)).startswith("(self, shape")
    assert inspect.ismethod(nn.MaskedLinear.from_edges)
    assert list(inspect.signature(nn.Module.freeze).parameters) == ["self", "names"]


def test_methods_of_ones_own_module_are_called_directly() -> None:
    class Own(nn.Module):
        def forward(self, x: dr.Tensor) -> dr.Tensor:
            return x

        def size(self, n: int) -> int:
            return n

    with pytest.raises(TypeError, match="unexpected keyword argument 'm'"):
        Own().size(m=3)  # type: ignore[call-arg]  # the error that is looked for


@pytest.mark.parametrize(
    ("method", "args", "options", "meant"),
    [
        (nn.Linear(2, 2).summary, (), {"input_size": (2,)}, "input_shape="),
        (nn.Linear(2, 2).astype, (), {"dtyp": "float64"}, "dtype="),
        (generative.Normal(0.0, 1.0).sample, (), {"size": 3}, "shape="),
        (generative.Normal(0.0, 1.0).sample, (), {"random_state": 3}, "seed="),
        (learners.Ridge().fit, ([[1.0]], [1.0]), {"sample_weights": 1}, "sample_weight="),
        (nn.MaskedLinear.from_edges, (), {"n_in": 2}, "in_features="),
    ],
)  # fmt: skip
def test_a_misspelt_option_of_a_method_is_answered_with_the_right_one(
    method: Any, args: tuple[Any, ...], options: dict[str, Any], meant: str
) -> None:
    with pytest.raises(ArgumentError, match=f"^{method.__name__}: ") as caught:
        method(*args, **options)
    assert f"Did you mean {meant}" in caught.value.hint


def test_methods_name_their_positional_arguments() -> None:
    with pytest.raises(ArgumentError, match=r"among \*names, got pattern=\."):
        nn.Linear(2, 2).freeze(pattern="*.bias")


@pytest.mark.parametrize(
    ("function", "options", "meant"),
    [
        (train.evaluate, {"metric": "accuracy"}, "metrics="),
        (train.predict, {"batchsize": 3}, "batch_size="),
        (train.fit_many, {"epoch": 3}, "epochs="),
        (train.fit, {"optimiser": "adam"}, "optimizer="),
        (dr.concatenate, {"axs": 0}, "axis="),
        (data.split, {"random_state": 0}, "seed="),
        (data.Pretext, {"input": 0}, "inputs="),
        (learners.Ridge, {"alpa": 0.1}, "alpha="),
        (learners.learning_curve, {"scorings": "r2"}, "scoring="),
        (generative.dense_vae, {"latent_dim": 2}, "latent_size="),
        (generative.convolutional_autoencoder, {"penalty": ()}, "penalties="),
    ],
)
def test_a_misspelt_option_of_a_function_is_answered_with_the_right_one(
    function: Any, options: dict[str, Any], meant: str
) -> None:
    with pytest.raises(ArgumentError, match=f"^{function.__name__}: ") as caught:
        function(**options)
    assert f"Did you mean {meant}" in caught.value.hint


def test_checked_functions_and_classes_are_pickled_by_name() -> None:
    for value in (dr.concatenate, train.fit, data.Pretext, optim.minimize):
        assert pickle.loads(pickle.dumps(value)) is value
    pretext = data.masked_pretext(np.zeros((2, 4)))
    again = pickle.loads(pickle.dumps(pretext))
    assert type(again) is data.Pretext
    np.testing.assert_array_equal(again.inputs, pretext.inputs)


def test_an_error_of_the_body_of_a_function_stays_what_it_is() -> None:
    with pytest.raises(TypeError, match="object of type 'int' has no len"):
        dr.jvp(lambda _: len(3), dr.ones(2), dr.ones(2))  # type: ignore[arg-type]  # the error that is looked for


# What people write who come from PyTorch, Keras and scikit-learn, and the name that the error must give.
FOREIGN: list[tuple[Any, dict[str, Any], str]] = [
    (optim.Adam, {"lr": 1e-3}, "learning_rate="),
    (optim.SGD, {"lr": 0.1}, "learning_rate="),
    (optim.Adam, {"eps": 1e-8}, "epsilon="),
    (optim.Adam, {"betas": (0.9, 0.99)}, "beta1="),
    (optim.RMSProp, {"alpha": 0.9}, "beta="),
    (optim.Adam, {"clipnorm": 1.0}, "clip_norm="),
    (optim.CosineDecay, {"T_max": 5}, "steps="),
    (nn.Dropout, {"p": 0.5}, "drop_probability="),
    (nn.Dropout, {"rate": 0.5}, "drop_probability="),
    (nn.LeakyReLU, {"alpha": 0.1}, "negative_slope="),
    (nn.MaxPool2d, {"pool_size": 2}, "kernel_size="),
    (nn.Conv2d, {"in_channels": 1, "filters": 8}, "out_channels="),
    (nn.Linear, {"units": 3}, "out_features="),
    (nn.Linear, {"in_features": 2, "out_features": 3, "use_bias": False}, "bias="),
    (
        nn.Linear,
        {"in_features": 2, "out_features": 3, "kernel_regularizer": "l2"},
        "regularizers=[losses.L2",
    ),
    (
        nn.Linear,
        {"in_features": 2, "out_features": 3, "activation": "relu"},
        "behind the layer",
    ),
    (nn.LSTM, {"input_size": 2, "units": 3}, "hidden_size="),
    (nn.LSTM, {"input_size": 2, "batch_first": True}, "first axis"),
    (nn.Embedding, {"input_dim": 9, "output_dim": 3}, "num_embeddings="),
    (nn.ReLU, {"inplace": True}, "never changed"),
    (nn.BatchNorm, {"num_features": 4}, "n_channels="),
    (nn.MultiHeadAttention, {"embed_dim": 4, "num_heads": 2}, "n_heads="),
    (losses.CrossEntropy, {"weight": [1, 2]}, "class_weight="),
    (losses.CrossEntropy, {"ignore_index": 0}, "ignore_label="),
    (losses.BinaryCrossEntropy, {"pos_weight": 2.0}, "positive_weight="),
    (losses.L2, {"l2": 0.1}, "strength="),
    (train.EarlyStopping, {"restore_best_weights": True}, "restore_best="),
    (train.EarlyStopping, {"patiense": 3}, "patience="),
    (init.he_normal().__class__, {"scael": 1.0}, "scale="),
]


@pytest.mark.parametrize(
    ("cls", "options", "meant"),
    FOREIGN,
    ids=[f"{c.__name__}-{'-'.join(o)}" for c, o, _ in FOREIGN],
)
def test_names_of_other_libraries_are_answered_with_ours(cls, options, meant):
    with pytest.raises(ArgumentError, match=f"^{cls.__name__}: expected ") as caught:
        cls(**options)
    assert meant in caught.value.hint


# Keywords of PyTorch, Keras and scikit-learn → our name, or the beginning of the sentence that says where it is set.
NAMES_ELSEWHERE: dict[Any, dict[str, str]] = {
    optim.SGD: {
        "lr": "learning_rate=",
        "learning_rate_init": "learning_rate=",
        "momentun": "momentum=",
        "dampening": "Gradients enter the velocity",
        "decay": "weight_decay=",
        "use_nesterov": "nesterov=",
        "l2_regularization": "weight_decay=",
    },
    optim.Adam: {
        "lr": "learning_rate=",
        "eps": "epsilon=",
        "betas": "beta1=",
        "beta_1": "beta1=",
        "beta_2": "beta2=",
        "clipnorm": "clip_norm=",
        "global_clipnorm": "clip_norm=",
        "clipvalue": "clip_value=",
        "max_grad_norm": "clip_norm=",
        "AMSGrad": "amsgrad=",
        "params": "An optimiser is told",
        "use_ema": "Wrap the optimiser: optim.EMA(inner=optim.Adam())",
        "foreach": "Training steps are compiled",
        "fused": "Training steps are compiled",
        "jit_compile": "Training steps are compiled",
        "name": "Layers are named by",
    },
    optim.AdamW: {
        "lr": "learning_rate=",
        "wd": "weight_decay=",
    },
    optim.RMSProp: {
        "alpha": "beta=",
        "rho": "beta=",
    },
    optim.EMA: {
        "ema_momentum": "decay=",
    },
    optim.StepDecay: {
        "step_size": "every=",
        "gamma": "factor=",
        "optimizer": "Pass a schedule to",
        "last_epoch": "A schedule is a",
    },
    optim.ExponentialDecay: {
        "gamma": "decay=",
        "decay_rate": "decay=",
    },
    optim.CosineDecay: {
        "T_max": "steps=",
        "decay_steps": "steps=",
        "eta_min": "end=",
        "initial_learning_rate": "learning_rate=",
    },
    optim.OneCycle: {
        "max_lr": "learning_rate=",
        "total_steps": "steps=",
        "pct_start": "rise=",
    },
    optim.WarmUp: {
        "warmup_steps": "steps=",
    },
    optim.PolynomialDecay: {
        "pwr": "power=",
        "end_learning_rate": "end=",
    },
    optim.Piecewise: {
        "milestones": "boundaries=",
        "values": "rates=",
    },
    nn.Linear: {
        "units": "out_features=",
        "input_dim": "in_features=",
        "n_in": "in_features=",
        "input_size": "in_features=",
        "output_size": "out_features=",
        "n_out": "out_features=",
        "use_bias": "bias=",
        "kernel_regularizer": "Penalties are given to",
        "activation": "Put the activation behind",
        "kernel_initializer": "init=",
        "bias_initializer": "bias_init=",
        "device": "The device is chosen",
        "dtype": 'Write model.astype("float64") for another',
        "weight_decay": "Weight decay is an",
        "name": "Layers are named by",
        "input_shape": "Layers take the sizes",
        "kernel_constraint": "Penalties in place of",
        "random_state": "seed=",
        "lr": "The learning rate is",
        "trainable": "Freeze parameters by name:",
        "fit_intercept": "bias=",
    },
    nn.Conv2d: {
        "filters": "out_channels=",
        "in_features": "in_channels=",
        "kernel": "kernel_size=",
        "filter_size": "kernel_size=",
        "strides": "stride=",
        "dilation_rate": "dilation=",
        "group": "groups=",
        "pad": "padding=",
        "data_format": "Images are channels last:",
        "padding_mode": "Layers pad with zeros",
        "channels": "in_channels=",
        "n_channels": "in_channels=",
        "ksize": "kernel_size=",
    },
    nn.ConvTranspose2d: {
        "out_padding": "output_padding=",
    },
    nn.MaxPool2d: {
        "pool_size": "kernel_size=",
        "strides": "stride=",
    },
    nn.LpPool2d: {
        "norm_type": "p=",
    },
    nn.Dropout: {
        "p": "drop_probability=",
        "rate": "drop_probability=",
        "drop_rate": "drop_probability=",
        "dropout": "drop_probability=",
        "prob": "drop_probability=",
        "inplace": "Tensors are never changed",
    },
    nn.SpatialDropout: {
        "p": "drop_probability=",
    },
    nn.ReLU: {
        "inplace": "Tensors are never changed",
    },
    nn.LeakyReLU: {
        "alpha": "negative_slope=",
        "negative_slop": "negative_slope=",
    },
    nn.ELU: {
        "a": "alpha=",
    },
    nn.Softmax: {
        "dim": "axis=",
    },
    nn.Flatten: {
        "start_dim": "All axes but the",
    },
    nn.PReLU: {
        "num_parameters": "n_channels=",
    },
    nn.BatchNorm: {
        "num_features": "n_channels=",
        "eps": "epsilon=",
        "affine": "scale_and_shift=",
        "track_running_stats": "Running statistics are always",
        "center": "scale_and_shift=",
        "scale": "scale_and_shift=",
    },
    nn.LayerNorm: {
        "normalized_shape": "shape=",
        "elementwise_affine": "There is always a",
    },
    nn.GroupNorm: {
        "num_groups": "n_groups=",
        "num_channels": "n_channels=",
        "groups": "n_groups=",
    },
    nn.InstanceNorm: {
        "num_features": "n_channels=",
    },
    nn.LSTM: {
        "in_features": "input_size=",
        "units": "hidden_size=",
        "hidden_dim": "hidden_size=",
        "out_features": "hidden_size=",
        "num_layers": "Stack layers: nn.Sequential(nn.LSTM(2, 3),",
        "batch_first": "The batch is always",
        "return_sequences": "returns=",
        "go_backwards": "reverse=",
        "bidirectional": "Use two layers, one",
        "dropout": "Put the layer nn.Dropout(drop_probability=0.5)",
        "recurrent_initializer": "hidden_init=",
        "recurrent_dropout": "Put the layer nn.Dropout(drop_probability=0.5)",
    },
    nn.GRU: {
        "return_state": "returns=",
    },
    nn.RNN: {
        "nonlinearity": "The activation of the",
    },
    nn.Embedding: {
        "input_dim": "num_embeddings=",
        "output_dim": "embedding_dim=",
        "vocab_size": "num_embeddings=",
        "embed_dim": "embedding_dim=",
        "padding_idx": "Exclude padded positions from",
        "embeddings_initializer": "init=",
    },
    nn.MultiHeadAttention: {
        "embed_dim": "n_features=",
        "num_heads": "n_heads=",
        "key_dim": "The size of a",
        "is_causal": "causal=",
    },
    nn.TransformerBlock: {
        "d_model": "n_features=",
        "nhead": "n_heads=",
        "dim_feedforward": "hidden_size=",
        "dropout": "drop_probability=",
        "layer_norm_eps": "epsilon=",
    },
    nn.Upsample2d: {
        "scale_factor": "factor=",
        "size": "factor=",
        "mode": "interpolation=",
    },
    nn.PixelShuffle: {
        "upscale_factor": "factor=",
    },
    nn.PixelUnshuffle: {
        "downscale_factor": "factor=",
    },
    nn.GELU: {
        "approx": "approximate=",
    },
    losses.CrossEntropy: {
        "weight": "class_weight=",
        "ignore_index": "ignore_label=",
        "label_smooth": "label_smoothing=",
        "size_average": "reduction=",
        "reduce": "reduction=",
    },
    losses.BinaryCrossEntropy: {
        "pos_weight": "positive_weight=",
        "logits": "from_logits=",
    },
    losses.Huber: {
        "beta": "delta=",
        "threshold": "delta=",
    },
    losses.L2: {
        "l2": "strength=",
        "alpha": "strength=",
        "weight_decay": "strength=",
    },
    losses.L1: {
        "l1": "strength=",
    },
    losses.PoissonNLL: {
        "log_input": "log_rate=",
    },
    losses.Quantile: {
        "q": "quantile=",
        "tau": "quantile=",
    },
    train.EarlyStopping: {
        "restore_best_weights": "restore_best=",
        "metric": "monitor=",
        "n_iter_no_change": "patience=",
    },
    train.Checkpoint: {
        "filepath": "path=",
    },
    train.fit: {
        "batchsize": "batch_size=",
        "n_epochs": "epochs=",
        "max_iter": "epochs=",
        "nb_epoch": "epochs=",
        "criterion": "loss=",
        "callback": "callbacks=",
        "random_state": "seed=",
        "n_jobs": "threads=",
        "optimiser": "optimizer=",
        "optim": "optimizer=",
        "learning_rate": "The learning rate is",
        "lr": "The learning rate is",
        "sample_weights": "sample_weight=",
        "validation_fraction": "validation_split=",
        "eval_set": "validation_data=",
        "early_stopping": "Pass a callback: callbacks=[train.EarlyStopping(patience=5)]",
        "steps_per_epoch": "An epoch is one",
        "initial_epoch": "Resume a run from",
        "x": "inputs=",
        "num_workers": "threads=",
        "metric": "metrics=",
        "weight_decay": "Weight decay is an",
        "verbosity": "verbose=",
    },
    train.predict: {
        "batchsize": "batch_size=",
    },
    train.evaluate: {
        "scoring": "metrics=",
    },
    learners.MLPClassifier: {
        "hidden_layer_sizes": "hidden_sizes=",
        "solver": "optimizer=",
        "learning_rate_init": "learning_rate=",
        "max_iter": "epochs=",
        "seed": "random_state=",
        "n_iter_no_change": "patience=",
    },
    learners.Ridge: {
        "lambda_": "alpha=",
    },
    learners.LogisticRegression: {
        "C": "The strength of the",
        "penalty": "The penalty is chosen",
    },
    learners.KNNClassifier: {
        "k": "n_neighbors=",
    },
    learners.PCA: {
        "k": "n_components=",
        "n_component": "n_components=",
    },
    learners.TSNE: {
        "dim": "n_components=",
        "n_iter": "max_iter=",
    },
    learners.LinearSVM: {
        "C": "The strength of the",
    },
    learners.NetworkSearchCV: {
        "param_distributions": "param_grid=",
    },
    learners.GaussianNaiveBayes: {
        "var_smoothing": "smoothing=",
    },
    learners.Perceptron: {
        "eta0": "learning_rate=",
    },
    learners.BaggingClassifier: {
        "n_estimator": "n_estimators=",
    },
    data.split: {
        "test_size": "test=",
    },
    data.KFold: {
        "random_state": "seed=",
    },
    data.DataLoader: {
        "batchsize": "batch_size=",
    },
    generative.GaussianMixture: {
        "k": "n_components=",
    },
    generative.Normal: {
        "loc": "mean=",
        "scale": "deviation=",
        "mu": "mean=",
    },
    generative.Bernoulli: {
        "probs": "Distributions of classes are",
    },
    generative.Categorical: {
        "probs": "Distributions of classes are",
    },
    generative.dense_vae: {
        "latent_dim": "latent_size=",
        "hidden_sizes": "hidden=",
    },
    generative.VAE: {
        "latent_dim": "latent_size=",
    },
    dr.concatenate: {
        "dim": "axis=",
    },
    dr.stack: {
        "dim": "axis=",
    },
    nn.softmax: {
        "dim": "axis=",
    },
    dr.norm: {
        "dim": "axis=",
    },
    dr.tensor: {
        "requires_grad": "A learnable tensor is",
        "device": "The device is chosen",
    },
    dr.zeros: {
        "size": "shape=",
    },
    dr.take: {
        "index": "indices=",
    },
    dr.where: {
        "input": "x=",
    },
    dr.random_normal: {
        "size": "shape=",
    },
    dr.one_hot: {
        "depth": "n_classes=",
    },
}


@pytest.mark.parametrize(
    ("function", "option", "meant"),
    [
        (function, option, meant)
        for function, options in NAMES_ELSEWHERE.items()
        for option, meant in options.items()
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_keywords_of_other_libraries_are_answered(
    function: Any, option: str, meant: str
) -> None:
    with pytest.raises(ArgumentError, match=f"^{function.__name__}: ") as caught:
        function(**{option: 1})
    assert caught.value.hint.removeprefix("Did you mean ").startswith(meant)


@pytest.mark.parametrize(
    ("method", "option", "meant"),
    [
        ("sum", "dim", "axis="),
        ("mean", "keepdim", "keepdims="),
        ("std", "ddof", "correction="),
        ("argmax", "dim", "axis="),
        ("cumsum", "dim", "axis="),
        ("clip", "min", "low="),
        ("clip", "a_max", "high="),
        ("norm", "ord", "p="),
    ],
)
def test_reductions_answer_keywords_of_other_libraries(
    method: str, option: str, meant: str
) -> None:
    with pytest.raises(ArgumentError, match=f"^{method}: ") as caught:
        getattr(dr.ones((2, 3)), method)(**{option: 1})
    assert f"Did you mean {meant}" in caught.value.hint


def test_there_are_many_keywords_of_other_libraries() -> None:
    assert sum(map(len, NAMES_ELSEWHERE.values())) > 150


def test_every_synonym_leads_to_a_parameter_that_there_is():
    ours = {
        parameter
        for name in CHECKED
        for parameter in inspect.signature(CALLABLES[name]).parameters
    }
    ours |= {
        parameter
        for method in (dr.Tensor.clip, dr.Tensor.var, dr.Tensor.norm)
        for parameter in inspect.signature(method).parameters
    }
    assert {target for targets in SYNONYMS.values() for target in targets} <= ours


MODEL_CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("fit", (1, 2), {"loss": "cross_entropy", "batchsize": 3}, "batch_size="),
    ("fit", (1, 2), {"loss": "cross_entropy", "epoch": 3}, "epochs="),
    ("fit", (1, 2), {"criterion": "cross_entropy"}, "loss="),
    ("evaluate", (1, 2), {"metric": ["accuracy"]}, "metrics="),
    ("predict", (1,), {"batchsize": 3}, "batch_size="),
    ("predict_proba", (1,), {"device_": "cpu"}, "device="),
]


AUTOENCODERS = [
    lambda: generative.Autoencoder(nn.Linear(4, 2), nn.Linear(2, 4)),
    lambda: generative.dense_vae((4,), 1, (2,)),
]


@pytest.mark.parametrize(("method", "args", "options", "meant"), MODEL_CALLS)
def test_misspelt_options_of_a_model_are_told(method, args, options, meant):
    with pytest.raises(
        ArgumentError, match=f"^{method}: expected arguments among"
    ) as caught:
        getattr(nn.Sequential(nn.Linear(2, 2)), method)(*args, **options)
    assert f"Did you mean {meant}" in caught.value.hint


@pytest.mark.parametrize("make", AUTOENCODERS, ids=["Autoencoder", "VAE"])
@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({"epoch": 3}, "epochs="),
        ({"optimiser": "adam"}, "optimizer="),
        ({"batchsize": 3}, "batch_size="),
    ],
)
def test_misspelt_options_of_an_autoencoder_are_named(make, options, meant):
    with pytest.raises(
        ArgumentError, match=r"^fit: expected arguments among"
    ) as caught:
        make().fit(np.zeros((2, 4), np.float32), **options)
    assert f"Did you mean {meant}" in caught.value.hint


@pytest.mark.parametrize("cls", [generative.Autoencoder, generative.VAE])
def test_autoencoders_take_every_option_of_fit(cls):
    base = inspect.signature(nn.Module.fit).parameters
    ours = inspect.signature(cls.fit).parameters
    own = {"loss", "targets"}  # have defaults here
    assert {n: p for n, p in ours.items() if n not in own | {"condition"}} == {
        n: p for n, p in base.items() if n not in own
    }
    assert all(ours[name].annotation == base[name].annotation for name in own)
    assert all(ours[name].default is not inspect.Parameter.empty for name in own)


def test_misspelt_options_of_the_range_test_are_told():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(
        ArgumentError, match=r"^learning_rate_range: expected arguments among"
    ) as caught:
        train.learning_rate_range(
            model, np.zeros((2, 2)), np.zeros(2), loss="cross_entropy", shufle=False
        )
    assert "Did you mean shuffle=" in caught.value.hint


def test_missing_and_repeated_arguments_are_told():
    with pytest.raises(ArgumentError, match=r"Linear: .*got no out_features\."):
        nn.Linear(3)
    with pytest.raises(ArgumentError, match=r"Linear: .*got in_features twice\."):
        nn.Linear(3, in_features=3, out_features=2)
    with pytest.raises(
        ArgumentError,
        match=r"(?s)Adam: expected no argument by position, got 1\..*By name only: learning_rate=",
    ):
        optim.Adam(0.001)
    with pytest.raises(ArgumentError, match=r"fit: .*got no loss\."):
        nn.Sequential(nn.Linear(2, 2)).fit(np.zeros((2, 2)), np.zeros(2))


def test_errors_inside_a_constructor_stay_what_they_are():
    class Broken(nn.Module):
        def __init__(self) -> None:
            self.size = len(3)  # type: ignore[arg-type]  # the error that is looked for

    with pytest.raises(TypeError, match="object of type 'int' has no len"):
        Broken()


def test_a_models_methods_take_what_the_functions_take():
    for name in ("fit", "evaluate", "predict"):
        ours = list(inspect.signature(getattr(nn.Module, name)).parameters.values())[1:]
        functions = list(inspect.signature(getattr(train, name)).parameters.values())[
            1:
        ]
        if name == "predict":
            functions = [p for p in functions if p.name != "loss"]
        assert [(p.name, p.annotation) for p in ours if p.name != "loss"] == [
            (p.name, p.annotation) for p in functions if p.name != "loss"
        ]
        assert [p.default for p in ours if p.name != "loss"] == [
            p.default for p in functions if p.name != "loss"
        ]


def test_help_shows_the_parameters():
    assert list(inspect.signature(nn.Linear).parameters)[:3] == [
        "in_features",
        "out_features",
        "bias",
    ]
    assert list(
        inspect.signature(nn.ReLU).parameters
    ) == [] and "Linear(in_features: 'int'" in pydoc.render_doc(nn.Linear)


def test_dataclasses_can_be_copied_and_compared_as_ever():
    recipe = optim.Adam(learning_rate=0.1)
    assert dataclasses.replace(recipe, beta1=0.8).beta1 == 0.8 and recipe == optim.Adam(
        learning_rate=0.1
    )


@pytest.mark.parametrize(
    ("make", "former", "current"),
    [
        (nn.MaxPool2d, {"window": 3, "rounding": "ceil"}, {"kernel_size": 3, "ceil_mode": True}),
        (nn.AvgPool1d, {"window": 2, "rounding": "floor"}, {"kernel_size": 2, "ceil_mode": False}),
        (nn.AvgPool2d, {"window": 2, "padding_counts": False}, {"kernel_size": 2, "count_include_pad": False}),
        (nn.MaxUnpool2d, {"window": 2}, {"kernel_size": 2}),
        (nn.LeakyReLU, {"slope": 0.2}, {"negative_slope": 0.2}),
        (nn.LSTM, {"n_inputs": 2, "n_hidden": 3}, {"input_size": 2, "hidden_size": 3}),
        (nn.GRUCell, {"n_inputs": 2, "n_hidden": 3}, {"input_size": 2, "hidden_size": 3}),
        (nn.Embedding, {"n_words": 5, "n_features": 2}, {"num_embeddings": 5, "embedding_dim": 2}),
    ],
)  # fmt: skip
def test_names_of_an_earlier_release_are_taken_with_a_warning(
    make: Any, former: dict[str, Any], current: dict[str, Any]
) -> None:
    old, new = list(former), list(current)
    with pytest.warns(DeprecationWarning, match=f"{old[0]}= is now {new[0]}="):
        layer = make(**former)
    assert layer.arguments() == make(**current).arguments()


@pytest.mark.parametrize(
    ("make", "former", "current"),
    [
        (losses.CrossEntropy, {"class_weights": (1.0, 2.0)}, {"class_weight": (1.0, 2.0)}),
        (losses.Focal, {"class_weights": (1.0, 2.0)}, {"class_weight": (1.0, 2.0)}),
        (optim.RMSProp, {"centred": True}, {"centered": True}),
    ],
)  # fmt: skip
def test_former_names_of_losses_and_optimisers(
    make: Any, former: dict[str, Any], current: dict[str, Any]
) -> None:
    (old,), (new,) = former, current
    with pytest.warns(DeprecationWarning, match=f"{old}= is now {new}="):
        made = make(**former)
    assert made == make(**current)
    with pytest.warns(
        DeprecationWarning, match=rf"{make.__name__}\.{old} is now {new}"
    ):
        assert getattr(made, old) == former[old]
    config = {old if name == new else name: v for name, v in made.config().items()}
    room = losses if make.__module__.startswith("deltarule.losses") else optim
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert room.from_config(config) == made
        text = pickle.dumps(made, protocol=0)
        assert new.encode() in text
        assert pickle.loads(text.replace(new.encode(), old.encode())) == made


def test_attributes_and_pickles_of_layers_of_an_earlier_release() -> None:
    layer = nn.Embedding(5, 2)
    with pytest.warns(DeprecationWarning, match="Embedding.n_words is now num_embed"):
        assert layer.n_words == 5
    with pytest.raises(AttributeError, match="Embedding has no attribute 'n_inputs'"):
        layer.n_inputs  # noqa: B018  # looked up, not used
    text = pickle.dumps(layer, protocol=0)
    for new, old in (("num_embeddings", "n_words"), ("embedding_dim", "n_features")):
        assert new.encode() in text
        text = text.replace(new.encode(), old.encode())
    again = pickle.loads(text)
    assert again.arguments() == layer.arguments()
    np.testing.assert_array_equal(again([1, 2]).numpy(), layer([1, 2]).numpy())


def test_attributes_of_ones_own_module_keep_their_names() -> None:
    module = copy.deepcopy(Mine(3))
    assert module.n_features == 3 and not hasattr(module, "embedding_dim")


class Mine(nn.Module):
    """A module with an attribute and a parameter that have the former and the present name of another class's."""

    def __init__(self, embedding_dim: int) -> None:
        self.n_features = embedding_dim


def test_functions_take_names_of_an_earlier_release_too() -> None:
    with pytest.warns(DeprecationWarning, match="slope= is now negative_slope="):
        assert nn.leaky_relu([-1.0], slope=0.5).tolist() == [-0.5]
    for pool in (convolution.average_pool, convolution.max_pool):
        with pytest.warns(DeprecationWarning, match="window= is now kernel_size="):
            assert pool([[[2.0], [2.0]]], window=2).tolist() == [[[2.0]]]
    with pytest.warns(DeprecationWarning, match="n_inputs= is now in_features="):
        generative.convolutional_decoder((8, 8, 1), (4,), n_inputs=2)


def test_a_former_name_with_a_wrong_value_is_refused_in_its_own_words() -> None:
    with pytest.raises(ArgumentError, match="rounding: expected 'floor' or 'ceil'"):
        nn.MaxPool2d(window=2, rounding="up")


def test_a_former_name_beside_the_current_one_is_refused() -> None:
    with pytest.raises(ArgumentError, match="MaxPool2d: expected arguments among"):
        nn.MaxPool2d(kernel_size=2, window=2)


def test_files_of_an_earlier_release_are_read_under_todays_names() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = saving.build(
            {"class": "MaxPool2d", "arguments": {"window": [2, 2], "rounding": "ceil"}}
        )
        recurrent = saving.build(
            {"class": "GRU", "arguments": {"n_inputs": 2, "n_hidden": 3}}
        )
    assert layer.arguments() == nn.MaxPool2d(2, ceil_mode=True).arguments()
    assert recurrent.arguments() == nn.GRU(2, 3).arguments()
