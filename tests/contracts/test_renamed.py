"""Modules that moved are found by their old names: by imports and by pickles of earlier releases."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import deltarule as dr
from deltarule import learners, nn
from deltarule.nn import saving
from deltarule.nn.layer_cost import LayerCost
from deltarule.renamed import NEW_NAMES, RENAMED_CLASSES, RENAMED_LAYERS
from deltarule.shapes import Shape

OLD_NAMES = {new: old for old, new in NEW_NAMES.items()}


def as_of_an_earlier_release(item: object) -> bytes:
    """Pickle in the text protocol, with the modules' old names."""
    text = pickle.dumps(item, protocol=0)
    for new in sorted(OLD_NAMES, key=len, reverse=True):
        text = text.replace(f"c{new}\n".encode(), f"c{OLD_NAMES[new]}\n".encode())
        text = text.replace(f"V{new}\n".encode(), f"V{OLD_NAMES[new]}\n".encode())
    for module, classes in RENAMED_CLASSES.items():
        for old, new in classes.items():
            now, then = (
                f"c{OLD_NAMES[module]}\n{new}\n",
                f"c{OLD_NAMES[module]}\n{old}\n",
            )
            text = text.replace(now.encode(), then.encode())
    return text


def _forget_old_names() -> None:
    for module in [name for name in sys.modules if name in NEW_NAMES]:
        del sys.modules[module]


@pytest.mark.parametrize("old", NEW_NAMES)
def test_a_new_name_is_there_and_the_old_one_is_not(old: str) -> None:
    assert importlib.util.find_spec(NEW_NAMES[old]) is not None
    root = Path(dr.__path__[0]).parent
    assert not root.joinpath(*old.split(".")).with_suffix(".py").exists()


def test_an_old_name_is_the_same_module() -> None:
    program = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from deltarule.nn.linear import Linear
    from deltarule.nn.linear import Linear as again
from deltarule import nn
import deltarule.nn.layers.linear as moved
print(Linear is nn.Linear, again is Linear, moved.__spec__.name, moved.__name__)
print(*(f"{one.category.__name__}: {one.message}" for one in caught), sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == [
        "True True deltarule.nn.layers.linear deltarule.nn.layers.linear",
        "DeprecationWarning: deltarule.nn.linear is now deltarule.nn.layers.linear; "
        "files that name it load, and are best saved again",
    ], done.stderr


def test_a_pickled_learner_of_an_earlier_release_is_read() -> None:
    x = np.arange(12.0).reshape(6, 2)
    y = np.array([0, 0, 0, 1, 1, 1])
    for name in ("LogisticRegression", "GaussianNaiveBayes", "MLPClassifier"):
        learner = getattr(learners, name)().fit(x, y)
        old = as_of_an_earlier_release(learner)
        assert old != pickle.dumps(learner, protocol=0)
        _forget_old_names()
        with pytest.warns(DeprecationWarning, match="is now deltarule"):
            again = pickle.loads(old)
        np.testing.assert_array_equal(again.predict(x), learner.predict(x))


def test_a_pickled_network_of_an_earlier_release_is_read() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    model.initialize(0)
    old = as_of_an_earlier_release(model)
    assert b"\nOwn\n" in old and b"ModuleState" not in old
    _forget_old_names()
    with pytest.warns(DeprecationWarning, match="is now deltarule"):
        again = pickle.loads(as_of_an_earlier_release(model))
    x = np.ones((1, 3))
    np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())


def test_a_module_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("deltarule.nn.nothing")


@pytest.mark.parametrize("module", RENAMED_CLASSES)
def test_renamed_classes_are_found_in_modules_that_moved(module: str) -> None:
    now = importlib.import_module(module)
    assert module in OLD_NAMES
    assert all(hasattr(now, new) for new in RENAMED_CLASSES[module].values())


@pytest.mark.parametrize(
    ("module", "former", "current"),
    [
        ("deltarule.nn", "save", "deltarule.nn.saving"),
        ("deltarule.nn", "fold", "deltarule.nn.fuse_layers"),
        ("deltarule.nn", "Trace", "deltarule.nn.ForwardPass"),
        ("deltarule.nn", "Sign", "deltarule.nn.BipolarStep"),
        ("deltarule.nn", "sign", "deltarule.nn.bipolar_step"),
        (
            "deltarule.nn.layers.activation",
            "Sign",
            "deltarule.nn.layers.activation.BipolarStep",
        ),
        ("deltarule.nn.module", "Module", "deltarule.nn.module.module.Module"),
        ("deltarule.nn.summary", "Summary", "deltarule.nn.summary.summary.Summary"),
        ("deltarule.optim", "Averaged", "deltarule.optim.EMA"),
        ("deltarule.report", "Run", "deltarule.report.RunReport"),
        *(
            (
                "deltarule.tensor.functional",
                name,
                f"deltarule.tensor.convolution.{name}",
            )
            for name in ("average_pool", "convolve", "max_pool")
        ),
    ],
)
def test_former_names_of_attributes_are_found_with_a_warning(
    module: str, former: str, current: str
) -> None:
    with pytest.warns(DeprecationWarning, match=f"{module}.{former} is now {current}"):
        found = getattr(importlib.import_module(module), former)
    assert (getattr(found, "__qualname__", None) or found.__name__) in current
    with pytest.raises(AttributeError, match=f"{module}.*no attribute 'nothing'"):
        importlib.import_module(module).nothing  # noqa: B018  # looked up, not used


def test_files_with_a_former_name_of_a_layer_are_read() -> None:
    for former, current in RENAMED_LAYERS.items():
        layer = saving.build({"class": former, "arguments": {}})
        assert type(layer).__name__ == current


def test_a_former_name_of_a_method_is_called_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="Linear.account is now layer_cost"):
        cost = nn.Linear(3, 2).account((3,), (2,))
    assert cost == nn.Linear(3, 2).layer_cost((3,), (2,))


def test_former_names_of_methods_that_return_records() -> None:
    layer, network = nn.Linear(3, 2), nn.P(2, 1)
    with pytest.warns(DeprecationWarning, match="Linear.source is now source_code"):
        assert layer.source((3,)) == layer.source_code((3,))
    with pytest.warns(DeprecationWarning, match="GeneralNetwork.trace is now forward"):
        passed = network.trace([1.0, 2.0])
    assert passed.output.tolist() == network([1.0, 2.0]).tolist()


def test_a_former_name_of_a_method_may_be_overridden() -> None:
    with pytest.warns(DeprecationWarning, match="Doubled.account is now layer_cost"):

        class Doubled(nn.Activation):
            def forward(self, x: dr.Tensor) -> dr.Tensor:
                return x + x

            def account(self, inputs: Shape, output: Shape) -> LayerCost:
                with pytest.warns(DeprecationWarning, match="layer_cost"):
                    inherited = super().account(inputs, output)
                assert inherited.flops is not None
                return LayerCost(flops=7 * inherited.flops)

    assert Doubled().summary((3,)).rows[-1].flops == 21
