"""Tensors with NumPy's habits; gradients as tensors, Hessians, and a check of every derivative."""

import numpy as np

import deltarule as dr

A = dr.parameter(np.array([[2.0, 1.0], [1.0, 3.0]]), name="A")
x = dr.tensor(np.array([1.0, -1.0]), name="x")

energy = x @ A @ x / 2
print("x'Ax/2 =", energy.item(), " shape", energy.shape)
print("gradient in A = xx'/2:\n", dr.grad(energy, [A])[0].numpy())


def bowl(v: dr.Tensor) -> dr.Tensor:
    """Return v'Av/2 + Σ v⁴."""
    return v @ A @ v / 2 + (v**4).sum()


print("Hessian = (A + A')/2 + diag(12 v²):\n", dr.hessian(bowl, x).numpy())
print(dr.check_gradients(bowl, x, order=2))
