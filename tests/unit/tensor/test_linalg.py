"""Linear algebra of the notes against NumPy and the worked cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

import deltarule as dr
from deltarule import linalg
from deltarule.errors import ArgumentError, DataError, ShapeError

A = np.array([[1.0, 2.0], [3.0, 4.0]])
B = np.array([[0.0, 1.0], [1.0, 1.0]])
C = np.array([[2.0, 0.0], [1.0, -1.0]])


@pytest.mark.notes("LA-01", "LA-02", "C-LA-01")
def test_trace() -> None:
    a, b, c = map(dr.tensor, (A, B, C))
    assert [dr.trace(p).item() for p in (a @ b @ c, c @ a @ b, b @ c @ a)] == [0, 0, 0]
    assert dr.trace(a @ c @ b).item() == 4
    assert dr.trace(2 * a + 3 * b).item() == 2 * 5 + 3 * 1
    assert dr.trace(7.0).item() == 7 and dr.trace(a.T).item() == dr.trace(a).item()


@pytest.mark.notes("LA-03", "LA-04", "LA-05", "C-LA-02")
def test_vector_norms() -> None:
    x = np.array([3.0, -4.0])
    values = [dr.norm(x, p).item() for p in (1, 2, 3, math.inf)]
    np.testing.assert_allclose(values, [7, 5, 4.497941445275415, 4], rtol=1e-14)
    assert dr.cosine_similarity([1.0, 0.0], [1.0, 1.0]).item() == pytest.approx(
        math.sqrt(0.5)
    )
    with pytest.raises(ArgumentError, match="p ≥ 1"):
        dr.norm(x, 0.5)


@pytest.mark.notes("LA-09", "LA-11", "C-LA-03")
def test_matrix_norms() -> None:
    assert dr.norm(A, "fro").item() == pytest.approx(5.477225575051661, rel=1e-14)
    assert math.sqrt(dr.trace(dr.tensor(A) @ A.T).item()) == pytest.approx(
        5.477225575051661, rel=1e-14
    )
    assert linalg.induced_infinity_norm([[1.0, -2.0], [3.0, 4.0]]).item() == 7


@pytest.mark.notes("LA-06", "LA-07", "C-LA-04", "C-LA-09", "C-LA-10", "E000-05")
def test_eigenvalues() -> None:
    values, vectors = linalg.eigh([[2.0, 1.0], [1.0, 2.0]])
    np.testing.assert_allclose(values.numpy(), [1, 3], rtol=1e-6)
    np.testing.assert_allclose((vectors.T @ vectors).numpy(), np.eye(2), atol=1e-6)
    full = linalg.eig(A)
    assert full.is_diagonalizable
    rebuilt = full.vectors @ np.diag(full.values) @ np.linalg.inv(full.vectors)
    np.testing.assert_allclose(rebuilt, A, rtol=1e-12)
    assert not linalg.eig([[1.0, 1.0], [0.0, 1.0]]).is_diagonalizable
    circulant = np.array([[1.0, 1, 0], [0, 1, 1], [1, 0, 1]])
    assert linalg.is_normal(circulant) and not linalg.is_orthogonal(circulant)
    with pytest.raises(DataError, match="symmetric"):
        linalg.eigh(A)
    with pytest.raises(ShapeError, match="square"):
        linalg.eig(np.ones((2, 3)))


@pytest.mark.notes("LA-08", "C-LA-05")
def test_singular_values() -> None:
    u, s, vt = linalg.svd(A)
    np.testing.assert_allclose(s.numpy(), [5.4649857042, 0.3659661906], rtol=1e-9)
    np.testing.assert_allclose((u * s @ vt).numpy(), A, rtol=1e-12)
    np.testing.assert_allclose(linalg.pinv(A).numpy(), np.linalg.inv(A), rtol=1e-10)


@pytest.mark.notes("LA-13", "LA-14", "LA-16", "C-LA-06")
def test_quadratic_form() -> None:
    x, theta = dr.tensor([1.0, -2.0]), dr.tensor([5.0, 7.0])
    assert dr.grad(x @ dr.tensor(A) @ x, x).tolist() == [-8, -11]
    assert dr.hessian(lambda v: v @ dr.tensor(A) @ v, x).tolist() == [[2, 5], [5, 8]]
    assert dr.grad(theta @ x, x).tolist() == [5, 7]
    assert dr.grad(x @ x, x).tolist() == [2, -4]


@pytest.mark.notes("LA-15", "LA-17", "LA-18", "LA-20", "C-LA-07")
def test_chain_of_linear_maps_in_denominator_layout() -> None:
    generator = np.random.default_rng(0)
    w, v = generator.normal(size=(3, 2)), generator.normal(size=(4, 3))
    result = dr.jacobian(lambda x: dr.tensor(v) @ (dr.tensor(w) @ x), np.zeros(2))
    assert result.shape == (2, 4)
    np.testing.assert_allclose(result.numpy(), w.T @ v.T, rtol=1e-12)


@pytest.mark.notes("LA-21", "LA-22", "C-LA-08")
def test_vector_by_matrix_is_a_three_tensor() -> None:
    x = np.array([2.0, -1.0])
    result = dr.jacobian(lambda w: w @ dr.tensor(x), np.ones((3, 2)))
    assert result.shape == (3, 2, 3)
    for i in range(3):
        np.testing.assert_array_equal(
            result.numpy()[:, :, i], np.outer(np.eye(3)[i], x)
        )


@pytest.mark.notes("LA-10")
def test_definiteness() -> None:
    assert linalg.is_positive_definite([[2.0, 1.0], [1.0, 2.0]])
    assert not linalg.is_positive_definite([[1.0, 1.0], [1.0, 1.0]])
    assert linalg.is_positive_semidefinite([[1.0, 1.0], [1.0, 1.0]])
    assert not linalg.is_positive_semidefinite([[1.0, 2.0], [2.0, 1.0]])


@pytest.mark.notes("LA-29", "NRM-05")
def test_whitening() -> None:
    x = np.random.default_rng(0).normal(size=(500, 3)) @ np.array(
        [[2.0, 0, 0], [1, 1, 0], [0, 3, 0.5]]
    )
    white = linalg.whiten(x).numpy()
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(3), atol=1e-6)
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-10)


@pytest.mark.notes(
    "LA-26",
    "C-LSE-01",
    "C-LSE-02",
    "C-LSE-03",
    "C-LSE-04",
    "C-LSE-05",
    "E001-12",
    "E001-13",
)
@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([1.0, 2, 3], 3.4076059644443806),
        ([-5.0, -5], -4.306852819440055),
        ([1.0, -1], 1.1269280110429727),
        ([2.0, 2, 2], 3.09861228866811),
        ([-3.0, 1], 1.0181499279178097),
    ],
)
def test_logsumexp(x: list[float], expected: float) -> None:
    value = dr.logsumexp(np.array(x)).item()
    assert value == pytest.approx(expected, rel=1e-14)
    assert max(x) < value <= max(x) + math.log(len(x)) + 1e-15


@pytest.mark.notes("LA-27", "LA-28", "C-LSE-06")
def test_scaled_logsumexp_is_a_soft_maximum() -> None:
    x = np.array([1.0, 2, 3])
    values = [(dr.logsumexp(t * x) / t).item() for t in (0.1, 1, 10, 100)]
    np.testing.assert_allclose(
        values,
        [13.01942848229244, 3.4076059644443806, 3.000004540096028, 3.0],
        rtol=1e-12,
    )


@pytest.mark.notes("LA-12", "LA-19", "LA-23", "LA-24")
def test_gradients_have_the_shape_of_their_variables() -> None:
    w, x = (
        dr.tensor(np.random.default_rng(0).normal(size=(3, 2))),
        dr.tensor([1.0, 2.0], dtype="float64"),
    )
    c = dr.tensor([1.0, -1.0, 2.0], dtype="float64")
    slope_w, slope_x = dr.grad(c @ (w @ x), [w, x])
    np.testing.assert_allclose(
        slope_w.numpy(), np.outer(c.numpy(), x.numpy()), rtol=1e-12
    )
    np.testing.assert_allclose(slope_x.numpy(), w.numpy().T @ c.numpy(), rtol=1e-12)
    z = dr.tensor(2.0)
    assert dr.grad((z * z) / (z + 1), z).item() == pytest.approx((4 * 3 - 4) / 9)


def test_solve_and_determinants() -> None:
    np.testing.assert_allclose(
        linalg.solve(A, [1.0, 2.0]).numpy(), np.linalg.solve(A, [1.0, 2.0]), rtol=1e-12
    )
    np.testing.assert_allclose(linalg.inv(A).numpy(), np.linalg.inv(A), rtol=1e-12)
    assert linalg.logdet(A).item() == pytest.approx(math.log(2))
    np.testing.assert_allclose(
        linalg.cholesky([[4.0, 2], [2, 3]]).numpy(),
        np.linalg.cholesky([[4.0, 2], [2, 3]]),
        rtol=1e-6,
    )
    with pytest.raises(DataError, match="invertible"):
        linalg.solve([[1.0, 1.0], [1.0, 1.0]], [1.0, 2.0]).numpy()
    np.testing.assert_array_equal(linalg.diagonal(A).numpy(), [1, 4])
    np.testing.assert_array_equal(
        linalg.diagonal_matrix([1.0, 2.0]).numpy(), np.diag([1.0, 2.0])
    )
