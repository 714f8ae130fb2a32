r"""Spellings of right and wrong answers, by problem: what students write in LaTeX, Unicode, ASCII and Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import deltarule as dr
from deltarule import losses, nn
from deltarule.tensor.tensor import Tensor


def symbol(name: str, *shape: int) -> Tensor:
    return dr.symbol(name, shape, dtype="float64")


@dataclass(frozen=True)
class Problem:
    """A loss, the variables of the network, the one that is asked for, and answers."""

    make: Callable[[], tuple[Tensor, dict[str, Tensor]]]
    variable: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]


def logistic():
    w, x, b, y = symbol("w", 4), symbol("x", 4), symbol("b"), symbol("y")
    return losses.BinaryCrossEntropy()(w @ x + b, y), {"w": w, "b": b}


def neuron():
    w, x, b, y = symbol("w", 4), symbol("x", 4), symbol("b"), symbol("y")
    a = dr.tanh(w @ x + b)
    return 0.5 * (a - y) ** 2, {"w": w, "b": b}


def scalar_neuron():
    w, x, b, y = symbol("w"), symbol("x"), symbol("b"), symbol("y")
    a = nn.sigmoid(w * x + b)
    return 0.5 * (a - y) ** 2, {"w": w, "b": b}


def two_layers():
    x, y = symbol("x", 3), symbol("y", 2)
    W1, b1 = symbol("W_1", 4, 3), symbol("b_1", 4)
    W2, b2 = symbol("W_2", 2, 4), symbol("b_2", 2)
    z = W2 @ dr.tanh(W1 @ x + b1) + b2
    return losses.CrossEntropy()(z, y), {"W_1": W1, "b_1": b1, "W_2": W2, "b_2": b2}


def rectified():
    x, y = symbol("x", 3), symbol("y", 2)
    W1, W2 = symbol("W_1", 4, 3), symbol("W_2", 2, 4)
    error = W2 @ nn.relu(W1 @ x) - y
    return 0.5 * (error @ error), {"W_1": W1, "W_2": W2}


def least_squares():
    X, w, y = symbol("X", 5, 3), symbol("w", 3), symbol("y", 5)
    error = X @ w - y
    return (error @ error) / 5, {"w": w}


def ridge():
    X, w, y, rate = symbol("X", 5, 3), symbol("w", 3), symbol("y", 5), symbol("lambda")
    error = X @ w - y
    return 0.5 * (error @ error) + 0.5 * rate * (w @ w), {"w": w}


def batch():
    X, Y = symbol("X", 5, 4), symbol("Y", 5, 3)
    W1, b1, W2, b2 = (
        symbol("W_1", 6, 4),
        symbol("b_1", 6),
        symbol("W_2", 3, 6),
        symbol("b_2", 3),
    )
    out = dr.tanh(X @ W1.T + b1) @ W2.T + b2
    return losses.CrossEntropy()(out, Y), {"W_1": W1, "b_1": b1, "W_2": W2, "b_2": b2}


def quadratic():
    A, x, b = symbol("A", 3, 3), symbol("x", 3), symbol("b", 3)
    return x @ A @ x + b @ x, {"x": x, "A": A}


def trace():
    A, X, B = symbol("A", 3, 3), symbol("X", 3, 3), symbol("B", 3, 3)
    return (X.T @ A @ X @ B).trace(), {"X": X}


def cube():
    A = symbol("A", 3, 3)
    return (A @ A @ A).trace() / 3, {"A": A}


def determinant():
    A = symbol("A", 3, 3)
    return dr.linalg.logdet(A), {"A": A}


def norm():
    x, c = symbol("x", 4), symbol("c", 4)
    return (x - c).norm(), {"x": x}


def exponential():
    x, a = symbol("x", 4), symbol("a", 4)
    return dr.exp(a * x).sum(), {"x": x}


def leaky():
    x, y = symbol("x", 3), symbol("y", 4)
    W = symbol("W", 4, 3)
    error = nn.leaky_relu(W @ x, 0.2) - y
    return 0.5 * (error @ error), {"W": W}


PROBLEMS = {
    "logistic": Problem(
        logistic,
        "w",
        (
            "(ŷ − y)x",
            "(yhat - y) x",
            "(y_hat - y)*x",
            "x (ŷ - y)",
            r"\((\hat y - y)x\)",
            r"$(\hat y-y)x$",
            "(p − y)x",
            "(a - y) x",
            r"\frac{\partial \mathcal{L}}{\partial z}\,\mathbf{x}",
            "(1+exp(-z))^(-1) x − y x",
            r"(\hat y - y)x",
            r"(\hat{y}-y)\mathbf{x}",
            r"(\hat{\mathbf y}-\mathbf y)\cdot\mathbf{x}",
            r"\left(\hat{y} - y\right)\boldsymbol{x}",
            r"\left(\sigma(\mathbf{w}^\top\mathbf{x}+b)-y\right)\mathbf{x}",
            r"(\sigma(w^Tx+b)-y)x",
            r"(\sigma(w\cdot x + b)-y)x",
            r"\bigl(\sigma(z) - y\bigr)\, x",
            r"(\operatorname{sigmoid}(z)-y)x",
            "(sigmoid(w^T x + b) - y) x",
            "(sigmoid(wᵀx + b) − y)x",
            "(σ(z) − y)·x",
            "(σ(⟨w, x⟩ + b) − y)x",
            r"(\sigma(\langle w, x\rangle + b)-y)x",
            "(1/(1+e^{-z}) - y)x",
            "(1/(1+e^(-z)) − y)x",
            "(1/(1+exp(-z)) - y) x",
            r"\left(\frac{1}{1+e^{-z}}-y\right)x",
            r"\left(\frac1{1+\exp(-z)}-y\right)x",
            r"\left(\frac{e^z}{1+e^z}-y\right)x",
            r"\frac{\partial L}{\partial z}x",
            r"\frac{\partial L}{\partial z}\frac{\partial z}{\partial w}",
            r"\frac{dL}{dz}\cdot\frac{dz}{dw}",
            "∂L/∂z ∂z/∂w",
            "dL/dz x",
            "dL/dz dz/dw",
            "dz x",
            "dw = dz * x",
            "∂L/∂w = (ŷ − y)x",
            r"\nabla_w L = (\hat y - y) x",
            r"\nabla_{w} L = \hat y x - y x",
            "δ x where δ = ŷ − y",
            "let d = yhat - y; d x",
            "d = yhat - y\nd*x",
            r"\delta = \hat y - y \\ \delta x",
            r"\text{let } \delta = \hat y - y, \quad \delta x",
            r"\begin{align*} \delta &= \hat y - y \\ \frac{\partial L}{\partial w} &= \delta x \end{align*}",
            r"\frac{\partial L}{\partial w_i} = (\hat y - y)x_i",
            "(ŷ − y)xᵢ",
            "(ŷ - y) x_i",
            "(y_hat - y) * x",
            "np.multiply(y_hat - y, x)",
            "(sigmoid(w @ x + b) - y) * x",
            "(1/(1 + np.exp(-z)) - y) * x",
            "(1 / (1 + np.exp(-np.dot(w, x) - b)) - y) * x",
            "dz = y_hat - y\ndw = dz * x.T",
            "z = np.dot(w.T, x) + b\na = 1 / (1 + np.exp(-z))\ndw = (a - y) * x",
            "-(y − ŷ)x",
            "−x(y − ŷ)",
            "½(2ŷ − 2y)x",
            "(ŷ−y)⊙x",
        ),
        (
            "(y − ŷ)x",
            "(ŷ − y)",
            "ŷ − y x",
            "(ŷ − y)w",
            "(z − y)x",
            "(ŷ − y)xᵢ²",
            "2(ŷ − y)x",
            r"\frac{\partial L}{\partial z}\frac{\partial z}{\partial b}x x",
            "(y_hat - y) * w",
            "np.multiply(y_hat + y, x)",
            "let d = yhat + y; d x",
            "δ x where δ = y − ŷ",
            "(tanh(z) − y)x",
        ),
    ),
    "neuron": Problem(
        neuron,
        "w",
        (
            "(ŷ − y)(1 − ŷ²)x",
            "(ŷ - y)(1 - ŷ^2)x",
            "(yhat-y)*(1-yhat^2)*x",
            "(yhat-y)*(1-yhat**2)*x",
            r"(\hat y-y)(1-\hat y^2)x",
            r"(\hat y-y)(1-\tanh^2(z))x",
            r"(\hat y-y)(1-\tanh^2 z)\mathbf x",
            r"(\hat y-y)(1-\tanh(z)^2)x",
            r"(\hat y-y)\left(1-\tanh^{2}(w^\top x+b)\right)x",
            "(ŷ − y)(1 − tanh²(z))x",
            "(ŷ − y)(1 − tanh² z)x",
            "(ŷ − y)tanh'(z)x",
            "(ŷ − y) tanh′(z) x",
            r"(\hat y - y)\tanh'(z)x",
            "(ŷ − y)f'(z)x",
            "(ŷ − y)g'(z) x",
            r"(\hat y-y)f'(z)x",
            r"(\hat y-y)\,g^{\prime}(z)\,x",
            r"(\hat y - y)\varphi'(z)x",
            "(ŷ − y) f' x",
            "(ŷ − y)sech²(z) x",
            r"(\hat y - y)\operatorname{sech}^2(z)x",
            r"\frac{(\hat y-y)x}{\cosh^2 z}",
            "(ŷ − y)x/cosh(z)²",
            "(ŷ − y)x/cosh²(z)",
            "(f(z) − y)f'(z)x",
            "(tanh(z) − y)(1 − tanh(z)²)x",
            r"\frac{\partial L}{\partial \hat y}\frac{\partial \hat y}{\partial z}\frac{\partial z}{\partial w}",
            r"\frac{dL}{d\hat y}\frac{d\hat y}{dz}x",
            "∂L/∂ŷ ∂ŷ/∂z ∂z/∂w",
            "∂L/∂ŷ · ∂ŷ/∂z · x",
            "dL/dz x",
            "(ŷ − y)(1 − ŷ)(1 + ŷ)x",
            "(ŷ − y)x − (ŷ − y)ŷ²x",
            "(y_hat - y) * (1 - y_hat**2) * x",
            "(y_hat - y) * (1 - np.tanh(z)**2) * x",
            "(y_hat - y) * (1 - np.power(y_hat, 2)) * x",
            "np.multiply(y_hat - y, 1 - np.square(y_hat)) * x",
            "(y_hat - y) / np.cosh(z)**2 * x",
            "a = np.tanh(w @ x + b)\n(a - y) * (1 - a**2) * x",
        ),
        (
            "(ŷ − y)x",
            "(ŷ − y)(1 − ŷ)x",
            "(ŷ − y)(1 − z²)x",
            "(ŷ − y)σ'(z)x",
            "(ŷ − y)f(z)x",
            "(ŷ − y)(1 + ŷ²)x",
            "(ŷ − y)tanh(z)x",
            "(ŷ − y)sech(z)x",
            r"\frac{\partial L}{\partial \hat y}\frac{\partial z}{\partial w}",
            "(y_hat - y) * (1 - y_hat) * x",
        ),
    ),
    "scalar neuron": Problem(
        scalar_neuron,
        "w",
        (
            "(ŷ − y)ŷ(1 − ŷ)x",
            r"(\hat y-y)\hat y(1-\hat y)x",
            r"(\hat y-y)\sigma(z)(1-\sigma(z))x",
            r"(\hat y-y)\sigma'(z)x",
            "(ŷ − y)σ′(z)x",
            "(ŷ-y)σ'(wx+b)x",
            "(sigmoid(z)-y) sigmoid'(z) x",
            r"\frac{\partial L}{\partial \hat y}\frac{\partial \hat y}{\partial z}\frac{\partial z}{\partial w}",
            r"\frac{\partial L}{\partial \hat y}\cdot\frac{\partial \hat y}{\partial z}"
            r"\cdot\frac{\partial z}{\partial w}",
            r"\frac{\mathrm{d}L}{\mathrm{d}z}\frac{\mathrm{d}z}{\mathrm{d}w}",
            "dL/dŷ dŷ/dz dz/dw",
            "δ x, where δ = (ŷ − y)σ'(z)",
            "x(ŷ − y)e^{-z}/(1+e^{-z})²",
            r"(\hat y-y)\frac{e^{-z}}{(1+e^{-z})^2}x",
            r"(\hat y-y)\frac{e^{-z}}{\left(1+e^{-z}\right)^{2}}x",
            "(ŷ − y)(ŷ − ŷ²)x",
            "(y_hat - y) * y_hat * (1 - y_hat) * x",
            "s = 1/(1 + np.exp(-(w*x + b)))\n(s - y) * s * (1 - s) * x",
        ),
        (
            "(ŷ − y)x",
            "(ŷ − y)ŷ(1 − ŷ)",
            "(ŷ − y)(1 − ŷ²)x",
            "(y − ŷ)ŷ(1 − ŷ)x",
            "(ŷ − y)σ(z)x",
            "dL/dŷ dz/dw",
        ),
    ),
    "two layers, W₁": Problem(
        two_layers,
        "W_1",
        (
            "δ₁xᵀ",
            "delta_1 x^T",
            "delta1 x^T",
            "δ1 x'",
            "δ_1 x^⊤",
            "δ⁽¹⁾xᵀ",
            r"\delta^{1}x^\top",
            "W₂ᵀ(ŷ−y) ⊙ (1−a₁²) xᵀ",
            r"(W_2^\top\delta_2)\odot(1-\tanh^2(z_1))\,x^\top",
            r"((W_2)^T(\hat{y}-y)\odot(1-a_1^{\odot 2}))x^T",
            r"\delta_{1,i}x_j",
            r"[\delta_1]_i [x]_j",
            r"(\delta_1 x^\top)_{ij}",
            "(x ⊗ δ₁)ᵀ",
            "d2 = y_hat - y\nd1 = (W_2.T @ d2) * (1 - a_1 ** 2)\nreturn np.outer(d1, x)",
            r"\delta _1x^T",
            r"\delta_1x^\top",
            r"\delta _{1}x^{\top}",
            r"\delta^{(1)} x^\top",
            r"\delta^{[1]} x^T",
            r"\boldsymbol\delta_1\mathbf x^\top",
            r"\boldsymbol{\delta}_{1}\mathbf{x}^{\mathsf T}",
            r"\delta_1 x^{\intercal}",
            r"\delta_1\otimes x",
            "δ₁ ⊗ x",
            "outer(δ₁, x)",
            "outer(delta_1, x)",
            "(W₂ᵀ(ŷ − y) ⊙ (1 − a₁²))xᵀ",
            "(W₂ᵀ(ŷ − y) ∘ (1 − a₁²))xᵀ",
            "(W₂ᵀ(ŷ − y) * (1 − a₁²))xᵀ",
            "((1 - a1^2) * (W2^T (yhat - y))) x^T",
            "(W2^T(yhat-y) .* (1-a1^2))x^T",
            "(W2^T(yhat-y) .* (1-a1.^2))x^T",
            r"\frac{\partial L}{\partial W_{1,ij}} = (\delta_1)_i x_j",
            r"\frac{\partial L}{\partial (W_1)_{ij}} = (\delta_1)_i x_j",
            r"\left(W_2^\top(\hat y-y)\odot(1-a_1^2)\right)x^\top",
            r"\left(W_2^\top(\hat y-y)\odot(1-\tanh^2 z_1)\right)x^\top",
            r"\left(W_2^\top(\hat y-y)\odot(1-\tanh^2(W_1x+b_1))\right)x^\top",
            r"\left(W_2^\top(\hat{\mathbf y}-\mathbf y)\odot\tanh'(z_1)\right)\mathbf x^\top",
            r"(W_2^T(\hat y-y)\odot f'(z_1))x^T",
            r"\left(W^{[2]\top}(\hat y-y)\odot(1-(a^{[1]})^2)\right)x^\top",
            r"\left((W^{[2]})^T\delta^{[2]}\odot g'(z^{[1]})\right)x^T",
            r"\left(W^{(2)T}\delta^{(2)}\odot(1-a^{(1)}\odot a^{(1)})\right)x^T",
            r"\operatorname{diag}(1-a_1^2)W_2^T\delta_2x^T",
            r"\mathrm{diag}(1-a_1^2)\,W_2^{\mathsf{T}}\,\delta_2\,x^{\mathsf{T}}",
            r"\operatorname{diag}(\mathbf 1 - a_1\odot a_1)W_2^\top(\hat y-y)x^\top",
            "diag(tanh'(z₁))W₂ᵀ(ŷ − y)xᵀ",
            "(I − diag(a₁)²)W₂ᵀδ₂xᵀ",
            "(W₂ᵀδ₂ ⊙ (𝟙 − a₁ ⊙ a₁))xᵀ",
            r"(W_2^\top\delta_2\odot(\mathbf{1}-a_1^2))x^\top",
            r"\frac{\partial L}{\partial z_1}x^\top",
            r"\frac{\partial L}{\partial z_1}\frac{\partial z_1}{\partial W_1}",
            r"\frac{\partial L}{\partial z_2}\frac{\partial z_2}{\partial a_1}"
            r"\frac{\partial a_1}{\partial z_1}\frac{\partial z_1}{\partial W_1}",
            "∂L/∂z₁ xᵀ",
            "dL/dz_1 x^T",
            "dL/dz1 x^T",
            "dz1 x^T",
            r"\frac{dL}{dz_1}x^T",
            "(δ₁)ᵢ xⱼ",
            "(δ_1)_i x_j",
            r"(\delta_1)_i x_j",
            r"\frac{\partial L}{\partial (W_1)_{ij}} = (\delta_1)_i x_j",
            "Σₖ (W₂)ₖᵢ(ŷₖ − yₖ)(1 − (a₁)ᵢ²)xⱼ",
            r"\sum_k (W_2)_{ki}(\hat y_k-y_k)(1-(a_1)_i^2)x_j",
            r"\sum_{k=1}^{2} (W_2)_{ki}(\hat y_k-y_k)\left(1-(a_1)_i^2\right)x_j",
            r"\left(\sum_{k} W_{2,ki}(\hat y_k-y_k)\right)(1-(a_1)_i^2)x_j",
            "let δ₂ = ŷ − y, δ₁ = W₂ᵀδ₂ ⊙ (1 − a₁²); δ₁xᵀ",
            "δ_2 = ŷ − y\nδ_1 = (W_2ᵀδ_2) ⊙ (1 − a_1²)\n∂L/∂W_1 = δ_1xᵀ",
            r"\delta_1 x^\top \text{ where } \delta_1 = W_2^\top(\hat y - y)\odot(1-a_1^2)",
            "(x δ₁ᵀ)ᵀ",
            "np.outer(delta_1, x)",
            "np.outer(W_2.T @ (y_hat - y) * (1 - a_1**2), x)",
            "np.dot(W2.T, y_hat - y)[:, None] * (1 - a1**2)[:, None] * x[None, :]",
            "(W_2.T @ delta_2 * (1 - a_1**2)).reshape(-1, 1) @ x.reshape(1, -1)",
            "(W_2.T @ delta_2 * (1 - a_1**2)).reshape((4, 1)) @ x.reshape((1, 3))",
            "np.einsum('i,j->ij', delta_1, x)",
            "np.einsum('ki,k,i,j->ij', W_2, y_hat - y, 1 - a_1**2, x)",
            "dz2 = y_hat - y\nda1 = np.dot(W2.T, dz2)\ndz1 = da1 * (1 - np.power(a1, 2))\ndW1 = np.outer(dz1, x)",
            "np.multiply(np.dot(W2.T, y_hat - y), 1 - np.power(a1, 2))[:, np.newaxis] * x",
            "np.diag(1 - a_1**2) @ W_2.T @ np.outer(delta_2, x)",
        ),
        (
            "xδ₁ᵀ",
            "δ₂xᵀ",
            "W₂ᵀ(ŷ − y)xᵀ",
            "(W₂ᵀ(ŷ − y) ⊙ (1 − a₁))xᵀ",
            "(W₂ᵀ(ŷ − y) ⊙ (1 − z₁²))xᵀ",
            "(W₂ᵀ(y − ŷ) ⊙ (1 − a₁²))xᵀ",
            "(W₂(ŷ − y) ⊙ (1 − a₁²))xᵀ",
            "(W₂ᵀŷ ⊙ (1 − a₁²))xᵀ",
            r"(W_2^T(\hat y-y)\odot \sigma'(z_1))x^T",
            "(δ₁)ⱼ xᵢ",
            r"\sum_k (W_2)_{ki}\hat y_k(1-(a_1)_i^2)x_j",
            r"\frac{\partial L}{\partial z_2}\frac{\partial z_2}{\partial a_1}x^T",
            "np.outer(x, delta_1)",
            "np.outer(W_2.T @ (y_hat - y), x)",
            "np.einsum('i,j->ji', delta_1, x)",
            "let δ = ŷ + y; (W₂ᵀδ ⊙ (1 − a₁²))xᵀ",
            "(W₂ᵀδ₂ ⊗ (1 − a₁²))xᵀ",
        ),
    ),
    "two layers, b₂": Problem(
        two_layers,
        "b_2",
        (
            "ŷ − y",
            "δ₂",
            r"\hat y - y",
            r"\delta^{(2)}",
            r"\delta^{[2]}",
            "delta2",
            "softmax(z₂) − y",
            r"\operatorname{softmax}(z_2)-y",
            r"\mathrm{softmax}(W_2a_1+b_2)-\mathbf{y}",
            "e^{z₂}/(𝟙ᵀe^{z₂}) − y",
            r"\frac{e^{z_2}}{\sum_j e^{z_{2,j}}}-y",
            r"\frac{e^{z_2}}{\mathbf 1^\top e^{z_2}}-y",
            "ŷᵢ − yᵢ",
            r"\hat y_i - y_i",
            r"\frac{\partial L}{\partial (b_2)_i}=\hat y_i-y_i",
            r"\sum_k (\hat y_k - y_k)\delta_{ki}",
            "∂L/∂z₂",
            "dL/dz_2",
            "dz2",
            r"\frac{dL}{dz_2}",
            "I(ŷ − y)",
            "y_hat - y",
            "np.exp(z_2)/np.sum(np.exp(z_2)) - y",
            "softmax(z_2) - y",
            "W_2.dot(a_1)*0 + y_hat - y",
        ),
        (
            "y − ŷ",
            "ŷ",
            "softmax(z₂)",
            "σ(z₂) − y",
            "ŷᵢ + yᵢ",
            "np.exp(z_2) - y",
            "(ŷ − y)ᵀ",
            r"\sum_k (\hat y_k - y_k)",
        ),
    ),
    "rectified": Problem(
        rectified,
        "W_1",
        (
            "(W₂ᵀ(ŷ − y) ⊙ 𝟙(z₁ > 0))xᵀ",
            "(W₂ᵀ(ŷ − y) ⊙ 1{z₁ > 0})xᵀ",
            "(W₂ᵀ(ŷ − y) ⊙ [z₁ > 0])xᵀ",
            "(W₂ᵀ(ŷ − y) ⊙ I(z₁ > 0))xᵀ",
            r"(W_2^\top(\hat y-y)\odot\mathbb 1_{z_1>0})x^\top",
            r"(W_2^\top(\hat y-y)\odot\mathbf 1_{\{z_1>0\}})x^\top",
            r"(W_2^\top(\hat y-y)\odot\mathbb{1}[z_1>0])x^\top",
            r"(W_2^\top(\hat y-y)\odot\mathbb{1}\{z_1>0\})x^\top",
            r"(W_2^\top(\hat y-y)\odot 1\{z_1>0\})x^\top",
            r"(W_2^\top(\hat y-y)\odot\operatorname{ReLU}'(z_1))x^\top",
            r"(W_2^\top(\hat y-y)\odot\mathrm{ReLU}'(z_1))x^\top",
            "(W₂ᵀ(ŷ − y) ⊙ relu'(z₁))xᵀ",
            "(W₂ᵀ(ŷ − y) ⊙ ReLU′(W₁x))xᵀ",
            r"(W_2^T(\hat y-y)\odot g'(z_1))x^T",
            r"(W_2^T(\hat y-y)\odot H(z_1))x^T",
            "(W₂ᵀ(ŷ − y) ⊙ step(z₁))xᵀ",
            "(W₂ᵀ(W₂max(0, z₁) − y) ⊙ 𝟙(z₁ > 0))xᵀ",
            r"\left(W_2^\top\left(W_2\max(0,W_1x)-y\right)\odot\mathbb{1}(W_1x>0)\right)x^\top",
            r"\left(W_2^\top(\hat y-y)\odot\begin{cases}1 & z_1>0\\ 0 & z_1\le 0\end{cases}\right)x^\top",
            r"\left(W_2^\top(\hat y-y)\odot\begin{cases}1 & \text{if } z_1>0\\"
            r" 0 & \text{otherwise}\end{cases}\right)x^\top",
            r"\operatorname{diag}(\mathbb{1}(z_1>0))W_2^\top(\hat y-y)x^\top",
            "𝟙((z₁)ᵢ > 0) Σₖ (W₂)ₖᵢ(ŷₖ − yₖ) xⱼ",
            r"\mathbb 1((z_1)_i>0)\sum_k (W_2)_{ki}(\hat y_k-y_k)x_j",
            "np.outer((z_1 > 0) * (W_2.T @ (y_hat - y)), x)",
            "np.outer(np.where(z_1 > 0, 1, 0) * (W_2.T @ (y_hat - y)), x)",
            "np.outer((z1 > 0).astype(float) * np.dot(W2.T, y_hat - y), x)",
            "np.outer(np.where(z_1 > 0, W_2.T @ (y_hat - y), 0), x)",
            "dh = W_2.T @ (W_2 @ np.maximum(0, W_1 @ x) - y)\ndh = dh * (W_1 @ x > 0)\nnp.outer(dh, x)",
        ),
        (
            "W₂ᵀ(ŷ − y)xᵀ",
            "(W₂ᵀ(ŷ − y) ⊙ 𝟙(z₁ < 0))xᵀ",
            "(W₂ᵀ(ŷ − y) ⊙ z₁)xᵀ",
            "(W₂ᵀ(ŷ − y) ⊙ ReLU(z₁))xᵀ",
            "(W₂ᵀ(ŷ − y) ⊙ σ'(z₁))xᵀ",
            r"\left(W_2^\top(\hat y-y)\odot\begin{cases}0 & z_1>0\\ 1 & z_1\le 0\end{cases}\right)x^\top",
            "np.outer((z_1 < 0) * (W_2.T @ (y_hat - y)), x)",
            "np.outer(np.maximum(0, W_2.T @ (y_hat - y)), x)",
        ),
    ),
    "least squares": Problem(
        least_squares,
        "w",
        (
            "2/5 Xᵀ(Xw − y)",
            "(2/5) X^T(Xw - y)",
            "2/5 X^TXw - 2/5 X^Ty",
            "2X^T(Xw-y)/5",
            "2/m X^T(Xw-y)",
            "(2/n)Xᵀ(ŷ − y)",
            r"\frac25X^\top(Xw-y)",
            r"\frac{2}{m}X^T(Xw-y)",
            r"\frac{2}{n}\mathbf X^\top(\mathbf X\mathbf w-\mathbf y)",
            r"\frac{2}{N}(X^TXw - X^Ty)",
            r"\tfrac{2}{5}\,X^{\mathsf T}\,(\hat y-y)",
            r"\frac{2}{5}X^{T}\left(X w-y\right)",
            r"-\frac{2}{m}X^T(y-Xw)",
            r"\frac{2}{m}\sum_{i=1}^m (\hat y_i-y_i)x_i",
            r"\frac{2}{m}\sum_{i=1}^{m}x_i(\hat y_i-y_i)",
            r"\frac2m\sum_i (w^\top x_i-y_i)x_i",
            r"\frac{2}{m}\sum_{i=1}^m\left(w^\top x^{(i)}-y^{(i)}\right)x^{(i)}",
            r"\frac{2}{5}\sum_{i=1}^{5}(\mathbf w^\top\mathbf x_i-y_i)\mathbf x_i",
            r"\frac{2}{m}\sum_{i}(\hat y_i - y_i)X_{ij}",
            r"\frac{\partial L}{\partial w_j}=\frac{2}{m}\sum_{i=1}^m(\hat y_i-y_i)x_{ij}",
            "2/5 Σᵢ (ŷᵢ − yᵢ)xᵢ",
            "2/5 Σᵢ Xᵢⱼ(ŷᵢ − yᵢ)",
            "0.4 Xᵀ(ŷ − y)",
            "2/5 Xᵀr where r = Xw − y",
            r"\frac{2}{m}\sum_{i=1}^{m}(\hat{y}^{(i)}-y^{(i)})x_j^{(i)}",
            r"\frac{2}{m}\sum_{i=1}^{m}(\sum_k X_{ik}w_k-y_i)X_{ij}",
            "2/5*(X'*X*w - X'*y)",
            "0.4 X'(X w - y)",
            r"\frac{2}{m}\left((\hat y-y)^\top X\right)^\top",
            "2/5 * X.T @ (X @ w - y)",
            "2 * X.T @ (X @ w - y) / 5",
            "2 * X.T @ (X @ w - y) / len(y)",
            "2 * X.T.dot(X.dot(w) - y) / X.shape[0]",
            "(2 / X.shape[0]) * np.dot(X.T, np.dot(X, w) - y)",
            "2 * ((X @ w - y)[:, None] * X).mean(axis=0)",
            "2 * np.mean((X @ w - y)[:, None] * X, axis=0)",
            "m = X.shape[0]\nerror = X @ w - y\ngrad = 2 / m * (X.T @ error)",
            "np.einsum('ij,i->j', X, X @ w - y) * 2 / len(X)",
            "n = len(y)\n(2 / n) * X.T @ (X @ w - y)",
            "2 * (X @ w - y) @ X / y.size",
        ),
        (
            "Xᵀ(Xw − y)",
            "2/5 Xᵀ(y − Xw)",
            "1/5 Xᵀ(Xw − y)",
            "2/5 (Xw − y)",
            "2/5 X(Xw − y)",
            r"\frac{2}{m}\sum_{i=1}^m (\hat y_i-y_i)",
            r"\frac{1}{m}\sum_{i=1}^m (\hat y_i-y_i)x_i",
            "2 * X.T @ (X @ w - y) / X.shape[1]",
            "2 * X.T @ (X @ w - y) / len(w)",
            "2 * X.T @ (X @ w - y)",
            r"\sum_i (\hat y_i-y_i)x_i",
        ),
    ),
    "ridge": Problem(
        ridge,
        "w",
        (
            "Xᵀ(Xw − y) + λw",
            "X^T(Xw-y)+λw",
            "X^TXw - X^Ty + lambda w",
            r"X^\top(Xw-y)+\lambda w",
            r"X^TXw-X^Ty+\lambda w",
            r"(X^TX+\lambda I)w-X^Ty",
            r"(\mathbf X^\top\mathbf X+\lambda\mathbf I)\mathbf w-\mathbf X^\top\mathbf y",
            r"(X^\top X+\lambda I_3)w-X^\top y",
            "(XᵀX + λI)w − Xᵀy",
            "(X^TX + λI)w - X^Ty",
            r"\sum_{i=1}^m (w^\top x_i - y_i)x_i+\lambda w",
            r"\sum_i x_{ij}(\hat y_i-y_i)+\lambda w_j",
            "λw − Xᵀ(y − Xw)",
            "(XᵀX + λI)(w − (XᵀX + λI)⁻¹Xᵀy)",
            r"(X^TX+\lambda I)\left(w-(X^TX+\lambda I)^{-1}X^Ty\right)",
        ),
        (
            "Xᵀ(Xw − y)",
            "Xᵀ(Xw − y) + 2λw",
            "Xᵀ(Xw − y) + λI",
            "Xᵀ(Xw − y) − λw",
            "(XᵀX + λ)w − Xᵀy + w",
            "Xᵀ(Xw − y) + λ",
        ),
    ),
    "batch, W₂": Problem(
        batch,
        "W_2",
        (
            "1/5 (Ŷ − Y)ᵀA₁",
            "(Ŷ − Y)ᵀA₁/5",
            "(1/m)(Ŷ - Y)^T A_1",
            "(1/m) (Yhat - Y)^T A1",
            r"\frac1m(\hat Y-Y)^\top A_1",
            r"\frac{1}{m}(\hat{\mathbf Y}-\mathbf Y)^\top\mathbf A_1",
            r"\frac{1}{N}\left(\hat Y-Y\right)^{T}A^{[1]}",
            r"\Delta_2^\top A_1",
            r"\Delta^{(2)T}A^{(1)}",
            "Δ₂ᵀA₁",
            "(A₁ᵀΔ₂)ᵀ",
            "dZ2^T A1",
            "(dL/dZ_2)^T A_1",
            r"\left(\frac{\partial L}{\partial Z_2}\right)^\top A_1",
            r"\frac1m\sum_{k=1}^m(\hat Y_{ki}-Y_{ki})(A_1)_{kj}",
            "1/5 Σₖ (Ŷₖᵢ − Yₖᵢ)(A₁)ₖⱼ",
            r"\frac{1}{m}\sum_{i=1}^m (\hat y^{(i)}-y^{(i)})(a_1^{(i)})^\top",
            r"\sum_{i=1}^m \delta_2^{(i)}{a_1^{(i)}}^\top",
            "(Y_hat - Y).T @ A_1 / 5",
            "(Y_hat - Y).T @ A_1 / len(Y)",
            "1/m * np.dot((Y_hat - Y).T, A1)",
            "m = X.shape[0]\ndZ2 = (Y_hat - Y) / m\ndW2 = dZ2.T @ A1",
            "np.einsum('ni,nj->ij', Y_hat - Y, A_1) / Y.shape[0]",
        ),
        (
            "(Ŷ − Y)ᵀA₁",
            "1/5 (Y − Ŷ)ᵀA₁",
            "1/5 A₁ᵀ(Ŷ − Y)",
            "1/5 ŶᵀA₁",
            r"\frac1m\sum_{k=1}^m\hat Y_{ki}(A_1)_{kj}",
            "(Y_hat - Y).T @ A_1 / 3",
            "1/5 (Ŷ − Y)ᵀZ₁",
        ),
    ),
    "batch, b₂": Problem(
        batch,
        "b_2",
        (
            "Δ₂ᵀ𝟙",
            r"\Delta_2^\top\mathbf 1",
            r"\Delta_2^\top\mathbb{1}",
            r"\frac1m(\hat Y-Y)^\top\mathbf 1",
            r"\frac{1}{m}(\hat Y-Y)^\top\mathbf{1}_m",
            "(1/m)(𝟙ᵀ(Ŷ − Y))ᵀ",
            "1/5 (Ŷ − Y)ᵀ𝟙",
            r"\frac1m\sum_{i=1}^m(\hat Y_{ij}-Y_{ij})",
            r"\frac{1}{m}\sum_{i=1}^m(\hat y^{(i)}-y^{(i)})",
            r"\sum_i (\Delta_2)_{ij}",
            "Σₖ (Δ₂)ₖᵢ",
            "Delta_2.sum(axis=0)",
            "np.sum(Y_hat - Y, axis=0) / 5",
            "np.mean(Y_hat - Y, axis=0)",
            "(Y_hat - Y).mean(0)",
            "(Y_hat - Y).T @ np.ones(5) / 5",
            "(Y_hat - Y).T @ np.ones(Y.shape[0]) / len(Y)",
        ),
        (
            "Δ₂𝟙",
            "(Ŷ − Y)ᵀ𝟙",
            "Δ₂",
            "𝟙ᵀΔ₂",
            "np.sum(Y_hat - Y, axis=0)",
            "np.mean(Y_hat - Y)",
            r"\sum_j (\Delta_2)_{ij}",
        ),
    ),
    "quadratic": Problem(
        quadratic,
        "x",
        (
            "(A + Aᵀ)x + b",
            "Ax + A^Tx + b",
            "(A+A^T)x+b",
            "(A+A')x+b",
            r"(A+A^\top)x+b",
            r"Ax+A^\top x+b",
            r"(\mathbf A+\mathbf A^\top)\mathbf x+\mathbf b",
            "Σⱼ (Aᵢⱼ + Aⱼᵢ)xⱼ + bᵢ",
            r"\sum_j (A_{ij}+A_{ji})x_j+b_i",
            r"\sum_{j=1}^{3} A_{ij}x_j+\sum_{k=1}^3 A_{ki}x_k+b_i",
            r"\begin{pmatrix}1&0&0\\0&1&0\\0&0&1\end{pmatrix}(A+A^\top)x+b",
            "(xᵀA + xᵀAᵀ)ᵀ + b",
            "(A + A.T) @ x + b",
            "A @ x + x @ A + b",
            "np.einsum('ij,j->i', A + A.T, x) + b",
            "np.einsum('ij,j', A, x) + A.T.dot(x) + b",
        ),
        (
            "2Ax + b",
            "(A + Aᵀ)x",
            "(A − Aᵀ)x + b",
            "Ax + b",
            "AᵀAx + b",
            r"\sum_j A_{ij}x_j+b_i",
            "A @ x + A @ x + b",
        ),
    ),
    "trace": Problem(
        trace,
        "X",
        (
            "AXB + AᵀXBᵀ",
            "A X B + A^T X B^T",
            "AXB+A^TXB^T",
            r"AXB+A^\top XB^\top",
            r"\mathbf{A}\mathbf{X}\mathbf{B}+\mathbf{A}^\top\mathbf{X}\mathbf{B}^\top",
            "A @ X @ B + A.T @ X @ B.T",
            "A.dot(X).dot(B) + A.T.dot(X).dot(B.T)",
            "Σₖ Σₗ Aᵢₖ Xₖₗ Bₗⱼ + Σₖ Σₗ Aₖᵢ Xₖₗ Bⱼₗ",
            r"\sum_{kl} A_{ik}X_{kl}B_{lj}+\sum_{k,l}A_{ki}X_{kl}B_{jl}",
        ),
        (
            "2AXB",
            "AXB + AᵀXB",
            "AXB + AXBᵀ",
            "A ⊙ X ⊙ B + AᵀXBᵀ",
            "A * X * B + A.T @ X @ B.T",
        ),
    ),
    "cube": Problem(
        cube,
        "A",
        (
            "(A²)ᵀ",
            "(A^2)^T",
            r"A^{2\top}",
            "np.linalg.matrix_power(A, 2).T",
            "(Aᵀ)²",
            r"(A^2)^\top",
            r"(A^\top)^2",
            r"{A^\top}^2",
            "AᵀAᵀ",
            "(AA)ᵀ",
            "(A^3 A^{-1})^T",
            r"(A^{3}A^{-1})^\top",
            r"\sum_k A_{jk}A_{ki}",
            "(Aᵀ)³A⁻ᵀ",
            "(A @ A).T",
            "A.T @ A.T",
            "np.dot(A, A).T",
            "np.einsum('jk,ki->ij', A, A)",
        ),
        (
            "A²",
            "(A^{∘2})ᵀ",
            "A ⊙ A",
            "(A ⊙ A)ᵀ",
            "A**2",
            "(A**2).T",
            r"A_{ij}^2",
            "3(A²)ᵀ",
            "(A³)ᵀ",
        ),
    ),
    "determinant": Problem(
        determinant,
        "A",
        (
            "(Aᵀ)⁻¹",
            "A⁻ᵀ",
            "(A⁻¹)ᵀ",
            "A^{-T}",
            r"A^{-1\top}",
            "np.linalg.pinv(A).T",
            "A^-T",
            "(A^T)^{-1}",
            "(A^T)^-1",
            "(A^{-1})^T",
            r"A^{-\top}",
            r"A^{-T}",
            r"(A^\top)^{-1}",
            r"\left(A^{-1}\right)^{\top}",
            r"\mathbf A^{-\mathsf T}",
            "inv(A)ᵀ",
            "inv(A^T)",
            "(AAᵀ)⁻¹A",
            "A(AᵀA)⁻¹",
            r"A(A^TA)^{-1}",
            r"(AA^\top)^{-1}A",
            "np.linalg.inv(A).T",
            "np.linalg.inv(A.T)",
            "np.linalg.solve(A.T, np.eye(3))",
            "np.transpose(np.linalg.inv(A))",
        ),
        (
            "A⁻¹",
            "A^{-1}",
            "1/A",
            "1/Aᵀ",
            "Aᵀ",
            "(Aᵀ)^{∘-1}",
            "np.linalg.inv(A)",
            "1 / A.T",
            "A.T ** -1.0",
        ),
    ),
    "norm": Problem(
        norm,
        "x",
        (
            "(x − c)/‖x − c‖",
            "(x-c)/||x-c||",
            r"\frac{x-c}{\|x-c\|}",
            r"\frac{x-c}{\lVert x-c\rVert}",
            r"\frac{x-c}{\left\Vert x-c\right\Vert}",
            r"\frac{x-c}{\|x-c\|_2}",
            r"\frac{x-c}{\sqrt{(x-c)^\top(x-c)}}",
            r"\frac{x-c}{\sqrt{\sum_i (x_i-c_i)^2}}",
            "(x−c)/√((x−c)ᵀ(x−c))",
            "(x − c)/‖x − c‖₂",
            "(x − c)‖x − c‖⁻¹",
            "(x − c)‖x − c‖/‖x − c‖²",
            r"(x-c)\,\|x-c\|^{-1}",
            "(x − c)((x − c)ᵀ(x − c))^{-1/2}",
            r"\frac{x_i-c_i}{\|x-c\|}",
            "(xᵢ − cᵢ)/‖x − c‖",
            "(x - c)/norm(x - c)",
            "(x - c) / np.linalg.norm(x - c)",
            "(x - c) / np.sqrt(np.sum((x - c)**2))",
            "d = x - c\nd / np.sqrt(d @ d)",
        ),
        (
            "(x − c)/‖x − c‖²",
            "x/‖x‖",
            "2(x − c)",
            "(x − c)/‖x − c‖₁",
            "(x − c)/|x − c|",
            "x − c/‖x − c‖",
            "(x - c) / np.abs(x - c)",
        ),
    ),
    "exponential": Problem(
        exponential,
        "x",
        (
            "a ⊙ e^{a⊙x}",
            "a ⊙ exp(a ⊙ x)",
            r"a\odot e^{a\odot x}",
            r"a\odot\exp(a\odot x)",
            r"\mathbf a\odot\mathrm e^{\mathbf a\odot\mathbf x}",
            "diag(a)exp(a ⊙ x)",
            r"a_ie^{a_ix_i}",
            "aᵢ e^{aᵢxᵢ}",
            r"\frac{\partial L}{\partial x_i}=a_i\exp(a_ix_i)",
            "a * np.exp(a * x)",
            "np.multiply(a, np.exp(np.multiply(a, x)))",
            "a*exp(a*x)",
        ),
        (
            "e^{a⊙x}",
            "a ⊙ e^x",
            "x ⊙ e^{a⊙x}",
            "a_ie^{x_i}",
            "np.exp(a * x)",
            "a e^{aᵀx}",
        ),
    ),
    "leaky": Problem(
        leaky,
        "W",
        (
            "((ŷ − y) ⊙ (𝟙(z > 0) + 0.2·𝟙(z ≤ 0)))xᵀ",
            r"((\hat y-y)\odot(\mathbb 1(z>0)+0.2\,\mathbb 1(z\le 0)))x^\top",
            r"\left((\hat y-y)\odot\begin{cases}1&z>0\\0.2&z\le0\end{cases}\right)x^\top",
            "((ŷ − y) ⊙ LeakyReLU'(z))xᵀ",
            r"((\hat y-y)\odot\operatorname{LeakyReLU}'(z))x^\top",
            "((ŷ − y) ⊙ f'(z))xᵀ",
            "((LeakyReLU(Wx) − y) ⊙ f'(z))xᵀ",
            "((max(0.2z, z) − y) ⊙ f'(z))xᵀ",
            "np.outer((y_hat - y) * np.where(z > 0, 1, 0.2), x)",
        ),
        (
            "((ŷ − y) ⊙ 𝟙(z > 0))xᵀ",
            "((ŷ − y) ⊙ ReLU'(z))xᵀ",
            "((ŷ − y) ⊙ (𝟙(z > 0) + 0.1·𝟙(z ≤ 0)))xᵀ",
            "np.outer((y_hat - y) * np.where(z > 0, 1, 0.1), x)",
        ),
    ),
}
