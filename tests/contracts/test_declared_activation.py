"""An activation that a test declares is differentiated, typeset, compiled, exported, saved and loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import activations_page
import numpy as np
import onnx
import pytest

import deltarule as dr
from deltarule import nn
from deltarule.errors import ArgumentError
from deltarule.grad.textbook import TEXTBOOK
from deltarule.graph import build
from deltarule.graph.activation import Notation, OnnxOperator, activation, slope
from deltarule.graph.function import FUNCTIONS
from deltarule.graph.node import Node
from deltarule.interop.onnx import export, load
from deltarule.nn.layers.activation import DeclaredActivation
from support.oracles import onnxruntime, tf, torch

X = np.array([[-2.0, -0.5, 0.3, 4.0]], np.float32)


def _celu_slope(y: Node) -> Node:
    x = y.sources[0]
    scaled = build.divide(build.minimum(x, 0), y.attributes["alpha"])
    return build.exp(scaled)


@pytest.fixture
def celu() -> Iterator[type[DeclaredActivation]]:
    """CELU (Barron 2017), declared as in the library: a function, and the class of its layer."""

    @activation(
        "max(0, x) + min(0, α(e^(x/α) − 1))",
        derivative=slope("CELU′ = e^(min(0, x)/α)", _celu_slope),
        notation=Notation("CELU"),
        init="lecun",
        examples={-1: -0.7869, 2: 2.0},
        onnx=OnnxOperator("Celu", 12, {"alpha": ("alpha", 1.0)}),
        torch="torch.nn.functional.celu",
        settings=({"alpha": 0.5},),
    )
    def celu(x: Node, *, alpha: float) -> Node:
        """Return x for x > 0, α(e^(x/α) − 1) otherwise."""
        bend = build.expm1(build.divide(build.minimum(x, 0), alpha))
        return build.add(build.maximum(x, 0), build.multiply(bend, alpha))

    class CELU(DeclaredActivation, function=celu):
        """x for x > 0, α(e^(x/α) − 1) otherwise."""

        def __init__(self, alpha: float = 1.0) -> None:
            self.alpha = float(alpha)

    yield CELU
    del FUNCTIONS["celu"], DeclaredActivation.layers["CELU"]


def test_it_is_differentiated_by_its_rule(celu: type[DeclaredActivation]) -> None:
    x = dr.tensor(X.astype(np.float64), name="x")
    (gradient,) = dr.grad(celu(0.5)(x).sum(), [x])
    t = torch.tensor(X.astype(np.float64), requires_grad=True)
    tf.celu(t, 0.5).sum().backward()
    np.testing.assert_allclose(gradient.numpy(), t.grad.numpy(), rtol=1e-12)
    assert TEXTBOOK["celu"].name == "CELU′ = e^(min(0, x)/α)"
    assert dr.check_gradients(lambda a: celu(0.5)(a).sum(), x)


def test_it_is_typeset_and_proved(celu: type[DeclaredActivation]) -> None:
    x = dr.symbol("x", (4,))
    derivation = dr.derive(celu(0.5)(x).sum(), wrt=x)
    assert "CELU(x)" in str(derivation)
    assert r"\operatorname{CELU}" in derivation.latex()
    assert derivation.check(points=2)


def test_it_is_compiled(celu: type[DeclaredActivation]) -> None:
    compiled = dr.jit(lambda a: celu(0.5)(a))(dr.tensor(X))
    np.testing.assert_allclose(
        compiled.numpy(), tf.celu(torch.tensor(X), 0.5).numpy(), rtol=1e-6
    )


def test_it_is_exported_to_onnx_and_read(
    celu: type[DeclaredActivation], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    model = nn.Sequential(nn.Linear(4, 3), celu(0.5))
    export(model, path, input_shape=(4,))
    assert "Celu" in [node.op_type for node in onnx.load(path).graph.node]
    session = onnxruntime.InferenceSession(path)
    (theirs,) = session.run(None, {session.get_inputs()[0].name: X})
    np.testing.assert_allclose(theirs, model(X).numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(load(path)(X).numpy(), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "kind",
    [
        nn.ReLU,
        nn.ELU,
        nn.SELU,
        nn.Softplus,
        nn.Mish,
        nn.HardSigmoid,
        nn.HardSwish,
        nn.Softsign,
        nn.LeakyReLU,
        nn.SiLU,
        nn.LogSigmoid,
        nn.HardTanh,
    ],
)
def test_exports_in_float64_run_in_onnxruntime(
    kind: type[nn.Module], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    model = nn.Sequential(nn.Linear(4, 3), kind()).astype("float64")
    export(model, path, input_shape=(4,))
    session = onnxruntime.InferenceSession(path)
    x = X.astype(np.float64)
    (theirs,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(theirs, model(x).numpy(), rtol=1e-12, atol=1e-14)


def test_it_is_saved_and_loaded(celu: type[DeclaredActivation], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = nn.Sequential(nn.Linear(4, 3), celu(0.5))
    model.save(path)
    twin = dr.load(path)
    assert type(twin[1]) is celu
    assert twin.config() == model.config() is not None
    np.testing.assert_array_equal(twin(X).numpy(), model(X).numpy())


def test_weights_before_it_take_its_initialiser(celu: type[DeclaredActivation]) -> None:
    first = nn.Sequential(nn.Linear(4, 3), celu(), seed=0)[0].weight.numpy()
    second = nn.Sequential(nn.Linear(4, 3, init="lecun_normal"), celu(), seed=0)[0]
    np.testing.assert_array_equal(first, second.weight.numpy())


def test_its_docstring_has_an_example_unless_it_has_parameters() -> None:
    assert ">>> [round(y, 4) for y in Mish()([0, 2]).tolist()]" in (
        nn.Mish.__doc__ or ""
    )
    assert ">>> [round(y, 4) for y in mish([0, 2]).tolist()]" in (nn.mish.__doc__ or "")


def test_the_page_of_activations_is_that_of_the_declarations() -> None:
    page = activations_page.PAGE.read_text(encoding="utf-8")
    assert page == activations_page.text(), "run python tools/activations_page.py"


def test_a_name_of_a_built_in_layer_is_refused() -> None:
    with pytest.raises(ArgumentError, match="class ReLU: expected another name"):
        type("ReLU", (DeclaredActivation,), {}, function=nn.Mish.declaration.construct)
