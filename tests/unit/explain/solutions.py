r"""Derivations as students write them, with the marks of a teacher: ✓ right, ~ right given an error, ✗ wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import deltarule as dr
from deltarule import losses, nn
from deltarule.tensor.tensor import Tensor


def symbol(name: str, *shape: int) -> Tensor:
    return dr.symbol(name, shape, dtype="float64")


Problem = tuple[Tensor, dict[str, Tensor]]


def perceptron() -> Problem:
    """Cross-entropy of a network with one tanh layer."""
    x, y = symbol("x", 3), symbol("y", 2)
    W1, b1 = symbol("W_1", 4, 3), symbol("b_1", 4)
    W2, b2 = symbol("W_2", 2, 4), symbol("b_2", 2)
    z = W2 @ dr.tanh(W1 @ x + b1) + b2
    return losses.CrossEntropy()(z, y), {"W_1": W1, "b_1": b1, "W_2": W2, "b_2": b2}


def rectified() -> Problem:
    """Half squared error of a network with two ReLU layers."""
    x, y = symbol("x", 3), symbol("y", 2)
    W1, W2, W3 = symbol("W_1", 5, 3), symbol("W_2", 4, 5), symbol("W_3", 2, 4)
    out = W3 @ nn.relu(W2 @ nn.relu(W1 @ x))
    return 0.5 * ((out - y) ** 2).sum(), {"W_1": W1, "W_2": W2, "W_3": W3}


def softmax_regression() -> Problem:
    """Mean cross-entropy of a batch under a linear model."""
    X, Y, W, b = symbol("X", 6, 4), symbol("Y", 6, 3), symbol("W", 3, 4), symbol("b", 3)
    return losses.CrossEntropy()(X @ W.T + b, Y), {"W": W, "b": b}


def batch() -> Problem:
    """Mean cross-entropy of a batch under a tanh network."""
    X, Y = symbol("X", 5, 4), symbol("Y", 5, 3)
    W1, b1 = symbol("W_1", 6, 4), symbol("b_1", 6)
    W2, b2 = symbol("W_2", 3, 6), symbol("b_2", 3)
    out = dr.tanh(X @ W1.T + b1) @ W2.T + b2
    loss = losses.CrossEntropy()(out, Y)
    return loss, {"W_1": W1, "b_1": b1, "W_2": W2, "b_2": b2}


def least_squares() -> Problem:
    """Half the sum of squares of a linear model, with ridge penalty."""
    X, w, y, rate = symbol("X", 7, 3), symbol("w", 3), symbol("y", 7), symbol("lambda")
    error = X @ w - y
    return 0.5 * (error @ error) + 0.5 * rate * (w @ w), {"w": w}


def neuron() -> Problem:
    """Half squared error of a sigmoid neuron."""
    w, x, b, y = symbol("w", 4), symbol("x", 4), symbol("b"), symbol("y")
    return 0.5 * (nn.sigmoid(w @ x + b) - y) ** 2, {"w": w, "b": b}


def recurrent() -> Problem:
    """Two steps of a recurrent network, with shared weights."""
    x1, x2, y = symbol("x_1", 3), symbol("x_2", 3), symbol("y", 2)
    W, U, V = symbol("W", 4, 3), symbol("U", 4, 4), symbol("V", 2, 4)
    h1 = dr.tanh(W @ x1)
    h2 = dr.tanh(W @ x2 + U @ h1)
    error = V @ h2 - y
    return 0.5 * (error @ error), {"W": W, "U": U, "V": V}


def attention() -> Problem:
    """A head of dot-product attention with half squared error."""
    Q, K, V, Y = (symbol(name, 4, 3) for name in ("Q", "K", "V", "Y"))
    A = nn.softmax(Q @ K.T / 3**0.5)
    return 0.5 * ((A @ V - Y) ** 2).sum(), {"Q": Q, "K": K, "V": V}


PROBLEMS: dict[str, Callable[[], Problem]] = {
    make.__name__: make
    for make in (
        perceptron,
        rectified,
        softmax_regression,
        batch,
        least_squares,
        neuron,
        recurrent,
        attention,
    )
}


@dataclass(frozen=True)
class Solution:
    """An answer to a problem, the gradients asked for, and the marks expected, one a line that is not empty."""

    name: str
    problem: str
    wrt: str
    text: str
    marks: str
    points: float
    maximum: float
    contains: str = ""


SOLUTIONS = [
    Solution(
        "all right in Unicode",
        "perceptron",
        "W_1 W_2",
        "δ₂ = ŷ − y\nδ₁ = W₂ᵀ δ₂ ⊙ (1 − a₁²)\n∂L/∂W₁ = δ₁ xᵀ\n∂L/∂W₂ = δ₂ a₁ᵀ",
        "✓✓✓✓",
        4,
        4,
    ),
    Solution(
        "align environment, sign of the error",
        "perceptron",
        "W_1",
        r"""\begin{align*}
