r"""Spellings of further answers: textbooks, lecture notes, NumPy, PyTorch, JAX, MATLAB and Julia code."""

from __future__ import annotations

import deltarule as dr
from deltarule import losses, nn
from unit.explain.spellings import (
    Problem,
    batch,
    cube,
    determinant,
    exponential,
    leaky,
    least_squares,
    logistic,
    neuron,
    norm,
    quadratic,
    rectified,
    ridge,
    scalar_neuron,
    symbol,
    trace,
    two_layers,
)


def logistic_batch():
    X, w, b, y = symbol("X", 6, 3), symbol("w", 3), symbol("b"), symbol("y", 6)
    return losses.BinaryCrossEntropy()(X @ w + b, y), {"w": w, "b": b}


def softmax_rows():
    X, W, b, Y = symbol("X", 6, 4), symbol("W", 4, 3), symbol("b", 3), symbol("Y", 6, 3)
    return losses.CrossEntropy()(X @ W + b, Y), {"W": W, "b": b}


def columns():
    X, Y = symbol("X", 3, 5), symbol("Y", 1, 5)
    W1, b1, W2, b2 = (
        symbol("W_1", 4, 3),
        symbol("b_1", 4, 1),
        symbol("W_2", 1, 4),
        symbol("b_2", 1, 1),
    )
    Z2 = W2 @ dr.tanh(W1 @ X + b1) + b2
    return losses.BinaryCrossEntropy()(Z2, Y), {
        "W_1": W1,
        "b_1": b1,
        "W_2": W2,
        "b_2": b2,
    }


def lasso():
    X, w, y, rate = symbol("X", 5, 3), symbol("w", 3), symbol("y", 5), symbol("lambda")
    e = X @ w - y
    return 0.5 * (e @ e) + rate * dr.absolute(w).sum(), {"w": w}


def hinge():
    x, w, b, y = symbol("x", 4), symbol("w", 4), symbol("b"), symbol("y")
    return nn.relu(1 - y * (w @ x + b)), {"w": w, "b": b}


def factors():
    R, U, V = symbol("R", 5, 4), symbol("U", 5, 2), symbol("V", 4, 2)
    E = R - U @ V.T
    return 0.5 * (E * E).sum(), {"U": U, "V": V}


def gaussian():
    x, mu, s = symbol("x", 6), symbol("mu"), symbol("s")
    return ((x - mu) ** 2).sum() / (2 * s**2), {"mu": mu, "s": s}


def cs231n():
    X, Y = symbol("X", 5, 4), symbol("Y", 5, 2)
    W1, b1, W2, b2 = (
        symbol("W_1", 4, 6),
        symbol("b_1", 6),
        symbol("W_2", 6, 2),
        symbol("b_2", 2),
    )
    H = nn.relu(X @ W1 + b1)
    e = H @ W2 + b2 - Y
    return (e * e).sum() / 5, {"W_1": W1, "b_1": b1, "W_2": W2, "b_2": b2}


