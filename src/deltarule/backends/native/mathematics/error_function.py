"""The error function erf(x) = 2/√π · ∫₀ˣ exp(−t²) dt of vectors."""

from __future__ import annotations

from deltarule.backends.native.mathematics.exponential import exponential
from deltarule.backends.native.mathematics.vector import Vector, polynomial, where

# float32: erf(x) ≈ x + x·near(x²) for |x| ≤ 0.93, else 1 − exp(−x + x·far(x))
_NEAR = (
    1.28379166e-1,
    -3.76125336e-1,
    1.12819925e-1,
    -2.67681349e-2,
    4.99119423e-3,
    -5.96761703e-4,
)
_FAR = (
    -1.28717512e-1,
    -6.34846687e-1,
    -1.06777877e-1,
    2.42546219e-2,
    -3.88396438e-3,
    3.83197126e-4,
    -1.72853470e-5,
)

# float64: fdlibm's s_erf.c (Sun Microsystems, 1993): rational functions on four regions
_ERX = 8.45062911510467529297e-01
_PP = (
    1.28379167095512558561e-01,
    -3.25042107247001499370e-01,
    -2.84817495755985104766e-02,
    -5.77027029648944159157e-03,
    -2.37630166566501626084e-05,
)
_QQ = (
    1.0,
    3.97917223959155352819e-01,
    6.50222499887672944485e-02,
    5.08130628187576562776e-03,
    1.32494738004321644526e-04,
    -3.96022827877536812320e-06,
)
_PA = (
    -2.36211856075265944077e-03,
    4.14856118683748331666e-01,
    -3.72207876035701323847e-01,
    3.18346619901161753674e-01,
    -1.10894694282396677476e-01,
    3.54783043256182359371e-02,
    -2.16637559486879084300e-03,
)
_QA = (
    1.0,
    1.06420880400844228286e-01,
    5.40397917702171048937e-01,
    7.18286544141962662868e-02,
    1.26171219808761642112e-01,
    1.36370839120290507362e-02,
    1.19844998467991074170e-02,
)
_RA = (
    -9.86494403484714822705e-03,
    -6.93858572707181764372e-01,
    -1.05586262253232909814e01,
    -6.23753324503260060396e01,
    -1.62396669462573470355e02,
    -1.84605092906711035994e02,
    -8.12874355063065934246e01,
    -9.81432934416914548592e00,
)
_SA = (
    1.0,
    1.96512716674392571292e01,
    1.37657754143519042600e02,
    4.34565877475229228821e02,
    6.45387271733267880336e02,
    4.29008140027567833386e02,
    1.08635005541779435134e02,
    6.57024977031928170135e00,
    -6.04244152148580987438e-02,
)
_RB = (
    -9.86494292470009928597e-03,
    -7.99283237680523006574e-01,
    -1.77579549177547519889e01,
    -1.60636384855821916062e02,
    -6.37566443368389627722e02,
    -1.02509513161107724954e03,
    -4.83519191608651397019e02,
)
_SB = (
    1.0,
    3.03380607434824582924e01,
    3.25792512996573918826e02,
    1.53672958608443695994e03,
    3.19985821950859553908e03,
    2.55305040643316442583e03,
    4.74528541206955367215e02,
    -2.24409524465858183362e01,
)


def error_function(x: Vector) -> Vector:
    """Return erf(x)."""
    return _in_float64(x) if x.dtype == "float64" else _in_float32(x)


def _in_float32(x: Vector) -> Vector:
    size = x.absolute()
    near = polynomial(x * x, _NEAR).times_plus(x, x)
    bounded = where(size > 4.0, 4.0, size)
    exponent = polynomial(bounded, _FAR).times_plus(bounded, -bounded)
    far = (1.0 - exponential(exponent)).with_sign_of(x)
    return where(size > 0.927734375, far, near)


def _in_float64(x: Vector) -> Vector:
    size, square = x.absolute(), x * x
    near = (polynomial(square, _PP) / polynomial(square, _QQ)).times_plus(x, x)
    shifted = size - 1.0
    middle = polynomial(shifted, _PA) / polynomial(shifted, _QA) + _ERX
    bounded = where(size > 6.0, 6.0, where(size < 1.25, 1.25, size))
    inverse = 1.0 / (bounded * bounded)
    tail = where(
        bounded < 1.0 / 0.35,
        polynomial(inverse, _RA) / polynomial(inverse, _SA),
        polynomial(inverse, _RB) / polynomial(inverse, _SB),
    )
    upper = ((bounded.bits() >> 32) << 32).bits()  # its square is exact
    lost = (upper - bounded) * (upper + bounded) + tail
    far = 1.0 - exponential(-(upper * upper) - 0.5625) * exponential(lost) / bounded
    outside = where(size < 1.25, middle, far).with_sign_of(x)
    value = where(size < 0.84375, near, outside)
    return where(x.is_nan(), x, value)