\delta_2 &= \hat{y} + y \\
\delta_1 &= W_2^\top \delta_2 \odot (1 - a_1^2) \\
\frac{\partial L}{\partial W_1} &= \delta_1 x^\top
\end{align*}""",
        "✗~~",
        2,
        3,
        "sign",
    ),
    Solution(
        "derivative of tanh forgotten",
        "perceptron",
        "W_1 b_1",
        "1) δ₂ = ŷ − y\n2) δ₁ = W₂ᵀδ₂\n3) ∂L/∂W₁ = δ₁xᵀ\n4) ∂L/∂b₁ = δ₁",
        "✓✗~~",
        3,
        4,
        "1 − a₁²",
    ),
    Solution(
        "final answer alone",
        "perceptron",
        "W_1",
        "∂L/∂W₁ = (W₂ᵀ(ŷ − y) ⊙ (1 − tanh²(z₁))) xᵀ",
        "✓",
        3,
        3,
    ),
    Solution(
        "final answer alone, derivative of tanh forgotten",
        "perceptron",
        "W_1",
        "∂L/∂W₁ = W₂ᵀ(ŷ − y) xᵀ",
        "✗",
        2,
        3,
        "1 − a₁²",
    ),
    Solution(
        "δ₁ used and never derived",
        "perceptron",
        "W_1",
        "∂L/∂W₁ = δ₁ xᵀ",
        "✓",
        1,
        3,
    ),
    Solution(
        "names of one's own",
        "perceptron",
        "W_1 b_2",
        "let e = ŷ − y\nlet d = (W₂ᵀ e) ⊙ (1 − a₁ ⊙ a₁)\nso ∂L/∂W₁ = d xᵀ\nand ∂L/∂b₂ = e",
        "✓✓✓✓",
        4,
        4,
    ),
    Solution(
        "a name of one's own with a wrong value, meant as the error",
        "perceptron",
        "W_1",
        "let e = ŷ + y\nd = W₂ᵀe ⊙ (1 − a₁²)\n∂L/∂W₁ = d xᵀ",
        "✗~~",
        2,
        3,
    ),
    Solution(
        "the error with the other sign, and a minus later",
        "perceptron",
        "W_1",
        "e = y − ŷ\n∂L/∂W₁ = −(W₂ᵀe ⊙ (1 − a₁²)) xᵀ",
        "✓✓",
        3,
        3,
        "−∂L/∂z₂",
    ),
    Solution(
        "δ₁ as the derivative by a₁, consistently",
        "perceptron",
        "W_1",
        "δ₂ = ŷ − y\nδ₁ = W₂ᵀδ₂\n∂L/∂W₁ = (δ₁ ⊙ (1 − a₁²)) xᵀ",
        "✓✓✓",
        3,
        3,
        "∂L/∂a₁",
    ),
    Solution(
        "layers counted from the output",
        "perceptron",
        "W_1 W_2",
        "δ₁ = ŷ − y\nδ₂ = W₂ᵀδ₁ ⊙ (1 − a₁²)\n∂L/∂W₂ = δ₁a₁ᵀ\n∂L/∂W₁ = δ₂xᵀ",
        "✓✓✓✓",
        4,
        4,
    ),
    Solution(
        "chains of equalities and words",
        "perceptron",
        "W_1",
        """Backpropagation, starting at the output:
∂L/∂z₂ = ŷ − y =: δ₂ (softmax and cross-entropy)
By the chain rule ∂L/∂z₁ = W₂ᵀδ₂ ⊙ tanh′(z₁) = W₂ᵀδ₂ ⊙ (1 − a₁²) =: δ₁.
Hence
∂L/∂W₁ = ∂L/∂z₁ ∂z₁/∂W₁ = δ₁xᵀ""",
        "?✓✓?✓",
        3,
        3,
    ),
    Solution(
        "a chain with a wrong last link",
        "perceptron",
        "b_1",
        "δ₂ = ŷ − y\nδ₁ = W₂ᵀδ₂ ⊙ tanh′(z₁) = W₂ᵀδ₂ ⊙ (1 − a₁)\n∂L/∂b₁ = δ₁",
        "✓✗~",
        2.5,
        3,
    ),
    Solution(
        "program of the course",
        "perceptron",
        "W_1 b_1 W_2 b_2",
        """dz2 = y_hat - y
dW2 = np.outer(dz2, a1)
db2 = dz2
dz1 = (W2.T @ dz2) * (1 - a1**2)  # tanh
dW1 = np.outer(dz1, x)
db1 = dz1""",
        "✓✓✓✓✓✓",
        6,
        6,
    ),
    Solution(
        "program with a transposed weight update",
        "perceptron",
        "W_1 W_2",
        "dz2 = y_hat - y\ndW2 = np.outer(a1, dz2)\ndz1 = (W2.T @ dz2) * (1 - a1**2)\ndW1 = np.outer(dz1, x)",
        "✓✗✓✓",
        3,
        4,
        "transposed",
    ),
    Solution(
        "a forward line without the bias",
        "perceptron",
        "b_2",
        "z₁ = W₁x\na₁ = tanh(z₁)\n∂L/∂b₂ = ŷ − y",
        "✗~✓",
        1,
        2,
        "b₁",
    ),
    Solution(
        "three layers, one path of the transposes wrong",
        "rectified",
        "W_1",
        """δ₃ = ŷ − y
δ₂ = W₃ᵀδ₃ ⊙ 𝟙(z₂ > 0)
δ₁ = W₂ᵀδ₂ ⊙ 𝟙(z₂ > 0)
∂L/∂W₁ = δ₁xᵀ""",
        "✓✓✗~",
        3,
        4,
    ),
    Solution(
        "three layers in LaTeX with layer superscripts",
        "rectified",
        "W_1 W_2",
        r"""\delta^{(3)} = \hat y - y
\delta^{(2)} = (W^{(3)})^T \delta^{(3)} \odot \mathrm{ReLU}'(z^{(2)})
\delta^{(1)} = (W^{(2)})^T \delta^{(2)} \odot \mathrm{ReLU}'(z^{(1)})
\nabla_{W^{(2)}} L = \delta^{(2)} (a^{(1)})^T
\nabla_{W^{(1)}} L = \delta^{(1)} x^T""",
        "✓✓✓✓✓",
        5,
        5,
    ),
    Solution(
        "three layers, a step skipped",
        "rectified",
        "W_1",
        "δ₃ = ŷ − y\nδ₁ = W₂ᵀ(W₃ᵀδ₃ ⊙ 𝟙(z₂ > 0)) ⊙ 𝟙(z₁ > 0)\n∂L/∂W₁ = δ₁xᵀ",
        "✓✓✓",
        4,
        4,
    ),
    Solution(
        "softmax regression without the mean",
        "softmax_regression",
        "W b",
        "Δ = P − Y\n∂L/∂W = ΔᵀX\n∂L/∂b = Δᵀ𝟙",
        "✗~~",
        2,
        3,
        "1/6",
    ),
    Solution(
        "softmax regression, the mean at the end",
        "softmax_regression",
        "W b",
        "E = P − Y\n∂L/∂W = (1/m) EᵀX\n∂L/∂b = (1/m) Eᵀ𝟙",
        "✓✓✓",
        3,
        3,
    ),
    Solution(
        "softmax regression with sums over the examples",
        "softmax_regression",
        "W",
        r"\frac{\partial L}{\partial W} = \frac1m \sum_{i=1}^m (\hat y_i - y_i) x_i^T = \frac1m (\hat Y - Y)^T X",
        "✓",
        2,
        2,
    ),
    Solution(
        "batch, sum over the wrong axis",
        "batch",
        "W_1 b_1",
        """dZ2 = (Y_hat - Y) / m
