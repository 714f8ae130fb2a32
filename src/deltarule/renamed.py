"""Old names of modules, so that pickles and imports of earlier releases keep working.

A pickle names the module of each of its classes. The finder is used only for modules that are not found.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

# Package → the modules that moved into it, as ``name`` or ``old name=new name``.
_MOVED: Final = {
    "data.formats": ("cifar idx pickles mapped folders image_folder"),
    "data.preprocessing": ("encoding scaling estimator pretext"),
    "data.sampling": ("batches shuffling split folds"),
    "data.tabular": ("tables header streaming tasks"),
    "generative.autoencoders": (
        "architectures autoencoder vae layers transformer likelihood saving"
    ),
    "generative.inference": (
        "variational families natural joint chains samplers divergence bound"
    ),
    "generative.mixtures": (
        "expectation_maximization mixture_starts=starts mixture_steps=steps"
    ),
    "learners.linear_model": (
        "linear delta_rule delta_step least_squares proximal margin objective "
        "scatter moments design doubled factor newton penalised proximal_newton "
        "quadratic solutions streaming"
    ),
    "learners.manifold_learning": (
        "manifold tsne tsne_step tsne_edges umap umap_step parametric_umap"
    ),
    "learners.matrix_decomposition": ("decomposition components independent"),
    "learners.model_selection": (
        "selection network_search together=batched_fit guises=leakage "
        "tables=probability_tables sampling candidates search_results"
    ),
    "learners.naive_bayes": ("bayes likelihood normal_scores"),
    "learners.nearest_neighbors": ("neighbors search search_sparse"),
    "learners.neural_network": (
        "network network_classifier=classifier network_regressor=regressor "
        "network_checks=checks architectures autoencoder custom stream "
        "snapshots pickling"
    ),
    "nn": (
        "account=layer_cost save=saving drawing=parallel_random folding=layer_fusion"
    ),
    "nn.layers": (
        "activation pieces=hard_activations attention containers convolution "
        "transposed=transposed_convolution corruption embedding global_pooling "
        "pooling positions=window_positions unpooling upsampling "
        "grouped_normalisation=group_normalisation normalisation linear maxout "
        "recurrent regularisation=dropout reshaping=flatten "
        "sparse=masked_linear general=general_network standardize transformer "
        "spatial"
    ),
    "nn.module": ("document tree state=state_dict freezing fault=shape_errors effects"),
    "nn.summary": ("layout=page receptive=receptive_field sizes=input_sizes"),
    "train.fitting": ("fit loop resume rate_range=learning_rate_range"),
    "train.many_models": (
        "slots=batched_models member=model_run joint=batched_step "
        "blocks=row_blocks many_progress=progress many=fit_many"
    ),
    "train.monitoring": ("callbacks metrics history curves progress averages"),
    "train.prediction": ("inference kept=cached_programs snapshot=dependencies"),
    "train.steps": (
        "engine tape=replay_log feed=epoch_data tally=aggregation interrupt "
        "divergence prepare program=step orders=epoch_orders"
    ),
}


def _new_names() -> dict[str, str]:
    """Return the new name of every module that moved."""
    names = {}
    for package, moved in _MOVED.items():
        room = package.partition(".")[0]
        for entry in moved.split():
            old, _, new = entry.partition("=")
            names[f"deltarule.{room}.{old}"] = f"deltarule.{package}.{new or old}"
    return names


NEW_NAMES: Final = _new_names()

# Module → its classes (which pickles may name) and functions with former names: old name → new name.
RENAMED_CLASSES: Final[Mapping[str, Mapping[str, str]]] = {
    "deltarule.nn.module.tree": {"Own": "ModuleState", "Declared": "ParameterSpec"},
    "deltarule.nn.layer_cost": {"Account": "LayerCost"},
    "deltarule.nn.layer_fusion": {"fold": "fuse_layers"},
}


# Layers that files may name by another class name: old name → new name.
RENAMED_LAYERS: Final[Mapping[str, str]] = {"Sign": "BipolarStep"}


class _Alias:
    """Loader that returns the module of another name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002  # a loader's signature
        module = importlib.import_module(self.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # the import system wrote the old name's
        for old, new in RENAMED_CLASSES.get(self.name, {}).items():
            setattr(module, old, getattr(module, new))


class _Finder:
    """Finds modules by their old names."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  # a finder's signature
        target: ModuleType | None = None,  # noqa: ARG002  # a finder's signature
    ) -> ModuleSpec | None:
        new = NEW_NAMES.get(fullname)
        if new is None:
            return None
        message = f"{fullname} is now {new}; files that name it load, and are best saved again"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        alias: Any = _Alias(new)
        return importlib.util.spec_from_loader(fullname, alias)


def warn_former(former: str, now: str) -> None:
    """Warn the caller's caller of a former name.

    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     warn_former("Layer.account", "layer_cost")
    """
    warnings.warn(f"{former} is now {now}", DeprecationWarning, stacklevel=3)


def former_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module: attributes under the names that they had in earlier releases.

    Args:
        module: The module's ``__name__``.
        names: Former name → today's, as ``module:attribute``, or ``module`` for a module itself.

    Raises:
        AttributeError: Of the result, for a name that the module never had.

    >>> find = former_names("deltarule.nn", {"save": "deltarule.nn.saving"})
    >>> find("nothing")
    Traceback (most recent call last):
    AttributeError: module 'deltarule.nn' has no attribute 'nothing'
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, attribute = names[name].partition(":")
        now = f"{place}.{attribute}" if attribute else place
        warn_former(f"{module}.{name}", now)
        found = importlib.import_module(place)
        return getattr(found, attribute) if attribute else found

    return find


def install() -> None:
    """Let the import system find modules by their old names.

    >>> install()  # has no effect the second time
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