PROBLEMS = {
    "logistic": Problem(
        logistic,
        "w",
        (
            r"$\left(\sigma(w^{\top}x+b)-y\right)x$",
            r"\Bigl( \hat{y} - y \Bigr) \vec{x}",
            r"(\hat{y}-y)\,\bm{x}",
            r"\big(\sigma(z)-y\big)\;x",
            r"-(y-\sigma(w^{\mathrm T} x + b))\, x",
            r"\left(\dfrac{1}{1+e^{-z}}-y\right)\cdot x",
            r"\dfrac{1}{1+\exp(-(w^\top x + b))}\,x - y\,x",
            r"\nabla_{w}\mathcal{L} = (\hat y - y)\,x",
            r"\partial_{w} L = (\hat y - y) x",
            r"\frac{\partial J}{\partial w} = (a - y)x",
            r"\frac{\partial \ell}{\partial w_j} = (\hat y - y)\,x_j",
            r"\frac{\mathrm d L}{\mathrm d w} = (\hat y-y)x",
            r"J'(w) = (\hat y - y) x",
            "(sigmoid(w @ x + b) - y) * x",
            "x * (sigmoid(z) - y)",
            "(expit(z) - y) * x",
            "return (1.0 / (1.0 + np.exp(-(np.dot(w, x) + b))) - y) * x",
            "def grad(x, y):\n"
            "    p = 1 / (1 + np.exp(-(w @ x + b)))\n"
            "    return (p - y) * x",
            "lambda x, y: (sigmoid(w @ x + b) - y) * x",
            "np.array([(y_hat - y) * x[i] for i in range(4)])",
            "[(y_hat - y) * xi for xi in x]",
            "(torch.sigmoid(w @ x + b) - y) * x",
            "(jax.nn.sigmoid(jnp.dot(w, x) + b) - y) * x",
            "dw = np.zeros(4)\nfor i in range(4):\n    dw[i] = (y_hat - y) * x[i]",
            "np.dot(x, y_hat - y)",
            "(ŷ − y)·x⃗",
            "x·(σ(wᵀx + b) − y)",
            "(sigma(w'*x+b)-y)*x",
            "-y(1-σ(z))x + (1-y)σ(z)x",
            "−(y/ŷ − (1−y)/(1−ŷ)) ŷ(1−ŷ) x",
            r"\left(-\frac{y}{\hat y}+\frac{1-y}{1-\hat y}\right)\hat y(1-\hat y)\,x",
            "(pred - y) * x",
            r"\bigl[\sigma(\mathbf w^{\mathsf T}\mathbf x+b)-y\bigr]\,\mathbf x",
            r"x\left(\frac{1}{1+e^{-(w^{T}x+b)}}-y\right)",
            r"\frac{dL}{dw}=\frac{dL}{dz}\frac{dz}{dw}=(\hat y-y)x",
            r"\mathbf{x}(\hat{y} - y)",
            "(p - y) * x",
            "x * (1 / (1 + np.exp(-(x @ w + b))) - y)",
            "np.array([(sigmoid(z) - y) * x_i for x_i in x])",
            "error = y_hat - y\ngrad_w = error * x\ngrad_w",
            "(y_pred - y) .* x",
            "(σ(w·x + b) − y) x",
            "(sigmoid(dot(w, x) + b) - y)*x",
        ),
        (
            "(pred + y) * x",
            "(expit(z) - y) * w",
            "lambda x, y: (y - sigmoid(w @ x + b)) * x",
            "np.array([(y_hat - y) * w[i] for i in range(4)])",
            "[(y - y_hat) * xi for xi in x]",
            "dw = np.zeros(4)\nfor i in range(3):\n    dw[i] = (y_hat - y) * x[i]",
            "def grad(x, y):\n"
            "    p = 1 / (1 + np.exp(w @ x + b))\n"
            "    return (p - y) * x",
            "(ŷ − y)·w⃗",
            "(sigma(w'*x-b)-y)*x",
            r"\partial_{w} L = (y - \hat y) x",
        ),
    ),
    "neuron": Problem(
        neuron,
        "w",
        (
            r"(\hat y-y)\,\bigl(1-\hat y^{2}\bigr)\,x",
            r"\left(\tanh(z)-y\right)\left(1-\tanh^2(z)\right)x",
            r"(a-y)\cdot(1-a^2)\cdot x",
            r"\frac{\partial L}{\partial a}\cdot\frac{\partial a}{\partial z}\cdot\frac{\partial z}{\partial w}",
            r"(\hat{y}-y)\,\mathrm{sech}^{2}(z)\,x",
            r"(\hat y - y)\, \phi'(z)\, x \text{ where } \phi = \tanh",
            "(a - y) * (1 - a**2) * x",
            "(np.tanh(z) - y) * (1 - np.tanh(z)**2) * x",
            "def f(x, y):\n"
            "    a = np.tanh(np.dot(w, x) + b)\n"
            "    da = a - y\n"
            "    dz = da * (1 - a ** 2)\n"
            "    return dz * x",
            "dz = (y_hat - y) * (1 - y_hat * y_hat); dw = dz * x; return dw",
            "(torch.tanh(z) - y) * (1 - torch.tanh(z).pow(2)) * x",
            "(yhat - y) .* (1 - yhat.^2) .* x",
            "(ŷ−y)·(1−ŷ²)·x",
            "(ŷ−y)(1−ŷ²)xᵢ",
            "(y_hat - y) * (1 - np.tanh(w @ x + b) ** 2) * x",
            r"(\hat y - y)(1-\hat y)(1+\hat y)\bm x",
            r"\delta\,x,\ \delta=(\hat y-y)(1-\hat y^2)",
            "(tanh(z) - y)*(1 - tanh(z)^2)*x",
            "a = torch.tanh(z); (a - y) * (1 - a ** 2) * x",
        ),
        (
            "(yhat - y) .* (1 + yhat.^2) .* x",
            "(yhat - y) .* (1 - yhat.^3) .* x",
            r"(\hat y - y)\, \phi'(z)\, x \text{ where } \phi = \sigma",
            "(torch.tanh(z) - y) * (1 - torch.tanh(z).pow(3)) * x",
        ),
    ),
    "scalar neuron": Problem(
        scalar_neuron,
        "w",
        (
            r"(a-y)\,a(1-a)\,x",
            r"(\sigma(z)-y)\sigma(z)\bigl(1-\sigma(z)\bigr)x",
            r"\frac{\mathrm{d}L}{\mathrm{d}\hat y}\cdot\frac{\mathrm{d}\hat"
            r" y}{\mathrm{d}z}\cdot\frac{\mathrm{d}z}{\mathrm{d}w} = (\hat y-y)\,\sigma'(z)\,x",
            "(sigmoid(w*x+b) - y) * sigmoid(w*x+b) * (1 - sigmoid(w*x+b)) * x",
            "(a - y) * a * (1 - a) * x",
            "lambda w: (sigmoid(w*x+b)-y)*sigmoid_prime(w*x+b)*x",
            "(σ(z)−y)·σ(z)·(1−σ(z))·x",
            "x*(y_hat - y)*y_hat*(1 - y_hat)",
            "x*exp(-b - w*x)*(1/(1 + exp(-b - w*x)) - y)/(1 + exp(-b - w*x))**2",
        ),
        (
            "(sigmoid(w*x+b)-y)*tanh_prime(w*x+b)*x",
            "lambda w: (sigmoid(w*x+b)-y)*sigmoid_prime(w*x)*x",
            "x*(y_hat - y)*e**(-w*x)",
        ),
    ),
    "two layers, W₁": Problem(
        two_layers,
        "W_1",
        (
            r"\left(W_2^{\top}(\hat{y}-y)\odot(1-a_1^{2})\right)x^{\top}",
            r"\Bigl(W_2^{\top}\bigl(\hat y-y\bigr)\odot\bigl(1-\tanh^{2}(z_1)\bigr)\Bigr)\,x^{\top}",
            r"\left[\left(W_2^\top(\hat y-y)\right)\circ\left(1-a_1\circ a_1\right)\right]x^\top",
            r"\bm\delta_1\bm x^\top",
            r"\delta_1 x^{\prime}",
            r"\bigl(\bm{W}_2^{\mathsf{T}}(\hat{\bm y}-\bm y)\odot(\bm 1-\bm a_1^2)\bigr)\bm x^{\mathsf T}",
            r"\mathrm{diag}\!\left(1-a_1^2\right)W_2^\top(\hat y-y)\,x^\top",
            r"\operatorname*{diag}(1-\tanh^2(z_1))\,W_2^{\top}\,(\mathrm{softmax}(z_2)-y)\,x^{\top}",
            r"\nabla_{W_1} L = \delta_1 x^\top",
            r"\nabla_{W_1}\mathcal{L} = \left(W_2^\top \delta_2 \odot \left(1 - a_1^2\right)\right) x^\top",
            r"\partial_{W_1} L = \delta_1 x^T",
            r"\frac{\partial J}{\partial W^{[1]}} = \left(W^{[2]T}(a^{[2]}-y)\odot(1-a^{[1]2})\right)x^T",
            r"\frac{\partial L}{\partial W_1}=\delta_1x^\top,\quad"
            r" \delta_1=(W_2^\top\delta_2)\odot(1-a_1^2),\quad \delta_2=\hat y-y",
            r"\delta_1 x^\top\ \text{ with }\ \delta_1 = W_2^\top(\hat y-y)\odot \tanh'(z_1)",
            r"\begin{aligned}\delta_2&=\hat y-y\\ \delta_1&=W_2^\top\delta_2\odot(1-a_1^2)\\ \frac{\partial"
            r" L}{\partial W_1}&=\delta_1x^\top\end{aligned}",
            r"\begin{bmatrix}\delta_1\end{bmatrix}x^\top",
            "(W2^T*(yhat-y) .* (1-a1.^2)) * x'",
            "((W2'*(yhat-y)).*(1-a1.^2))*x'",
            "(W2' * d2) .* (1 - a1.^2) * x' where d2 = yhat - y",
            "(W₂ᵀ(ŷ−y)⊙(1−a₁⊙a₁))xᵀ",
            "(W₂ᵀ·(ŷ−y)∘(1−a₁²))·xᵀ",
            "((ŷ−y)ᵀW₂ diag(1−a₁²))ᵀxᵀ",
            r"(W_2^T delta_2 \circ (1 - a_1^2)) x^T",
            "outer(transpose(W2) @ (yhat - y) * (1 - a1^2), x)",
            "hadamard(transpose(W2)(yhat - y), 1 - a1^2) x^T",
            "hadamard(W2^T delta2, tanh'(z1)) * transpose(x)",
            "np.outer(np.dot(W2.T, y_hat - y) * (1 - a1 ** 2), x)",
            "(W2.T @ (y_hat - y) * (1 - a1**2))[:, None] @ x[None, :]",
            "((1 - a1**2) * (W2.T @ (y_hat - y))).reshape(-1, 1) * x.reshape(1, -1)",
            "dz2 = y_hat - y; da1 = W2.T @ dz2; dz1 = da1 * (1 - a1**2); dW1 = np.outer(dz1, x); return dW1",
            "delta2 = y_hat - y\n"
            "delta1 = W2.T.dot(delta2) * (1 - np.tanh(z1) ** 2)\n"
            "dW1 = delta1[:, np.newaxis] * x[np.newaxis, :]",
            "dW1 = np.zeros((4, 3))\n"
            "for i in range(4):\n"
            "    for j in range(3):\n"
            "        dW1[i, j] = delta1[i] * x[j]\n"
            "return dW1",
            "np.array([[delta1[i] * x[j] for j in range(3)] for i in range(4)])",
            "np.array([delta1[i] * x for i in range(4)])",
            "np.tensordot(delta1, x, axes=0)",
            'np.einsum("i,j", delta1, x)',
            "np.multiply.outer(delta1, x)",
            "torch.outer((W2.T @ (y_hat - y)) * (1 - a1.pow(2)), x)",
            "torch.outer(W2.t() @ (y_hat - y) * (1 - a1 ** 2), x)",
            "torch.ger(delta1, x)",
            "delta1.unsqueeze(1) @ x.unsqueeze(0)",
            "delta1.unsqueeze(1) * x",
            "delta1.view(-1, 1) @ x.view(1, -1)",
            "jnp.outer((1 - jnp.tanh(z1)**2) * (W2.T @ (jax.nn.softmax(z2) - y)), x)",
            "np.matmul(delta1.reshape(4, 1), x.reshape(1, 3))",
            "tf.tensordot(delta1, x, axes=0)",
            "def backward(x, y):\n"
            "    z1 = W1 @ x + b1\n"
            "    a1 = np.tanh(z1)\n"
            "    z2 = W2 @ a1 + b2\n"
            "    p = np.exp(z2) / np.exp(z2).sum()\n"
            "    d2 = p - y\n"
            "    d1 = (W2.T @ d2) * (1 - a1**2)\n"
            "    return np.outer(d1, x)",
            "(δ₁)ᵢ(x)ⱼ",
            "Σ_k (ŷ_k − y_k) W₂[k,i] (1 − a₁[i]²) x[j]",
            r"\frac{\partial L}{\partial W_{1,ij}} = \sum_{k=1}^{2}(\hat y_k-y_k)W_{2,ki}(1-a_{1,i}^2)x_j",
            r"\sum\limits_{k}(\hat{y}_k-y_k)\,(W_2)_{ki}\,(1-(a_1)_i^2)\,x_j",
            r"\frac{\partial L}{\partial W^{(1)}_{ij}}=\delta^{(1)}_i x_j",
            r"\bigl[(W_2^\top(\hat y-y))\odot(\mathbf 1-a_1\odot a_1)\bigr]x^\top",
            r"\left(W_{2}^{\top}\left(\hat{y}-y\right)\odot\left(1-\tanh^{2}\left(z_{1}\right)\right)"
            r"\right)x^{\top}",
            r"\mathbf{J}^\top\delta_2x^\top \text{ where } \mathbf{J} = W_2\operatorname{diag}(1-a_1^2)",
            r"\frac{\partial\mathcal L}{\partial\mathbf W_1}=\boldsymbol\delta_1\mathbf x^\top",
            r"\delta^{[1]}x^\top\quad\text{where}\quad\delta^{[1]}=W^{[2]\top}\delta^{[2]}\odot"
            r"\bigl(1-(a^{[1]})^2\bigr)",
            "((W2.T @ (y_hat - y)) * (1 - a1 * a1))[:, np.newaxis] * x",
            "grad_z2 = y_hat - y\n"
            "grad_a1 = grad_z2 @ W2\n"
            "grad_z1 = grad_a1 * (1 - a1 ** 2)\n"
            "grad_W1 = np.outer(grad_z1, x)",
            "np.array([[(1 - a1[i] ** 2) * (W2[:, i] @ (y_hat - y)) * x[j] for j in range(3)] for i in range(4)])",
            "torch.einsum('i,j->ij', (W2.T @ (y_hat - y)) * (1 - a1 ** 2), x)",
            "((W2.T @ (y_hat - y)) * (1 - a1**2)).unsqueeze(-1) @ x.unsqueeze(0)",
            "jnp.outer((1 - a1**2) * jnp.dot(W2.T, y_hat - y), x)",
            "(W2' * (p - y) .* (1 .- a1.^2)) * x'",
            "[W₂ᵀ(ŷ − y) ∘ (1 − a₁²)] xᵀ",
            "(W_2^T (softmax(z_2) - y) .* (1 - tanh(z_1).^2)) x^T",
            "hadamard(W2^T(yhat - y), 1 - a1^2) * x^T",
            "dL/dz1 * x^T",
            "def dW1(x, y):\n"
            "    delta2 = softmax(z2) - y\n"
            "    delta1 = np.dot(W2.T, delta2) * (1 - np.tanh(z1)**2)\n"
            "    return np.outer(delta1, x)",
        ),
        (
            "(W2^T*(yhat-y) .* (1-a1.^3)) * x'",
            "((W2'*(yhat-y)).*(1+a1.^2))*x'",
            "((W2'*(yhat-y))./(1-a1.^2))*x'",
            "hadamard(W2^T delta2, tanh'(a1)) * transpose(x)",
            "np.array([[delta1[i] * x[j] for i in range(4)] for j in range(3)])",
            "np.array([delta1[i] * x[0] for i in range(4)])",
            "np.array([[delta1[0] * x[j] for j in range(3)] for i in range(4)])",
            "np.tensordot(x, delta1, axes=0)",
            "np.multiply.outer(x, delta1)",
            "dW1 = np.zeros((4, 3))\n"
            "for i in range(4):\n"
            "    for j in range(3):\n"
            "        dW1[i, j] = delta1[i] * x[2 - j]\n"
            "return dW1",
            "dW1 = np.zeros((4, 3))\n"
            "for i in range(1, 4):\n"
            "    for j in range(3):\n"
            "        dW1[i, j] = delta1[i] * x[j]\n"
            "return dW1",
            "delta1.unsqueeze(0) * x.unsqueeze(1)",
            "torch.outer(W2.t() @ (y_hat - y) * (1 - a1.pow(3)), x)",
            "def backward(x, y):\n"
            "    d2 = y_hat - y\n"
            "    d1 = (W2.T @ d2) * (1 - z1**2)\n"
            "    return np.outer(d1, x)",
            r"\frac{\partial J}{\partial W^{[1]}} = \left(W^{[2]T}(a^{[2]}-y)\odot(1-a^{[1]3})\right)x^T",
            r"\frac{\partial L}{\partial W_1}=\delta_1x^\top,\quad"
            r" \delta_1=(W_2^\top\delta_2)\odot(1-a_1^2),\quad \delta_2=y-\hat y",
            r"\left(W_2^\top(y_{pred}+y)\odot(1-a_1^2)\right)x^\top",
        ),
    ),
    "two layers, W₂": Problem(
        two_layers,
        "W_2",
        (
            "(ŷ − y)a₁ᵀ",
            r"(\hat y-y)a_1^\top",
            r"\delta_2 a_1^{\top}",
            r"\bigl(\mathrm{softmax}(z_2)-y\bigr)a_1^\top",
            r"\left(\text{softmax}(W_2a_1+b_2)-y\right)a_1^\top",
            r"(\hat{\bm{y}}-\bm{y})\,\bm{a}_1^{\mathsf T}",
            r"(\hat y - y)\tanh(z_1)^\top",
            r"(\hat y-y)\tanh(W_1x+b_1)^T",
            "np.outer(y_hat - y, a1)",
            "np.outer(softmax(z2) - y, np.tanh(z1))",
            "(y_hat - y)[:, None] * a1",
            "(y_hat - y).reshape(-1, 1) @ a1.reshape(1, -1)",
            "np.einsum('i,j->ij', y_hat - y, a1)",
            "torch.outer(F.softmax(z2, dim=-1) - y, a1)",
            "(F.softmax(z2, dim=0) - y).unsqueeze(-1) * a1",
            "dz2 * a1'",
            "(yhat - y)*a1'",
            "(ŷᵢ − yᵢ)(a₁)ⱼ",
            r"(\hat y_i - y_i)\,a_{1,j}",
            r"(\hat y-y)\otimes a_1",
            "d = yhat - y; d a1^T",
            "np.exp(z2)[:, None] / np.exp(z2).sum() * a1[None, :] - np.outer(y, a1)",
            r"\left(\hat{\mathbf y}-\mathbf y\right)\mathbf a_1^\top",
            r"(\mathrm{softmax}(z_2)-y)\,\tanh(W_1x+b_1)^{\top}",
            "np.outer(np.exp(z2) / np.sum(np.exp(z2)) - y, a1)",
            "np.array([[(y_hat[i] - y[i]) * a1[j] for j in range(4)] for i in range(2)])",
            "(p - y)*a1'",
            "torch.outer(torch.softmax(z2, dim=0) - y, torch.tanh(z1))",
            "(y_hat - y)[..., None] * a1[None]",
        ),
        (
            "(yhat + y)*a1'",
            "np.array([[(y_hat[i] - y[i]) * a1[i] for j in range(4)] for i in range(2)])",
        ),
    ),
    "two layers, b₁": Problem(
        two_layers,
        "b_1",
        (
            r"W_2^\top(\hat y-y)\odot(1-a_1^2)",
            r"\left(W_2^{\top}(\hat y-y)\right)\odot\left(\mathbf{1}-a_1\odot a_1\right)",
            r"W_2^\top(\hat y-y)\odot\left(1-\tanh^{2} z_1\right)",
            "W2.T @ (y_hat - y) * (1 - a1**2)",
            "np.dot(W2.T, y_hat - y) * (1 - np.square(a1))",
            "(y_hat - y) @ W2 * (1 - a1 * a1)",
            "W2'*(yhat-y).*(1-a1.^2)",
            "W₂ᵀ(ŷ − y) ⊙ sech²(z₁)",
            r"\delta_1 = W_2^\top\delta_2\odot(1-a_1^2)",
            "((softmax(z2) - y) @ W2) * (1 - np.tanh(W1 @ x + b1) ** 2)",
            "[sum(W2[k, i] * (y_hat[k] - y[k]) for k in range(2)) * (1 - a1[i]**2) for i in range(4)]",
            r"W_2^{\mathrm T}\delta_2\circ\tanh'(z_1)",
            "(W2.T @ delta2) * (1 - a1**2)",
            "W2.t().mv(y_hat - y) * (1 - a1.pow(2))",
            "np.diag(1 - a1**2) @ W2.T @ (y_hat - y)",
        ),
        (
            "W2'*(yhat-y).*(1-z1.^2)",
            "[sum(W2[k, i] * (y_hat[k] + y[k]) for k in range(2)) * (1 - a1[i]**2) for i in range(4)]",
            "[sum(W2[0, i] * (y_hat[k] - y[k]) for k in range(2)) * (1 - a1[i]**2) for i in range(4)]",
        ),
    ),
    "two layers, b₂": Problem(
        two_layers,
        "b_2",
        (
            r"\hat{\bm y}-\bm y",
            r"\mathrm{softmax}(z_2) - y",
            r"\operatorname*{softmax}(z_2)-y",
            r"\text{softmax}(\mathbf z_2)-\mathbf y",
            r"\frac{\exp(z_2)}{\sum_{k}\exp(z_{2,k})}-y",
            r"\dfrac{e^{z_2}}{\lVert e^{z_2}\rVert_1}-y",
            r"\frac{\exp(z_{2,i})}{\sum_{j}\exp(z_{2,j})}-y_i",
            "p - y",
            "probs - y where probs = softmax(z2)",
            "F.softmax(z2, dim=0) - y",
            "torch.softmax(z2, 0) - y",
            "scipy.special.softmax(z2) - y",
            "np.exp(z2) / np.exp(z2).sum() - y",
            "e = np.exp(z2 - z2.max())\np = e / e.sum()\np - y",
            "exp(z2)/sum(exp(z2)) - y",
            "exp.(z2)./sum(exp.(z2)) .- y",
            r"\mathbf p-\mathbf y\text{ with }\mathbf p=\mathrm{softmax}(\mathbf z_2)",
            r"\frac{e^{z_2}}{\sum_{j=1}^{2}e^{(z_2)_j}}-y",
            "jax.nn.softmax(z2) - y",
            "np.exp(z2 - np.max(z2)) / np.sum(np.exp(z2 - np.max(z2))) - y",
            "softmax(z2) .- y",
        ),
        (
            "exp.(z2)./sum(exp.(z2)) .+ y",
            "F.softmax(z2, dim=0) + y",
            "e = np.exp(z2 - z2.max())\np = e / e.max()\np - y",
        ),
    ),
    "rectified": Problem(
        rectified,
        "W_1",
        (
            r"\left(W_2^\top(\hat y-y)\odot\mathbb{1}_{z_1>0}\right)x^\top",
            r"\left(W_2^\top(\hat y-y)\odot\mathbb 1_{\{z_1 > 0\}}\right)x^\top",
            r"(W_2^\top(W_2h-y)\odot\mathbf 1[z_1>0])x^\top \text{ where } h = \max(0, z_1)",
            r"\left(W_2^{\top}(\hat y-y)\odot\mathbb{I}(z_1>0)\right)x^{\top}",
            r"\left(W_2^{\top}(\hat y-y)\odot\mathbb{I}[z_1>0]\right)x^{\top}",
            r"(W_2^\top(\hat y-y)\odot\mathrm{sgn}(a_1))x^\top",
            r"(W_2^\top(\hat y-y)\odot\Theta(z_1))x^\top",
            r"\operatorname{diag}\left(\mathbb{1}_{z_1>0}\right)W_2^\top\left(\hat y-y\right)x^\top",
            "((W2'*(yhat-y)).*(z1>0))*x'",
            "(W2' * (W2*max.(0, W1*x) - y) .* (z1 .> 0)) * x'",
            "np.outer((W2.T @ (y_hat - y)) * (z1 > 0).astype(float), x)",
            "np.outer((W2.T @ (y_hat - y)) * (np.maximum(0, z1) > 0), x)",
            "np.outer((W2.T @ (y_hat - y)) * (a1 > 0), x)",
            "np.outer(W2.T @ (y_hat - y) * np.heaviside(z1, 0), x)",
            "np.outer(W2.T @ (y_hat - y) * np.where(z1 > 0, 1.0, 0.0), x)",
            "torch.outer((W2.T @ (y_hat - y)) * (z1 > 0).float(), x)",
            "jnp.outer(jnp.where(z1 > 0, W2.T @ (y_hat - y), 0.0), x)",
            "dz1 = W2.T.dot(y_hat - y)\ndz1[z1 <= 0] = 0\ndW1 = np.outer(dz1, x)",
            "da1 = W2.T @ (y_hat - y)\n"
            "dz1 = np.array(da1, copy=True)\n"
            "dz1[z1 <= 0] = 0\n"
            "return np.outer(dz1, x)",
            "np.outer((W2.T @ (W2 @ F.relu(z1) - y)) * (z1 > 0).int(), x)",
            "np.outer(W2.T @ (y_hat - y) * (np.sign(z1) + 1) / 2, x)",
            "mask = (z1 > 0) * 1\nnp.outer(mask * (W2.T @ (y_hat - y)), x)",
            "(W₂ᵀ(ŷ−y)⊙[z₁>0])xᵀ",
            "(W₂ᵀ(ŷ − y) ⊙ u(z₁)) xᵀ where u = step",
            r"\left(W_2^\top(\hat y-y)\odot\mathbf 1_{\left\{z_1>0\right\}}\right)x^\top",
            r"\Bigl(\mathbb{1}\{z_1>0\}\odot W_2^\top(\hat{y}-y)\Bigr)x^\top",
            r"\Big(W_2^\top(\hat y-y)\odot \mathrm{ReLU}'(W_1 x)\Big)x^{\mathsf T}",
            "dz1 = np.dot(W2.T, y_hat - y) * np.where(z1 > 0, 1, 0)\n"
            "dW1 = dz1[:, None] @ x[None, :]",
            "torch.outer((W2.T @ (y_hat - y)).masked_fill(z1 <= 0, 0), x)",
            "np.outer((W2.T @ (W2 @ np.maximum(z1, 0) - y)) * (z1 > 0), x)",
            "relu_grad = (z1 > 0).astype(int)\n"
            "np.outer(relu_grad * (W2.T @ (y_hat - y)), x)",
            "np.outer(np.greater(z1, 0) * (W2.T @ (y_hat - y)), x)",
            "(W2'*(y_hat - y) .* (z1 > 0)) * x'",
            "jnp.outer((W2.T @ (y_hat - y)) * (z1 > 0).astype(jnp.float32), x)",
        ),
        (
            "dz1 = W2.T.dot(y_hat - y)\ndz1[z1 >= 0] = 0\ndW1 = np.outer(dz1, x)",
            "dz1 = W2.T.dot(y_hat - y)\ndz1[z1 <= 0] = 1\ndW1 = np.outer(dz1, x)",
            "torch.outer((W2.T @ (y_hat - y)).masked_fill(z1 > 0, 0), x)",
            "(W2' * (W2*max.(0, W1*x) - y) .* (z1 .< 0)) * x'",
            "(W₂ᵀ(ŷ − y) ⊙ u(z₁)) xᵀ where u = tanh",
            r"\left(W_2^\top(\hat y-y)\odot\mathbb{1}_{W_1 x<0}\right)x^\top",
            "np.outer((W2.T @ (y_hat - y)) * (z1 > 1).float(), x)",
        ),
    ),
    "rectified, W₂": Problem(
        rectified,
        "W_2",
        (
            "(ŷ − y)ReLU(z₁)ᵀ",
            r"(\hat y-y)\max(0,z_1)^\top",
            r"(W_2a_1-y)a_1^\top",
            "(W2*a1 - y)*a1'",
            "np.outer(W2 @ np.maximum(0, z1) - y, np.maximum(z1, 0))",
            "np.outer(y_hat - y, z1 * (z1 > 0))",
            "np.outer(y_hat - y, np.clip(z1, 0, None))",
            "np.outer(y_hat - y, z1.clip(min=0))",
            "torch.outer(y_hat - y, torch.clamp(z1, min=0))",
            "torch.outer(y_hat - y, F.relu(z1))",
        ),
        (
            "np.outer(y_hat - y, z1.clip(max=0))",
            "torch.outer(y_hat - y, torch.clamp(z1, min=1))",
        ),
    ),
    "least squares": Problem(
        least_squares,
        "w",
        (
            r"\frac{2}{m}\,X^{\top}(Xw-y)",
            r"\dfrac{2}{5}X^{\top}\bigl(Xw-y\bigr)",
            r"\tfrac2m X^\top(Xw - y)",
            r"\frac{2}{N}\bm X^\top(\bm X\bm w-\bm y)",
            r"\frac{2}{n} X^{\mathrm T}(Xw-y)",
            r"-\frac{2}{m}X^{\top}(y-Xw)",
            r"\frac{2}{m}\left(X^\top X w - X^\top y\right)",
            r"\frac{2}{m}\sum_{i=1}^{m}\left(\mathbf{w}^\top\mathbf{x}_i-y_i\right)\mathbf{x}_i",
            r"\frac{2}{m}\sum\limits_{i=1}^{m}(\hat y_i-y_i)\,x_{i}",
            r"\frac{\partial J}{\partial w_j}=\frac{2}{m}\sum_{i=1}^{m}(\hat y^{(i)}-y^{(i)})\,x_j^{(i)}",
            r"\nabla_w J(w) = \frac{2}{m}X^\top(Xw-y)",
            "2*X'*(X*w - y)/5",
            "2/m * X' * (X*w - y)",
            "(2/m)*transpose(X)*(X*w-y)",
            "2/5 ∑ᵢ₌₁⁵ (ŷᵢ − yᵢ) xᵢ",
            "2/m ∑_{i=1}^{m} (ŷ_i − y_i) x_i",
            "(2/m) X^T (y_pred - y)",
            "2/m * X.T @ (X @ w - y)",
            "2 / len(X) * X.T @ (X @ w - y)",
            "(2 / X.shape[0]) * X.T.dot(X.dot(w) - y)",
            "2 * np.dot(X.T, (np.dot(X, w) - y)) / m",
            "-2 / m * X.T @ (y - X @ w)",
            "-2 * (X.T @ (y - X @ w)) / len(y)",
            "np.mean(2 * (X @ w - y)[:, np.newaxis] * X, axis=0)",
            "(2 * (X @ w - y).reshape(-1, 1) * X).mean(axis=0)",
            "np.array([2 / m * np.sum((X @ w - y) * X[:, j]) for j in range(3)])",
            "np.array([2 * np.mean((y_hat - y) * X[:, j]) for j in range(X.shape[1])])",
            "sum(2 * (X[i] @ w - y[i]) * X[i] for i in range(5)) / 5",
            "sum((w @ X[i] - y[i]) * X[i] for i in range(len(y))) * 2 / len(y)",
            "grad = np.zeros(3)\n"
            "for i in range(m):\n"
            "    grad += 2 * (X[i] @ w - y[i]) * X[i]\n"
            "grad /= m",
            "grad = np.zeros_like(w)\n"
            "for xi, yi in zip(X, y):\n"
            "    grad += (xi @ w - yi) * xi\n"
            "return 2 * grad / len(X)",
            "np.einsum('ij,i->j', X, y_hat - y) * 2 / m",
            'np.einsum("ij,i", X, 2 * (y_hat - y)) / 5',
            "np.tensordot(X, y_hat - y, axes=([0], [0])) * 2 / 5",
            "np.tensordot(y_hat - y, X, axes=1) * 2 / 5",
            "y_pred = X @ w\nerror = y_pred - y\nreturn (2 / m) * X.T @ error",
            "m = len(y); preds = X.dot(w); 2. / m * X.T.dot(preds - y)",
            "2 * torch.mv(X.t(), X @ w - y) / X.size(0)",
            "2 / X.shape[0] * torch.matmul(X.T, torch.matmul(X, w) - y)",
            "2 * jnp.dot(X.T, jnp.dot(X, w) - y) / X.shape[0]",
            "(X @ w - y) @ X * 2 / 5",
            "(X @ w - y).T @ X * (2 / 5)",
            "(1./m) * 2 * X.T @ (X @ w - y)",
            "residuals = y - X @ w\n-2 * X.T @ residuals / residuals.size",
            "n, d = X.shape\n(2 / n) * X.T @ (X @ w - y)",
            r"\frac{2}{m}\mathbf{X}^{\mathsf{T}}\left(\mathbf{X}\mathbf{w}-\mathbf{y}\right)",
            r"\frac{2}{5}\bigl(X^{\top}X\,w-X^{\top}y\bigr)",
            r"2\,X^\top\frac{Xw-y}{m}",
            r"\frac{2}{m}\sum_{i=1}^{m}\bigl(x_i^\top w-y_i\bigr)x_i",
            r"\frac{2}{m}\sum_{i=1}^{m}\Bigl(\sum_{k=1}^{3}w_kx_{ik}-y_i\Bigr)x_{ij}",
            r"\frac{-2}{m}\sum_{i=1}^m x_i(y_i-\hat y_i)",
            "X.T.dot(X.dot(w) - y) * 2 / m",
            "2 * X.T.dot(y_pred - y) / len(X)",
            "(2.0 / len(y)) * (X.T @ (y_hat - y))",
            "np.mean([2 * (X[i] @ w - y[i]) * X[i] for i in range(len(X))], axis=0)",
            "2 / m * np.sum((X @ w - y)[:, None] * X, axis=0)",
            "np.sum((2 / m) * (y_hat - y).reshape(-1, 1) * X, axis=0)",
            "def gradient(X, y, w):\n"
            "    m = X.shape[0]\n"
            "    return (2 / m) * X.T @ (X @ w - y)",
            "grad = np.zeros(w.shape)\n"
            "for j in range(3):\n"
            "    grad[j] = 2 / 5 * np.sum((X @ w - y) * X[:, j])\n"
            "return grad",
            "2 * torch.einsum('nd,n->d', X, X @ w - y) / X.shape[0]",
            "err = X @ w - y; (2 / err.shape[0]) * err @ X",
            "2/5*X'*(X*w-y)",
            "(2/m)∑ᵢ xᵢ(xᵢᵀw − yᵢ)",
            "m = len(X)\ny_pred = np.dot(X, w)\ndw = -(2 * (X.T).dot(y - y_pred)) / m",
        ),
        (
            "2/4 ∑ᵢ₌₁⁵ (ŷᵢ − yᵢ) xᵢ",
            "(2/m) X^T (y_pred + y)",
            "sum(2 * (X[i] @ w - y[i]) * X[i] for i in range(4)) / 5",
            "sum((w @ X[i] - y[i]) * X[i] for i in range(len(y))) / len(y)",
            "grad = np.zeros(3)\n"
            "for i in range(m):\n"
            "    grad += 2 * (X[i] @ w - y[i]) * X[i]",
            "grad = np.zeros(3)\n"
            "for i in range(m):\n"
            "    grad -= 2 * (X[i] @ w - y[i]) * X[i]\n"
            "grad /= m",
            "grad = np.zeros_like(w)\n"
            "for xi, yi in zip(X, y):\n"
            "    grad = (xi @ w - yi) * xi\n"
            "return 2 * grad / len(X)",
            "np.array([2 * np.mean((y_hat - y) * X[:, 0]) for j in range(X.shape[1])])",
            "np.tensordot(X, y_hat - y, axes=([0], [0])) / 5",
            "np.mean([2 * (X[i] @ w - y[i]) * X[i] for i in range(len(X))])",
            "np.mean((X @ w - y)[:, None] * X, axis=0)",
            "n, d = X.shape\n(2 / d) * X.T @ (X @ w - y)",
            "grad = np.zeros(w.shape)\n"
            "for j in range(3):\n"
            "    grad[j] = 2 / 5 * np.sum((X @ w - y) * X[:, 0])\n"
            "return grad",
        ),
    ),
    "ridge": Problem(
        ridge,
        "w",
        (
            r"X^{\top}(Xw-y)+\lambda w",
            r"\mathbf X^\top(\mathbf X\mathbf w-\mathbf y)+\lambda\,\mathbf w",
            r"(X^\top X+\lambda\mathbb{I})w-X^\top y",
            r"\left(X^{\top}X+\lambda I\right)w-X^{\top}y",
            r"-X^\top(y-Xw)+\lambda w",
            r"\sum_{i=1}^{5}(\hat y_i-y_i)x_i+\lambda w",
            "X.T @ (X @ w - y) + lam * w",
            "X.T @ (X @ w - y) + lambda_ * w",
            "(X.T @ X + lam * np.eye(3)) @ w - X.T @ y",
            "X'*(X*w-y) + lambda*w",
            "X' * (X * w - y) .+ λ .* w",
            "Xᵀ(Xw − y) + λ·w",
            r"X^\top X w-X^\top y+\lambda w",
            r"\left(\mathbf{X}^{\mathsf T}\mathbf{X}+\lambda\mathbf{I}\right)\mathbf{w}-\mathbf{X}^{\mathsf"
            r" T}\mathbf{y}",
            "X.T @ (X @ w) - X.T @ y + lam * w",
            "(X.T @ X + lam * np.identity(3)).dot(w) - X.T.dot(y)",
            "(X'X + λI)w − X'y",
        ),
        (
            "X' * (X * w - y) .- λ .* w",
            "X.T @ (X @ w - y) + reg",
            "X.T @ (X @ w + y) + lam * w",
        ),
    ),
    "batch, W₂": Problem(
        batch,
        "W_2",
        (
            r"\frac{1}{m}(\hat Y-Y)^{\top}A_1",
            r"\dfrac1m\bigl(\hat Y-Y\bigr)^\top A_1",
            r"\frac{1}{5}\,(\mathrm{softmax}(Z_2)-Y)^{\top}\tanh(Z_1)",
            r"\frac{1}{m}\left(A_1^\top(\hat Y-Y)\right)^\top",
            "(Y_hat - Y).T @ A1 / m",
            "(1/m) * (Y_hat - Y).T.dot(A1)",
            "np.dot((Y_hat - Y).T, A1) / Y.shape[0]",
            "dZ2 = (Y_hat - Y) / m; dW2 = np.dot(dZ2.T, A1); return dW2",
            "(softmax(Z2) - Y).T @ np.tanh(Z1) / 5",
            "(F.softmax(Z2, dim=1) - Y).T @ torch.tanh(Z1) / len(Y)",
            "np.einsum('ni,nj->ij', Y_hat - Y, A1) / 5",
            "np.tensordot(Y_hat - Y, A1, axes=([0], [0])) / 5",
            "sum(np.outer(Y_hat[i] - Y[i], A1[i]) for i in range(5)) / 5",
            "np.mean([np.outer(Y_hat[i] - Y[i], A1[i]) for i in range(5)], axis=0)",
            "((Y_hat - Y)[:, :, None] * A1[:, None, :]).mean(axis=0)",
            "(Yhat - Y)'*A1/m",
            "1/m * dZ2' * A1 where dZ2 = Yhat - Y",
            r"\frac{1}{m}\sum_{i=1}^m(\hat{\mathbf y}_i-\mathbf y_i)\mathbf a_{1,i}^\top",
            r"\tfrac1m(\hat Y-Y)^\top\tanh(Z_1)",
            "np.matmul((Y_hat - Y).T, A1) / len(X)",
            "1 / m * (Y_hat - Y).T @ A1",
            "torch.einsum('nk,nh->kh', Y_hat - Y, A1) / Y.size(0)",
            "dlogits = (Y_hat - Y) / Y.shape[0]\ndlogits.T @ A1",
        ),
        (
            "sum(np.outer(A1[i], Y_hat[i] - Y[i]) for i in range(5)) / 5",
            "np.sum([np.outer(Y_hat[i] - Y[i], A1[i]) for i in range(5)], axis=0)",
            r"\frac{1}{m}\sum_{i=1}^m(\hat{\mathbf y}_i+\mathbf y_i)\mathbf a_{1,i}^\top",
        ),
    ),
    "batch, W₁": Problem(
        batch,
        "W_1",
        (
            r"\frac1m\left((\hat Y-Y)W_2\odot(1-A_1^2)\right)^\top X",
            r"\Delta_1^{\top}X",
            r"\frac{1}{m}\bigl[(\hat Y-Y)W_2\odot(1-A_1\odot A_1)\bigr]^{\top}X",
            "(((Y_hat - Y) @ W2) * (1 - A1**2)).T @ X / m",
            "dZ2 = (Y_hat - Y) / len(X)\n"
            "dA1 = dZ2 @ W2\n"
            "dZ1 = dA1 * (1 - np.power(A1, 2))\n"
            "dW1 = dZ1.T @ X",
            "np.einsum('ni,nj->ij', (Y_hat - Y) @ W2 * (1 - A1**2), X) / 5",
            "((Yhat - Y)*W2 .* (1 - A1.^2))' * X / m",
            "def backward():\n"
            "    dZ2 = (Y_hat - Y) / X.shape[0]\n"
            "    dZ1 = dZ2.dot(W2) * (1 - A1 ** 2)\n"
            "    dW1 = dZ1.T.dot(X)\n"
            "    return dW1",
            r"\frac1m\Bigl(\bigl((\hat Y-Y)W_2\bigr)\odot\bigl(1-\tanh^2(Z_1)\bigr)\Bigr)^{\!\top}X",
            "np.dot((np.dot(Y_hat - Y, W2) * (1 - np.tanh(Z1)**2)).T, X) / X.shape[0]",
            "((Y_hat - Y) @ W2 * (1 - A1 * A1)).transpose() @ X / m",
        ),
        (
            "((Yhat - Y)*W2 .* (1 - A1.^3))' * X / m",
            "((Yhat - Y)*W2 .* (1 - A1.^2))' * X",
        ),
    ),
    "batch, b₂": Problem(
        batch,
        "b_2",
        (
            r"\frac{1}{m}\sum_{i=1}^{m}(\hat y_i-y_i)",
            r"\frac{1}{m}\sum_{i=1}^{m}\left(\hat{y}^{(i)}-y^{(i)}\right)",
            r"\frac1m(\hat Y-Y)^\top\mathbf{1}",
            r"\frac{1}{m}(\hat Y-Y)^\top\mathbb 1",
            "(Y_hat - Y).mean(axis=0)",
            "np.mean(Y_hat - Y, axis=0)",
            "np.sum(Y_hat - Y, axis=0) / m",
            "(1/m) * np.sum(Y_hat - Y, axis=0)",
            "np.sum(Y_hat - Y, axis=0, keepdims=True) / m",
            "dZ2.sum(axis=0)",
            "torch.mean(F.softmax(Z2, dim=1) - Y, dim=0)",
            "(Y_hat - Y).sum(dim=0) / len(Y)",
            "(Y_hat - Y).sum(0) / Y.size(0)",
            "np.ones(5) @ (Y_hat - Y) / 5",
            "np.array([np.sum(Y_hat[:, k] - Y[:, k]) for k in range(3)]) / m",
            "sum(Y_hat[i] - Y[i] for i in range(m)) / m",
            "np.einsum('ij->j', Y_hat - Y) / 5",
            "sum(Yhat - Y, 1)'/m",
            "mean(Yhat - Y, 1)'",
            "np.average(Y_hat - Y, axis=0)",
            r"\frac1m\sum_{i=1}^m(\hat{\mathbf y}_i-\mathbf y_i)",
            "(Y_hat - Y).mean(dim=0)",
            "np.mean(Y_hat - Y, axis=0, keepdims=True)",
            "1./m * np.sum(Y_hat - Y, axis=0)",
            "(F.softmax(Z2, dim=-1) - Y).mean(0)",
            "[np.mean(Y_hat[:, k] - Y[:, k]) for k in range(3)]",
        ),
        (
            "sum(Yhat - Y, 1)'",
            "mean(Yhat - Y, 2)'",
            "dZ2.sum(axis=1)",
            "np.mean(Y_hat + Y, axis=0, keepdims=True)",
            "[np.mean(Y_hat[:, k] - Y[:, 0]) for k in range(3)]",
            "sum(Y_hat[i] - Y[i] for i in range(m))",
        ),
    ),
    "logistic batch": Problem(
        logistic_batch,
        "w",
        (
            r"\frac{1}{m}X^{\top}(\hat y-y)",
            r"\frac1m X^\top\left(\sigma(Xw+b)-y\right)",
            r"\frac{1}{m}\sum_{i=1}^{m}(\hat y^{(i)}-y^{(i)})x^{(i)}",
            r"\frac{1}{m}\sum_{i=1}^m\left(\sigma(w^\top x_i+b)-y_i\right)x_i",
            r"\frac{\partial J}{\partial w_j}=\frac{1}{m}\sum_{i=1}^{m}\left(\hat y^{(i)}-y^{(i)}\right)x_j^{(i)}",
            "X.T @ (y_hat - y) / m",
            "np.dot(X.T, sigmoid(X @ w + b) - y) / len(y)",
            "1/m * X.T.dot(sigmoid(X.dot(w) + b) - y)",
            "((sigmoid(X @ w + b) - y)[:, None] * X).mean(axis=0)",
            "A = 1 / (1 + np.exp(-(np.dot(X, w) + b)))\ndw = np.dot(X.T, (A - y)) / m",
            "(X.T @ (expit(X @ w + b) - y)) / X.shape[0]",
            "np.mean((p - y)[:, None] * X, axis=0)",
            "X'*(sigmoid(X*w+b)-y)/m",
            "1/m Xᵀ(σ(Xw + b) − y)",
            "(1/m) Xᵀ(p − y)",
            "np.array([np.mean((y_hat - y) * X[:, j]) for j in range(X.shape[1])])",
            "dw = 0\nfor i in range(m):\n    dw += (y_hat[i] - y[i]) * X[i]\ndw / m",
            r"\frac{1}{m}\mathbf X^\top\bigl(\sigma(\mathbf X\mathbf w+b\mathbf 1)-\mathbf y\bigr)",
            r"\frac1m\sum_{i=1}^m\bigl(\sigma(z^{(i)})-y^{(i)}\bigr)x^{(i)}",
            "predictions = sigmoid(np.dot(X, w) + b)\n"
            "error = predictions - y\n"
            "gradient = np.dot(X.T, error) / y.size",
            "(1 / m) * (sigmoid(X @ w + b) - y) @ X",
            "X.T.dot(1 / (1 + np.exp(-X.dot(w) - b)) - y) / len(X)",
            "torch.mean((y_hat - y)[:, None] * X, dim=0)",
            "for i in range(1):\n    dw = X.T @ (y_hat - y) / 6\ndw",
        ),
        (
            "X.T @ (y_hat - y)",
            "dw = 0\nfor i in range(m):\n    dw += (y_hat[i] - y[i]) * X[i]\ndw",
            "np.mean((p - y)[:, None] * X, axis=0) / m",
            "X'*(tanh(X*w+b)-y)/m",
            r"\frac1m X^\top(\sigma(Xw-b)-y)",
        ),
    ),
    "logistic batch, b": Problem(
        logistic_batch,
        "b",
        (
            r"\frac{1}{m}\sum_{i=1}^{m}(\hat y_i-y_i)",
            r"\frac1m\mathbf 1^\top(\hat y-y)",
            "np.mean(y_hat - y)",
            "np.sum(y_hat - y) / m",
            "(y_hat - y).mean()",
            "sum(y_hat[i] - y[i] for i in range(m)) / m",
            "(sigmoid(X @ w + b) - y).sum() / len(y)",
            "mean(yhat - y)",
            r"\frac{1}{m}\sum_{i=1}^m\left(\sigma(w^\top x_i+b)-y_i\right)",
            "(1/m) * np.sum(y_hat - y)",
            "torch.mean(torch.sigmoid(X @ w + b) - y)",
            "np.average(y_hat - y)",
        ),
        (
            "np.sum(y_hat - y)",
            "mean(yhat + y)",
            "sum(y_hat[i] - y[i] for i in range(1, m)) / m",
        ),
    ),
    "softmax rows": Problem(
        softmax_rows,
        "W",
        (
            r"\frac{1}{m}X^{\top}(\hat Y-Y)",
            r"\frac1m X^\top(\mathrm{softmax}(XW+b)-Y)",
            r"\frac{1}{m}X^\top(P-Y)",
            "X.T @ (Y_hat - Y) / m",
            "X.T @ (P - Y) / X.shape[0]",
            "np.dot(X.T, softmax(X @ W + b) - Y) / len(X)",
            "scores = X @ W + b\n"
            "probs = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)\n"
            "dscores = probs - Y\n"
            "dscores /= len(X)\n"
            "dW = X.T @ dscores",
            "exp_scores = np.exp(X.dot(W) + b)\n"
            "probs = exp_scores / exp_scores.sum(axis=1, keepdims=True)\n"
            "X.T.dot(probs - Y) / X.shape[0]",
            "X.T @ (F.softmax(X @ W + b, dim=1) - Y) / X.shape[0]",
            "X.T @ (jax.nn.softmax(X @ W + b, axis=-1) - Y) / 6",
            "X'*(Yhat - Y)/m",
            r"\frac{1}{m}\sum_{i=1}^m x_i(\hat y_i-y_i)^\top",
            r"\frac{1}{m}\sum_{i=1}^m x_{ij}(\hat y_{ik}-y_{ik})",
            "np.einsum('ni,nj->ij', X, Y_hat - Y) / X.shape[0]",
            "sum(np.outer(X[i], Y_hat[i] - Y[i]) for i in range(len(X))) / len(X)",
            r"\frac{1}{m}\sum_{i=1}^{m}x_i(p_i-y_i)^\top",
            "(1/len(X)) * X.T.dot(softmax(X.dot(W) + b) - Y)",
            "Z = X @ W + b\n"
            "P = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)\n"
            "X.T @ (P - Y) / 6",
            "X.T @ (torch.softmax(X @ W + b, 1) - Y) / X.size(0)",
            "np.tensordot(X, Y_hat - Y, axes=(0, 0)) / len(X)",
        ),
        (
            r"\frac1m X^\top(\mathrm{softmax}(XW-b)-Y)",
            r"\frac1m X^\top(\mathrm{softmax}(XW)-Y)",
            "exp_scores = np.exp(X.dot(W) + b)\n"
            "probs = exp_scores / exp_scores.sum(axis=0, keepdims=True)\n"
            "X.T.dot(probs - Y) / X.shape[0]",
            "dscores = Y_hat - Y\ndscores *= len(X)\ndW = X.T @ dscores",
        ),
    ),
    "columns, W₁": Problem(
        columns,
        "W_1",
        (
            r"\frac{1}{m}\left(W_2^\top(A_2-Y)\odot(1-A_1^2)\right)X^\top",
            r"\frac{1}{m}\,W^{[2]\top}(A^{[2]}-Y)\odot\bigl(1-(A^{[1]})^2\bigr)X^{\top}",
            "dZ2 = A2 - Y\n"
            "dZ1 = np.dot(W2.T, dZ2) * (1 - np.power(A1, 2))\n"
            "dW1 = (1/m) * np.dot(dZ1, X.T)",
            "dZ2 = A2 - Y\n"
            "dZ1 = np.multiply(np.dot(W2.T, dZ2), 1 - np.power(A1, 2))\n"
            "dW1 = 1./m * np.dot(dZ1, X.T)\n"
            "return dW1",
            "m = X.shape[1]\n"
            "dZ2 = A2 - Y\n"
            "dW2 = np.dot(dZ2, A1.T) / m\n"
            "db2 = np.sum(dZ2, axis=1, keepdims=True) / m\n"
            "dZ1 = np.dot(W2.T, dZ2) * (1 - A1 ** 2)\n"
            "dW1 = np.dot(dZ1, X.T) / m",
            "(W2.T @ (A2 - Y) * (1 - A1**2)) @ X.T / m",
            "(W2'*(A2 - Y).*(1-A1.^2))*X'/m",
            r"\Delta_1 X^\top",
            r"\frac1m\bigl(W_2^\top(A_2-Y)\odot(1-\tanh^2(Z_1))\bigr)X^\top",
            "m = Y.shape[1]\n"
            "dZ2 = A2 - Y\n"
            "dA1 = W2.T @ dZ2\n"
            "dZ1 = dA1 * (1 - np.square(A1))\n"
            "1 / m * dZ1 @ X.T",
            "1/m * np.dot(np.multiply(np.dot(W2.T, A2 - Y), 1 - np.power(A1, 2)), X.T)",
        ),
        (
            "dZ2 = A2 - Y\n"
            "dZ1 = np.dot(W2.T, dZ2) * (1 - np.power(A1, 2))\n"
            "dW1 = (1/3) * np.dot(dZ1, X.T)",
            "(W2'*(A2 - Y).*(1-A1.^2))*X'",
            "(W2.T @ (A1 - Y) * (1 - A1**2)) @ X.T / m",
        ),
    ),
    "columns, W₂": Problem(
        columns,
        "W_2",
        (
            r"\frac{1}{m}(A_2-Y)A_1^\top",
            r"\frac{1}{m}\,dZ^{[2]}A^{[1]T} \text{ where } dZ^{[2]} = A^{[2]}-Y",
            "(1/m) * np.dot(A2 - Y, A1.T)",
            "(sigmoid(Z2) - Y) @ A1.T / m",
            "dZ2 = A2 - Y\ndW2 = 1/m * np.dot(dZ2, A1.T)",
            "(A2 - Y)*A1'/m",
            "1./m * (A2 - Y) @ np.tanh(Z1).T",
            r"\frac1m\sum_{i=1}^m (a_2^{(i)}-y^{(i)})(a_1^{(i)})^\top",
            r"\frac1m\,dZ_2\,A_1^\top\text{ where } dZ_2=A_2-Y",
            "np.dot(A2 - Y, A1.T) / Y.shape[1]",
            "np.einsum('im,jm->ij', A2 - Y, A1) / 5",
        ),
        (
            "(A2 - Y)*A1'",
            r"\frac1m\sum_{i=1}^m (a_2^{(i)}+y^{(i)})(a_1^{(i)})^\top",
            "(1/m) * np.dot(A2, A1.T)",
        ),
    ),
    "columns, b₁": Problem(
        columns,
        "b_1",
        (
            r"\frac{1}{m}\left(W_2^\top(A_2-Y)\odot(1-A_1^2)\right)\mathbf 1",
            "dZ1 = np.dot(W2.T, A2 - Y) * (1 - A1**2)\n"
            "db1 = (1/m) * np.sum(dZ1, axis=1, keepdims=True)",
            "np.sum(W2.T @ (A2 - Y) * (1 - A1**2), axis=1, keepdims=True) / m",
            "np.mean(W2.T @ (A2 - Y) * (1 - A1**2), axis=1, keepdims=True)",
            "(W2.T @ (A2 - Y) * (1 - A1**2)).mean(axis=1, keepdims=True)",
            "sum(W2'*(A2 - Y).*(1-A1.^2), 2)/m",
            r"\frac{1}{m}\sum_{i=1}^m\Bigl(W_2^\top(a_2^{(i)}-y^{(i)})\odot(1-(a_1^{(i)})^2)\Bigr)",
            "db1 = np.sum(W2.T.dot(A2 - Y) * (1 - A1 * A1), axis=1).reshape(-1, 1) / 5",
        ),
        (
            "np.mean(W2.T @ (A2 - Y) * (1 - A1**2), axis=0, keepdims=True)",
            "np.sum(W2.T @ (A2 - Y) * (1 - A1**2), axis=1, keepdims=True)",
            "sum(W2'*(A2 - Y).*(1-A1.^2), 1)/m",
        ),
    ),
    "lasso": Problem(
        lasso,
        "w",
        (
            r"X^\top(Xw-y)+\lambda\,\mathrm{sign}(w)",
            r"X^{\top}(Xw-y)+\lambda\operatorname{sgn}(w)",
            r"X^\top(Xw-y)+\lambda\frac{w}{|w|}",
            "X.T @ (X @ w - y) + lam * np.sign(w)",
            "X.T @ (X @ w - y) + lam * w / np.abs(w)",
            "X.T @ (X @ w - y) + lam * np.where(w > 0, 1, -1)",
            "X'*(X*w-y) + lambda*sign(w)",
            "X.T.dot(X.dot(w) - y) + lambd * torch.sign(w)",
            r"X^\top(Xw-y)+\lambda\,\operatorname{sign}(w)",
            "X.T @ (y_hat - y) + lam * torch.sign(w)",
            "X.T.dot(X @ w - y) + lam * ((w > 0) * 1 - (w < 0) * 1)",
        ),
        (
            "X.T @ (y_hat - y) + lam * torch.abs(w)",
            r"X^\top(Xw-y)+\lambda\frac{w}{\lVert w\rVert}",
            "X.T @ y_hat + lam * np.sign(w)",
            "X.T @ (y_hat - y) + lam * w",
        ),
    ),
    "hinge": Problem(
        hinge,
        "w",
        (
            r"-y x\,\mathbb{1}_{y(w^\top x+b)<1}",
            r"-y\,x\,\mathbb 1[1-y(w^\top x+b)>0]",
            r"\begin{cases}-yx & \text{if } y(w^\top x+b)<1\\ 0 & \text{otherwise}\end{cases}",
            r"\begin{cases}0 & y(w^\top x+b)\geq 1\\ -y\,x & \text{else}\end{cases}",
            "np.where(y * (w @ x + b) < 1, -y * x, 0)",
            "-y * x * (y * (w @ x + b) < 1)",
            "-y * x if y * (w @ x + b) < 1 else np.zeros(4)",
            "-y * x if 1 - y * (np.dot(w, x) + b) > 0 else 0",
            "-yx · 𝟙(y(wᵀx + b) < 1)",
            r"-y\,\mathbf 1\{y\,(w^\top x+b)<1\}\,x",
            "-y * x * (1 - y * (w @ x + b) > 0)",
            "np.where(1 - y * (w @ x + b) > 0, -y * x, np.zeros(4))",
            "margin = y * (w @ x + b)\ngrad = -y * x if margin < 1 else 0 * x",
        ),
        (
            r"-y x\,\mathbb{1}_{y(w^\top x+b)>1}",
            "np.where(y * (w @ x + b) < 1, y * x, 0)",
            "-y * x if y * (w @ x + b) > 1 else np.zeros(4)",
            "-y * x",
        ),
    ),
    "factors": Problem(
        factors,
        "U",
        (
            r"-(R-UV^\top)V",
            r"(UV^{\top}-R)V",
            "-E V where E = R - U V^T",
            "-(R - U @ V.T) @ V",
            "(U @ V.T - R).dot(V)",
            "-np.einsum('ij,jk->ik', R - U @ V.T, V)",
            "-(R - U*V')*V",
            "UVᵀV − RV",
            r"\sum_j (U_{i}^\top V_j - R_{ij})V_{jk}",
            r"\sum_{j} \left(\sum_{l}U_{il}V_{jl}-R_{ij}\right)V_{jk}",
            r"(UV^\top-R)\,V",
            "E = R - U @ V.T\n-E @ V",
            "-2 * (R - U @ V.T) @ V / 2",
        ),
        (
            "-(R - U @ V.T) @ U",
            "(R - U*V')*V",
            "-np.einsum('ij,jk->ik', R + U @ V.T, V)",
        ),
    ),
    "factors, V": Problem(
        factors,
        "V",
        (
            r"-(R-UV^\top)^\top U",
            r"(VU^\top-R^\top)U",
            "(U @ V.T - R).T @ U",
            "-(R - U*V')'*U",
            "np.einsum('ij,ik->jk', U @ V.T - R, U)",
        ),
        (
            "(R - U*V')'*U",
            "np.einsum('ij,ik->kj', U @ V.T - R, U)",
        ),
    ),
    "gaussian": Problem(
        gaussian,
        "mu",
        (
            r"-\frac{1}{s^2}\sum_{i=1}^{6}(x_i-\mu)",
            r"\frac{1}{s^2}\sum_i(\mu-x_i)",
            r"-\frac{\sum_i (x_i-\mu)}{s^2}",
            r"\frac{n\mu-\sum_i x_i}{s^2} \text{ where } n = 6",
            "-np.sum(x - mu) / s**2",
            "-sum(x - mu)/s^2",
            "(mu - x).sum() / s**2",
            "sum((mu - x[i]) / s**2 for i in range(len(x)))",
            r"-\sum_{i=1}^{n}\frac{x_i-\mu}{s^2}",
            "-(x - mu).sum() / (s * s)",
            r"-\frac{\sum_{i=1}^{6}(x_i-\mu)}{s^{2}}",
            "np.sum(mu - x) / s**2",
            "-(x.sum() - 6 * mu) / s**2",
            r"-\mathbf 1^\top(x-\mu)/s^2",
        ),
        (
            r"-\sum_{i=1}^{n}\frac{x_i+\mu}{s^2}",
            "sum((mu - x[i]) / s**2 for i in range(len(x) - 1))",
            r"\frac{5\mu-\sum_i x_i}{s^2}",
            "-(x - mu).mean() / s**2",
        ),
    ),
    "gaussian, s": Problem(
        gaussian,
        "s",
        (
            r"-\frac{1}{s^3}\sum_i(x_i-\mu)^2",
            r"-\frac{\lVert x-\mu\rVert^2}{s^3}",
            r"-\frac{\left\lVert x-\mu\right\rVert_2^2}{s^{3}}",
            "-np.sum((x - mu)**2) / s**3",
            "-((x - mu) ** 2).sum() / s ** 3",
            "-sum((x-mu).^2)/s^3",
            r"-s^{-3}\sum_{i}(x_i-\mu)^2",
            "-((x - mu) @ (x - mu)) / s**3",
        ),
        (
            r"-\frac{\lVert x-\mu\rVert}{s^3}",
            "-sum((x-mu).^2)/s^2",
        ),
    ),
    "cs231n": Problem(
        cs231n,
        "W_1",
        (
            r"\frac{2}{5}X^\top\left((\hat Y-Y)W_2^\top\odot\mathbb 1_{Z_1>0}\right)",
            r"\frac2m X^\top\bigl((\hat Y-Y)W_2^\top\odot\mathbf 1(Z_1>0)\bigr)",
            "dscores = 2 * (Y_hat - Y) / len(X)\n"
            "dhidden = np.dot(dscores, W2.T)\n"
            "dhidden[A1 <= 0] = 0\n"
            "dW1 = np.dot(X.T, dhidden)",
            "dout = 2 * (Y_hat - Y) / X.shape[0]\n"
            "dh = dout @ W2.T\n"
            "dh = dh * (Z1 > 0)\n"
            "X.T @ dh",
            "X.T @ ((2 / 5 * (Y_hat - Y) @ W2.T) * (A1 > 0))",
            "2 / m * X.T @ (((Y_hat - Y) @ W2.T) * (np.maximum(0, Z1) > 0))",
            "2 * X.T @ (((Y_pred - Y) @ W2.T) * (Z1 > 0)) / N",
            "grad_y_pred = 2.0 * (y_pred - Y) / N\n"
            "grad_h_relu = grad_y_pred.dot(W2.T)\n"
            "grad_h = grad_h_relu.copy()\n"
            "grad_h[Z1 < 0] = 0\n"
            "grad_w1 = X.T.dot(grad_h)",
            "X.t().mm((2 / 5 * (Y_hat - Y)).mm(W2.t()) * (Z1 > 0))",
            "2/m * X' * (((Yhat - Y)*W2') .* (Z1 > 0))",
            r"\frac{2}{m}X^{\top}\left[\left(\hat Y-Y\right)W_2^{\top}\odot\mathbb{1}(Z_1>0)\right]",
            "dY = 2 * (Y_hat - Y) / 5\n"
            "dH = dY @ W2.T\n"
            "dH[Z1 <= 0] = 0\n"
            "return X.T @ dH",
            "X.T @ np.where(Z1 > 0, 2 / 5 * (Y_hat - Y) @ W2.T, 0)",
            "d_hidden = (2 * (Y_hat - Y) / len(Y)).dot(W2.T) * (Z1 > 0).astype(np.float64)\n"
            "d_W1 = X.T.dot(d_hidden)",
        ),
        (
            "dscores = 2 * (Y_hat - Y) / len(X)\n"
            "dhidden = np.dot(dscores, W2.T)\n"
            "dhidden[A1 > 0] = 0\n"
            "dW1 = np.dot(X.T, dhidden)",
            "X.T @ ((2 / 5 * (Y_hat - Y) @ W2.T) * (A1 >= 0))",
            "2/m * X' * (((Yhat - Y)*W2') .* (Z1 .< 0))",
        ),
    ),
    "cs231n, b₁": Problem(
        cs231n,
        "b_1",
        (
            r"\frac2m\sum_i\left((\hat Y-Y)W_2^\top\odot\mathbb 1_{Z_1>0}\right)_{i}",
            "np.sum(2 / m * (Y_hat - Y) @ W2.T * (Z1 > 0), axis=0)",
            "((2 / 5) * (Y_hat - Y) @ W2.T * (A1 > 0)).sum(axis=0)",
            "np.sum(2/5 * (Y_hat - Y) @ W2.T * (Z1 > 0), axis=0, keepdims=True)",
            "2 * np.mean((Y_hat - Y) @ W2.T * (Z1 > 0), axis=0)",
            r"\Delta_1^\top\mathbf 1",
        ),
        (
            "np.sum(2 / m * (Y_hat - Y) @ W2.T * (Z1 > 0), axis=1)",
            "np.mean((Y_hat - Y) @ W2.T * (Z1 > 0), axis=0)",
        ),
    ),
    "cs231n, W₂": Problem(
        cs231n,
        "W_2",
        (
            r"\frac2m A_1^\top(\hat Y-Y)",
            r"\frac{2}{5}\max(0,Z_1)^\top(\hat Y-Y)",
            "2 / m * A1.T @ (Y_hat - Y)",
            "np.maximum(0, Z1).T @ (2 * (Y_hat - Y)) / 5",
            "np.einsum('ni,nj->ij', A1, 2 * (Y_hat - Y)) / len(Y)",
            "2/m*A1'*(Yhat-Y)",
            r"\frac{2}{m}\operatorname{ReLU}(Z_1)^\top(\hat Y-Y)",
            "A1.T.dot(2.0 * (Y_hat - Y) / N)",
            "torch.relu(Z1).T @ (Y_hat - Y) * 2 / Y.shape[0]",
        ),
        (
            "2 / m * Z1.T @ (Y_hat - Y)",
            "np.einsum('ni,nj->ij', A1, Y_hat - Y) / len(Y)",
        ),
    ),
    "quadratic": Problem(
        quadratic,
        "x",
        (
            r"\left(A+A^{\top}\right)x+b",
            r"(A+A^{\mathrm T})\bm x+\bm b",
            r"A x + A^\prime x + b",
            "np.dot(A, x) + np.dot(A.T, x) + b",
            "(A + A.T).dot(x) + b",
            "np.einsum('ij,j->i', A, x) + np.einsum('ij,i->j', A, x) + b",
            "np.array([sum((A[i, j] + A[j, i]) * x[j] for j in range(3)) + b[i] for i in range(3)])",
            "A*x + A'*x + b",
            "torch.mv(A + A.t(), x) + b",
            r"\sum_{j=1}^{n}(a_{ij}+a_{ji})x_j+b_i",
            r"\sum_{j}A_{ij}x_j+\sum_{j}A_{ji}x_j+b_i",
            "A.dot(x) + x.dot(A) + b",
            "(A + np.transpose(A)) @ x + b",
        ),
        (
            "np.array([sum((A[i, j] - A[j, i]) * x[j] for j in range(3)) + b[i] for i in range(3)])",
            "np.array([sum((A[i, j] + A[j, i]) * x[i] for j in range(3)) + b[i] for i in range(3)])",
            "np.einsum('ij,j->i', A, x) + np.einsum('ij,j->i', A, x) + b",
        ),
    ),
    "quadratic, A": Problem(
        quadratic,
        "A",
        (
            r"xx^\top",
            r"x x^{\mathsf T}",
            r"\mathbf{x}\mathbf{x}^{\top}",
            "np.outer(x, x)",
            "x[:, None] @ x[None, :]",
            "x[:, None] * x",
            "x.reshape(-1,1) @ x.reshape(1,-1)",
            "x*x'",
            "x_i x_j",
            "np.array([[x[i]*x[j] for j in range(3)] for i in range(3)])",
            "torch.outer(x, x)",
            r"x \otimes x",
            r"\bm x\bm x^{\mathsf T}",
            "np.einsum('i,j->ij', x, x)",
            "np.array([xi * x for xi in x])",
        ),
        (
            "x @ x",
            "np.array([[x[i]*x[i] for j in range(3)] for i in range(3)])",
            "np.array([xi + x for xi in x])",
        ),
    ),
    "determinant": Problem(
        determinant,
        "A",
        (
            r"A^{-\mathsf T}",
            r"\left(A^{-1}\right)^{\mathrm T}",
            r"\frac{1}{\det A}\operatorname{adj}(A)^\top",
            "inv(A)'",
            "inv(A')",
            "transpose(inverse(A))",
            "torch.linalg.inv(A).T",
            "torch.inverse(A).t()",
            "np.linalg.inv(A).transpose()",
            "jnp.linalg.inv(A).T",
            "inv(transpose(A))",
            r"\left(A^{\mathsf T}\right)^{-1}",
            "np.linalg.inv(np.transpose(A))",
            "torch.linalg.inv(A.T)",
        ),
        (
            r"\frac{1}{\det A}\operatorname{adj}(A)",
            r"\operatorname{adj}(A)^\top",
            "torch.inverse(A)",
            "inv(A)",
        ),
    ),
    "norm": Problem(
        norm,
        "x",
        (
            r"\frac{x-c}{\left\lVert x-c\right\rVert}",
            r"\frac{x-c}{\left\|x-c\right\|_2}",
            r"\dfrac{\bm x-\bm c}{\lVert\bm x-\bm c\rVert}",
            "(x - c) / np.sqrt(((x - c) ** 2).sum())",
            "(x - c) / np.linalg.norm(x - c, 2)",
            "(x - c) / torch.norm(x - c)",
            "(x - c) / (x - c).norm()",
            "(x-c)/norm(x-c, 2)",
            "(x - c) / np.sqrt(np.dot(x - c, x - c))",
            "(x - c) / sum((x - c)**2)**0.5",
            "(x−c)/√(∑ᵢ(xᵢ−cᵢ)²)",
            "(x - c) / math.sqrt(sum((x[i] - c[i])**2 for i in range(4)))",
            r"\frac{x-c}{\sqrt{\sum_{i=1}^{4}(x_i-c_i)^2}}",
            "(x - c) / np.sum((x - c)**2)**0.5",
            "diff = x - c\ndiff / np.linalg.norm(diff)",
            "(x - c) / torch.linalg.norm(x - c)",
            "(x - c) / ((x - c) @ (x - c)) ** (1/2)",
        ),
        (
            "(x - c) / sum((x - c)**2)",
            "(x-c)/norm(x-c, 1)",
            "(x - c) / np.linalg.norm(x - c, 1)",
        ),
    ),
    "exponential": Problem(
        exponential,
        "x",
        (
            r"a\circ e^{a\circ x}",
            r"\operatorname{diag}(a)\,e^{a\odot x}",
            r"\left(a_i e^{a_i x_i}\right)_i",
            "a .* exp(a .* x)",
            "a.*exp.(a.*x)",
            "np.array([a[i] * np.exp(a[i] * x[i]) for i in range(4)])",
            "np.array([ai * np.exp(ai * xi) for ai, xi in zip(a, x)])",
            "a * jnp.exp(a * x)",
            "a * torch.exp(a * x)",
            "a * (a * x).exp()",
            "a*e**(a*x)",
            r"\mathbf{a}\odot\exp\left(\mathbf{a}\odot\mathbf{x}\right)",
            "[ai * np.exp(ai * xi) for ai, xi in zip(a, x)]",
            "np.diag(a) @ np.exp(a * x)",
        ),
        (
            "a.*exp.(x)",
            r"\left(a_i e^{x_i}\right)_i",
            "[ai * np.exp(ai * xi) for ai, xi in zip(x, a)]",
            "a*e**(a+x)",
        ),
    ),
    "leaky": Problem(
        leaky,
        "W",
        (
            r"\left((\hat y-y)\odot\mathrm{LeakyReLU}'(z)\right)x^\top",
            "np.outer((y_hat - y) * np.where(z > 0, 1.0, 0.2), x)",
            "np.outer((y_hat - y) * ((z > 0) + 0.2 * (z <= 0)), x)",
            "torch.outer((y_hat - y) * torch.where(z > 0, 1.0, 0.2), x)",
            "dz = y_hat - y\ndz[z < 0] *= 0.2\nnp.outer(dz, x)",
            "((yhat - y).*((z > 0) + 0.2*(z <= 0)))*x'",
            "np.outer((F.leaky_relu(z, 0.2) - y) * np.where(z > 0, 1, 0.2), x)",
            "np.outer((np.maximum(0.2 * z, z) - y) * np.where(z >= 0, 1, 0.2), x)",
            r"\left((\hat y-y)\odot\begin{cases}1,&z>0\\0.2,&\text{otherwise}\end{cases}\right)x^\top",
            "alpha = 0.2\n"
            "dz = (y_hat - y) * np.where(z > 0, 1, alpha)\n"
            "np.outer(dz, x)",
            "slope = np.ones_like(z)\n"
            "slope[z < 0] = 0.2\n"
            "np.outer((y_hat - y) * slope, x)",
        ),
        (
            "dz = y_hat - y\ndz[z > 0] *= 0.2\nnp.outer(dz, x)",
            "np.outer((F.leaky_relu(z, 0.1) - y) * np.where(z > 0, 1, 0.2), x)",
            "((yhat - y).*((z > 0) + 0.2*(z > 0)))*x'",
        ),
    ),
    "trace": Problem(
        trace,
        "X",
        (
            r"A X B+A^{\top}X B^{\top}",
            "A*X*B + A'*X*B'",
            "np.dot(np.dot(A, X), B) + np.dot(np.dot(A.T, X), B.T)",
            "np.linalg.multi_dot([A, X, B]) + np.linalg.multi_dot([A.T, X, B.T])",
            "np.einsum('ik,kl,lj->ij', A, X, B) + np.einsum('ki,kl,jl->ij', A, X, B)",
            "torch.mm(torch.mm(A, X), B) + A.t().mm(X).mm(B.t())",
            r"\mathbf A\mathbf X\mathbf B+\mathbf A^{\mathsf T}\mathbf X\mathbf B^{\mathsf T}",
            "A @ (X @ B) + A.T @ (X @ B.T)",
        ),
        (
            "np.linalg.multi_dot([A, X, B]) + np.linalg.multi_dot([A.T, X, B])",
            "torch.mm(torch.mm(A, X), B) - A.t().mm(X).mm(B.t())",
        ),
    ),
    "cube": Problem(
        cube,
        "A",
        (
            r"(A^{\top})^{2}",
            r"A^{\top}A^{\top}",
            "(A*A)'",
            "(A^2)'",
            "np.linalg.matrix_power(A.T, 2)",
            "torch.matrix_power(A, 2).T",
            "np.transpose(A) @ np.transpose(A)",
            "(A.T) @ (A.T)",
            r"\left(A^{\mathsf T}\right)^{2}",
        ),
        (
            "A.^2",
            "(A.^2)'",
            "torch.matrix_power(A, 2)",
        ),
    ),
    "neuron, b": Problem(
        neuron,
        "b",
        (
            r"(\hat y-y)(1-\hat y^2)",
            "(a - y)*(1 - a^2)",
            "(y_hat - y) * (1 - y_hat ** 2)",
            r"(\tanh(z)-y)\,\mathrm{sech}^2 z",
            r"\delta",
        ),
        (
            "(a - y)*(1 - a.^3)",
            r"\delta x",
        ),
    ),
}