dZ1 = (dZ2 @ W2) * (1 - A1**2)
dW1 = dZ1.T @ X
db1 = dZ1.sum(axis=1)""",
        "✓✓✓✗",
        3,
        4,
    ),
    Solution(
        "batch in Unicode, factor missing in the first line",
        "batch",
        "W_1 W_2",
        "Δ₂ = Ŷ − Y\nΔ₁ = Δ₂W₂ ⊙ (1 − A₁²)\n∂L/∂W₂ = Δ₂ᵀA₁\n∂L/∂W₁ = Δ₁ᵀX",
        "✗~~~",
        3,
        4,
        "1/5",
    ),
    Solution(
        "least squares step by step",
        "least_squares",
        "w",
        "r = Xw − y\nL = ½ rᵀr + ½ λ wᵀw\n∂L/∂r = r\n∂L/∂w = Xᵀr + λw",
        "✓✓✓✓",
        1,
        1,
    ),
    Solution(
        "least squares, the penalty forgotten",
        "least_squares",
        "w",
        "r = Xw − y\n∂L/∂w = Xᵀr",
        "✓✗",
        0,
        1,
    ),
    Solution(
        "neuron, σ′ with the wrong argument",
        "neuron",
        "w b",
        "∂L/∂ŷ = ŷ − y\n∂L/∂z = (ŷ − y) ŷ (1 − ŷ)\n∂L/∂w = (ŷ − y) ŷ (1 + ŷ) x\n∂L/∂b = (ŷ − y) ŷ (1 − ŷ)",
        "✓✓✗✓",
        3,
        4,
    ),
    Solution(
        "recurrent network",
        "recurrent",
        "V U W",
        """e = ŷ − y
∂L/∂V = e a₂ᵀ
δ₂ = Vᵀe ⊙ (1 − a₂²)
∂L/∂U = δ₂ a₁ᵀ
δ₁ = Uᵀδ₂ ⊙ (1 − a₁²)
∂L/∂W = δ₂ x₂ᵀ + δ₁ x₁ᵀ""",
        "✓✓✓✓✓✓",
        6,
        6,
    ),
    Solution(
        "recurrent network, one time step forgotten",
        "recurrent",
        "W",
        "e = ŷ − y\nδ₂ = Vᵀe ⊙ (1 − a₂²)\nδ₁ = Uᵀδ₂ ⊙ (1 − a₁²)\n∂L/∂W = δ₂x₂ᵀ",
        "✓✓✓✗",
        3,
        4,
        "path",
    ),
    Solution(
        "attention",
        "attention",
        "V Q",
        """Let S = QKᵀ/√3, A = softmax(S) and O = AV.
dO = O − Y
∂L/∂V = Aᵀ dO
dA = dO Vᵀ
dS = A ⊙ (dA − ((dA ⊙ A)𝟙)𝟙ᵀ)
∂L/∂Q = dS K / √3""",
        "✓✓✓✓✓✓✓✓",
        4,
        4,
    ),
    Solution(
        "attention without the scale",
        "attention",
        "Q",
        """A = softmax(QKᵀ/√3)
G = AV − Y
D = G Vᵀ
T = A ⊙ (D − ((D ⊙ A)𝟙)𝟙ᵀ)
∂L/∂Q = T K""",
        "✓✓✓✓✗",
        2,
        3,
    ),
    Solution(
        "ASCII with the operators of MATLAB",
        "perceptron",
        "W_1",
        "delta2 = yhat - y;\ndelta1 = W2' * delta2 .* (1 - a1.^2);\ndLdW1 = delta1 * x';",
        "✓✓✓",
        3,
        3,
    ),
    Solution(
        "layer superscripts, two equations in a line",
        "perceptron",
        "W_1 b_1",
        r"""$$\delta^{[2]} = \hat{y} - y$$
