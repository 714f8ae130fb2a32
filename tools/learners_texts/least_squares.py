"""Pages of linear models with a closed form or a proximal one: least squares, ridge, lasso, elastic net."""

from __future__ import annotations

import deltarule as dr
from deltarule.explain.explanation import Derivation
from deltarule.explain.results.jacobians import MatrixDerivative
from learners_texts.derivations import table
from learners_texts.page import Page

_MOMENTS = "XᵀX and Xᵀy block by block, O(N·d²), on the engine where data are large; memory O(d²), no copy of X"
_CHUNKS = (
    "`partial_fit` takes data larger than memory: of the chunks only sums in twice the digits are kept (beyond 128 "
    "columns R of a QR factorisation), O(d²), and the solution is that for all of them together, to as many digits. "
    "Sparse data stay sparse. A prediction is O(d)."
)
_ROWS = (
    "; then O(d³). Where its condition, with a diagonal of 1, is above 10⁵: QR of blocks of rows, O(N·d²) more. "
    "With fewer examples than features O(N²·d), memory O(N·d). "
)
_STEPS = {
    "tol": "largest relative change of a coefficient at the end, where no exact solution is found before",
    "warm_start": "whether `fit` starts from the last coefficients",
}


def _squares() -> tuple[dr.Tensor, dr.Tensor]:
    X, theta, Y = table()
    residual = X @ theta - Y
    return (residual * residual).sum(), theta


def half_squares() -> Derivation:
    """Derive half the squared error."""
    loss, theta = _squares()
    return dr.derive(0.5 * loss, wrt=[theta])


def curvature() -> MatrixDerivative:
    """Derive its Hessian."""
    loss, theta = _squares()
    return dr.derive_hessian(0.5 * loss, theta)


def shrunk() -> Derivation:
    """Derive squared error with a squared penalty."""
    loss, theta = _squares()
    return dr.derive(loss + dr.symbol("alpha", ()) * (theta * theta).sum(), wrt=[theta])


def shrunk_curvature() -> MatrixDerivative:
    """Derive the Hessian of squared error with a squared penalty."""
    loss, theta = _squares()
    return dr.derive_hessian(
        loss + dr.symbol("alpha", ()) * (theta * theta).sum(), theta
    )


def sparse() -> Derivation:
    """Derive squared error of five examples with an absolute penalty."""
    loss, theta = _squares()
    return dr.derive(loss / 10 + dr.symbol("alpha", ()) * abs(theta).sum(), wrt=[theta])


def mixed() -> Derivation:
    """Derive squared error of five examples with an absolute and a squared penalty."""
    loss, theta = _squares()
    kink, ridge = dr.symbol("alpha_1", ()), dr.symbol("alpha_2", ())
    return dr.derive(
        loss / 10 + kink * abs(theta).sum() + 0.5 * ridge * (theta * theta).sum(),
        wrt=[theta],
    )


PAGES: tuple[Page, ...] = (
    Page(
        "LinearRegression",
        "ŷ = θᵀx + b\n\n"
        "θ, b = arg min ½Σ wᵢ(yᵢ − θᵀxᵢ − b)². On centred data θ solves XᵀXθ = XᵀY; where XᵀX is singular it is the "
        "smallest solution. Neither units nor offsets of the features cost digits.",
        "A straight relation, or a first answer to compare with. Curves: scikit-learn's `PolynomialFeatures` before "
        "it. Weights of zero are as if the example were absent.",
        "Features that repeat each other, or more features than examples: coefficients run wild, take [[Ridge]]. Many "
        "features of which few count: [[Lasso]]. Bends and interactions: [[MLPRegressor]] or [[KNNRegressor]].",
        _MOMENTS + _ROWS + _CHUNKS,
        "A fit to 24 points; what is squared and summed is the length of each thin line.",
        (
            ("Gradient: set to zero, XᵀXθ = XᵀY, the normal equations", half_squares),
            (
                "Its second derivative is never negative (vᵀXᵀXv = ‖Xv‖²), so that point is the minimum",
                curvature,
            ),
        ),
        ("Ridge", "Lasso", "NetworkRegressor"),
    ),
    Page(
        "Ridge",
        "θ, b = arg min Σ wᵢ(yᵢ − θᵀxᵢ − b)² + α‖θ‖², so (XᵀX + αI)θ = XᵀY on centred data.\n\n"
        "By the singular values s of X: each direction of the data is kept by the share s²/(s² + α).",
        "Features that are correlated, or as many as examples: the penalty trades a little bias for much less "
        "variance. Scale the features first, since all are shrunk alike.",
        "Few features should count: [[Lasso]] sets the others to zero. Plenty of data and independent features: "
        "[[LinearRegression]] has nothing to gain from a penalty.",
        _MOMENTS + _ROWS + _CHUNKS,
        "Coefficients against α where two features are nearly the same: alone they run apart, with a penalty they "
        "share the work.",
        (
            ("Gradient: set to zero, (XᵀX + αI)θ = XᵀY", shrunk),
            (
                "The second derivative has no eigenvalue below 2α: there is always one solution",
                shrunk_curvature,
            ),
        ),
        ("LinearRegression", "Lasso"),
    ),
    Page(
        "Lasso",
        "θ, b = arg min 1/(2Σw)·Σ wᵢ(yᵢ − θᵀxᵢ − b)² + α‖θ‖₁\n\n"
        "by θ ← S_{α/L}(θ − ∇/L), accelerated, with S_t(v) = sign(v)·max(0, |v| − t) and L the largest eigenvalue of "
        "XᵀX/Σw, on features brought to one size. S sets small coefficients to exactly 0. Once the steps agree on "
        "which, the others are solved for exactly, and the conditions of the minimum are checked.",
        "Many features of which few should count, and you want to know which. Scale the features first.",
        "Features that come in groups of like ones: the lasso keeps one of each by chance, [[Ridge]] keeps all and "
        "[[ElasticNet]] groups of them. A curve: choose features with the lasso, then take [[MLPRegressor]].",
        _MOMENTS
        + "; then O(steps·d²), many steps in one call of machine code. "
        + _CHUNKS,
        "Coefficients against α: they reach zero one after the other, the useless ones first.",
        (
            (
                "Gradient where θ ≠ 0 (N = 5): at the minimum |Xᵀ(Xθ − Y)|/N is α, and at most α where θⱼ = 0",
                sparse,
            ),
        ),
        ("LinearRegression", "Ridge", "ElasticNet"),
    ),
    Page(
        "ElasticNet",
        "θ, b = arg min 1/(2Σw)·Σ wᵢ(yᵢ − θᵀxᵢ − b)² + α(ρ‖θ‖₁ + ½(1 − ρ)‖θ‖²), ρ = `l1_ratio`\n\n"
        "The steps of [[Lasso]], with α(1 − ρ) on the diagonal of XᵀX/Σw.",
        "Many features of which few should count, and of those that say the same all, not one by chance. Scale the "
        "features first.",
        "Features that are independent: [[Lasso]] leaves fewer. All should count: [[Ridge]]. Two classes: "
        "[[LogisticRegression]] with `l1_ratio`.",
        _MOMENTS + "; then O(steps·d²). " + _CHUNKS,
        "Coefficients of two features that are nearly the same, against α: the lasso keeps one of them, the elastic "
        "net both.",
        (("Gradient where θ ≠ 0 (N = 5), α₁ = αρ and α₂ = α(1 − ρ)", mixed),),
        ("Lasso", "Ridge", "LogisticRegression"),
    ),
)