$$\delta^{[1]} = W^{[2]T}\delta^{[2]} \odot (1 - (a^{[1]})^2)$$
$$\frac{\partial \mathcal{L}}{\partial W^{[1]}} = \delta^{[1]} x^T, \quad
\frac{\partial \mathcal{L}}{\partial b^{[1]}} = \delta^{[1]}$$""",
        "✓✓✓✓",
        4,
        4,
    ),
    Solution(
        "the loss by another name, derivatives written out",
        "perceptron",
        "W_1",
        "J = -y^T log(yhat)\ndJ/dz_2 = yhat - y\ndJ/dz_1 = W_2^T dJ/dz_2 * (1 - a_1^2)\ndJ/dW_1 = dJ/dz_1 x^T",
        "✓✓✓✓",
        3,
        3,
    ),
    Solution(
        "a chain of Jacobians, each worked out",
        "perceptron",
        "W_1",
        """∂L/∂W₁ = ∂L/∂z₂ · ∂z₂/∂a₁ · ∂a₁/∂z₁ · ∂z₁/∂W₁
∂L/∂z₂ = ŷ − y
∂z₂/∂a₁ = W₂
∂a₁/∂z₁ = diag(1 − a₁²)
∂z₁/∂W₁ = xᵀ
⇒ ∂L/∂W₁ = (W₂ᵀ(ŷ−y) ⊙ (1−a₁²)) xᵀ""",
        "✓✓✓✓?✓",
        3,
        3,
    ),
    Solution(
        "derivatives of a neuron, one of them wrong",
        "neuron",
        "w",
        "∂a/∂z = a(1 + a)\n∂z/∂w = x\n∂L/∂w = (a − y) a (1 − a) x",
        "✗✓✓",
        2,
        3,
    ),
    Solution(
        "Markdown with prose",
        "perceptron",
        "W_1",
        """**Solution**

Let $\\delta_2 = \\hat y - y$. Then
$\\delta_1 = (W_2^T \\delta_2) \\circ (1 - a_1 \\circ a_1)$ and $\\nabla_{W_1} L = \\delta_1 x^T$.""",
        "?✓✓✓",
        3,
        3,
    ),
    Solution(
        "one line with arrows",
        "perceptron",
        "W_1",
        "δ₂ = ŷ - y ⇒ δ₁ = W₂ᵀδ₂ ⊙ (1-a₁²) ⇒ ∂L/∂W₁ = δ₁xᵀ",
        "✓✓✓",
        3,
        3,
    ),
    Solution(
        "numbers of the equations on the right",
        "perceptron",
        "W_1",
        "δ₂ = ŷ − y        (1)\nδ₁ = W₂ᵀδ₂ ⊙ (1 − a₁²)   (2)\n∂L/∂W₁ = δ₁xᵀ (3)",
        "✓✓✓",
        3,
        3,
    ),
    Solution(
        "components",
        "perceptron",
        "W_1",
        r"""\frac{\partial L}{\partial (W_1)_{ij}} = (\delta_1)_i x_j
(\delta_1)_i = \sum_k (W_2)_{ki} (\delta_2)_k (1 - (a_1)_i^2)
(\delta_2)_k = \hat y_k - y_k""",
        "✓✓✓",
        3,
        3,
    ),
    Solution(
        "a program that updates arrays in place",
        "rectified",
        "W_1",
        """import numpy as np
dz3 = y_hat - y
dz2 = (W3.T @ dz3) * (z2 > 0)
dz1 = W2.T @ dz2
dz1[z1 <= 0] = 0
dW1 = np.outer(dz1, x)""",
        "?✓✓✓✓✓",
        4,
        4,
    ),
    Solution(
        "a function in Python",
        "perceptron",
        "W_1",
        """def backward(x, y):
    dz2 = y_hat - y
    da1 = W2.T.dot(dz2)
    da1 *= a1          # should be 1 - a1**2
    dW1 = da1[:, None] @ x[None, :]
    return dW1""",
        "?✓✓✓✗?",
        2,
        3,
    ),
    Solution(
        "a sum that goes on in the next line",
        "least_squares",
        "w",
        """L = ½(Xw − y)ᵀ(Xw − y) + ½λwᵀw
= ½(wᵀXᵀXw − 2yᵀXw + yᵀy)
  + ½λwᵀw
∂L/∂w = XᵀXw − Xᵀy + λw
= Xᵀ(Xw − y) + λw
= 0
⇒ w = (XᵀX + λI)⁻¹Xᵀy""",
        "✓✓✓✓??",
        1,
        1,
    ),
    Solution(
        "a batch with its bias added to each row",
        "softmax_regression",
        "W b",
        "p = softmax(XWᵀ + b)\ndz = (p − Y)/6\n∂L/∂W = dzᵀX\n∂L/∂b = dzᵀ𝟙",
        "✓✓✓✓",
        3,
        3,
    ),
    Solution(
        "the sign of the error, carried to the end",
        "perceptron",
        "W_1",
        "δ₂ = y − ŷ\nδ₁ = W₂ᵀδ₂ ⊙ (1 − a₁²)\n∂L/∂W₁ = δ₁xᵀ",
        "✗~~",
        2,
        3,
        "sign",
    ),
    Solution(
        "two errors",
        "perceptron",
        "W_1",
        "δ₂ = y − ŷ\nδ₁ = W₂ᵀδ₂ ⊙ (1 − a₁)\n∂L/∂W₁ = δ₁xᵀ",
        "✗✗~",
        1,
        3,
    ),
    Solution(
        "local derivatives first, then their product",
        "perceptron",
        "W_1",
        "dL/dz2 = yhat - y\ndL/da1 = W2^T dL/dz2\nda1/dz1 = 1 - a1^2\n"
        "dL/dz1 = dL/da1 * da1/dz1\ndL/dW1 = dL/dz1 x^T",
        "✓✓✓✓✓",
        3,
        3,
    ),
    Solution(
        "the output as the activation of the last layer",
        "batch",
        "W_1",
        "dZ2 = (A2 - Y)/m\ndZ1 = dZ2 W2 * (1 - A1^2)\ndW1 = dZ1^T X",
        "✓✓✓",
        3,
        3,
    ),
    Solution(
        "∇L alone",
        "least_squares",
        "w",
        "L = ½‖Xw − y‖² + (λ/2)‖w‖²\n∇L = Xᵀ(Xw − y) + λw",
        "✓✓",
        1,
        1,
    ),
    Solution(
        "braces below the factors, and a dash before each line",
        "perceptron",
        "W_1",
        r"""- \delta_2 = \hat y - y
- \delta_1 = \underbrace{W_2^T\delta_2}_{\partial L/\partial a_1} \odot \underbrace{(1-a_1^2)}_{\tanh'(z_1)}
- \frac{\mathrm{d}L}{\mathrm{d}W_1} = \boxed{\delta_1 x^T}""",
        "✓✓✓",
        3,
        3,
    ),
    Solution(
        "sentences in German",
        "perceptron",
        "W_1",
        "Der Fehler am Ausgang ist δ₂ = ŷ − y.\nMit der Kettenregel folgt δ₁ = W₂ᵀδ₂ ⊙ (1 − a₁²),\nalso ∂L/∂W₁ = δ₁xᵀ",
        "✓✓✓",
        3,
        3,
    ),
    Solution(
        "an unknown letter in a condition",
        "rectified",
        "W_1",
        "δ₃ = ŷ − y\nδ₁ = W₂ᵀ(W₃ᵀδ₃ ⊙ 𝟙(z > 0)) ⊙ 𝟙(z₁ > 0)\n∂L/∂W₁ = δ₁xᵀ",
        "✓?✓",
        2,
        4,
    ),
]
