"""Discrete distributions: Bernoulli, categorical, multinomial and Poisson. Samples have no pathwise gradient."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from deltarule import dtypes, shapes
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.generative.distributions.base import (
    Distribution,
    Elementwise,
    Noise,
    floating,
    full_shape,
    known_value,
    like,
    require,
)
from deltarule.generative.special import lgamma
from deltarule.nn.check import whole_number
from deltarule.runtime.buffers import value_of
from deltarule.shapes import Shape
from deltarule.tensor.functional import (
    TensorLike,
    arange,
    binary_cross_entropy,
    cross_entropy,
    exp,
    floor,
    log,
    log1p,
    log_softmax,
    one_hot,
    sigmoid,
    softmax,
    softplus,
    take,
    weighted,
    where,
    zeros,
)
from deltarule.tensor.tensor import Tensor, tensor

__all__ = ["Bernoulli", "Categorical", "Multinomial", "Poisson"]


def shared(probability: Tensor, value: Tensor) -> Tensor:
    """Return p·a with 0·a = 0 for every a, and no gradient there: a term of an entropy or a divergence.

    >>> shared(tensor([0.0, 0.5]), tensor([-math.inf, 2.0])).tolist()
    [0.0, 1.0]
    """
    return probability * where(probability == 0.0, 0.0, value)


@final
class Bernoulli(Elementwise):
    """P(x = 1) = σ(z) for logits z: ln p(x) = x ln σ(z) + (1 − x) ln(1 − σ(z)).

    A value in (0, 1), such as a grey pixel, interpolates between both log-probabilities; outside [0, 1] the
    log-probability is −∞.

    >>> round(Bernoulli.of(0.8).log_prob(1.0).item(), 6)
    -0.223144
    """

    def __init__(self, logits: TensorLike) -> None:
        (self.logits,) = self._set("Bernoulli", logits=logits)

    @classmethod
    def of(cls, probability: TensorLike) -> Bernoulli:
        """Return the distribution with P(x = 1) = probability, in (0, 1).

        >>> Bernoulli.of([0.25, 0.5]).mean.tolist()
        [0.25, 0.5]
        """
        (p,) = floating(probability)
        require("Bernoulli probability", p, 0.0, 1.0)
        return cls(log(p) - log1p(-p))

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value) as the negative binary cross-entropy of the logits, accurate in both tails."""
        x = like(value, self)
        outside = (x < 0.0) | (x > 1.0)
        return where(
            outside,
            -math.inf,
            -binary_cross_entropy(self.logits, where(outside, 0.0, x)),
        )

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return 𝟙(u < σ(z))."""
        hits = noise.uniform(full_shape(shape, self), self.dtype) < sigmoid(self.logits)
        return hits.astype(self.dtype)

    @property
    def mean(self) -> Tensor:
        """σ(z)."""
        return sigmoid(self.logits)

    @property
    def variance(self) -> Tensor:
        """σ(z)(1 − σ(z))."""
        return sigmoid(self.logits) * sigmoid(-self.logits)

    def entropy(self) -> Tensor:
        """Return σ(z) softplus(−z) + σ(−z) softplus(z); 0 for a deterministic outcome."""
        z = self.logits
        return shared(sigmoid(z), softplus(-z)) + shared(sigmoid(-z), softplus(z))


class _OverClasses(Distribution):
    """Base of Categorical and Multinomial: distributions given by logits (…, K)."""

    logits: Tensor

    def _keep(self, logits: TensorLike) -> None:
        (self.logits,) = floating(logits)
        if self.logits.ndim == 0:
            raise ShapeError(
                type(self).__name__, expected="logits (…, classes)", got="a scalar"
            )

    @property
    def batch_shape(self) -> Shape:
        """The axes of the logits before the classes."""
        return self.logits.shape[:-1]

    @property
    def n_classes(self) -> int:
        """K."""
        return int(self.logits.shape[-1])

    @property
    def probabilities(self) -> Tensor:
        """softmax(z) (…, K)."""
        return softmax(self.logits)

    @property
    def dtype(self) -> DType:
        """The type of the logits."""
        return self.logits.dtype

    def choose(self, noise: Noise, shape: Shape) -> Tensor:
        """Return class indices sampled by the Gumbel-max trick: argmax(z − ln(−ln(1 − u)))."""
        u = noise.uniform((*shape, *self.logits.shape), self.dtype)
        smallest = float(np.finfo(self.dtype.name).tiny)
        exponential = (-log1p(-u)).clip(low=smallest)
        return (self.logits - log(exponential)).argmax(-1)


@final
class Categorical(_OverClasses):
    """The categorical distribution P(x = k) = softmax(z)ₖ of labels 0 … K − 1.

    >>> round(Categorical.of([0.25, 0.75]).log_prob(1).item(), 6)
    -0.287682
    """

    def __init__(self, logits: TensorLike) -> None:
        self._keep(logits)

    @classmethod
    def of(cls, probabilities: TensorLike) -> Categorical:
        """Return the distribution with these probabilities (…, K), each > 0; they are normalized to sum to 1.

        >>> round(Categorical.of([0.2, 0.8]).log_prob(1).item(), 4)
        -0.2231
        """
        (p,) = floating(probabilities)
        require("Categorical probabilities", p, 0.0)
        return cls(log(p))

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln softmax(z)[value]; −∞ for a value that turns out to be no label when it is computed (NaN at NaN).

        Raises:
            ArgumentError: A value that is known beforehand is not among the labels 0 … K − 1.
        """
        given = value if isinstance(value, Tensor) else tensor(value)
        known, n = value_of(given.node), self.n_classes
        if known is not None and known.dtype.kind != "b":
            wrong = ~((known >= 0) & (known < n) & (known == np.floor(known)))
            if wrong.any():
                raise ArgumentError(
                    "Categorical value",
                    expected=f"labels 0 … {n - 1}",
                    got=str(known[wrong][0]),
                )
        labels = given.astype(dtypes.INT64)
        fits = (labels >= 0) & (labels < n)
        if given.dtype.is_float:
            fits = fits & (labels.astype(given.dtype) == given)
        whole = shapes.broadcast(
            labels.shape, self.batch_shape, where="Categorical value"
        )
        logits = self.logits.broadcast_to((*whole, n))
        found = -cross_entropy(logits, where(fits, labels, 0).broadcast_to(whole))
        inside = where(fits, found, -math.inf)
        return (
            where(given == given, inside, math.nan) if given.dtype.is_float else inside
        )

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return labels."""
        return self.choose(noise, shape)

    def entropy(self) -> Tensor:
        """Return −Σ p ln p; 0·ln 0 = 0."""
        return -shared(self.probabilities, log_softmax(self.logits)).sum(-1)


@final
class Multinomial(_OverClasses):
    """The multinomial distribution of counts x of K classes in ``n`` trials: ln n! − Σ ln xₖ! + Σ xₖ ln pₖ.

    The log-probability is −∞ where Σx ≠ n, and for negative and fractional counts.

    Args:
        n: Number of trials.
        logits: Unnormalized log-probabilities of the classes, (…, K).

    >>> round(Multinomial(3, [0.0, 0.0]).log_prob([1.0, 2.0]).item(), 4)  # ln 3/8
    -0.9808
    """

    event_rank = 1

    def __init__(self, n: int, logits: TensorLike) -> None:
        self.n = whole_number(n, "Multinomial n", 0)
        self._keep(logits)

    @property
    def event_shape(self) -> Shape:
        """(K,)."""
        return self.logits.shape[-1:]

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value) for counts (…, K)."""
        counts = like(value, self)
        wrong = (
            (counts < 0.0)
            | (counts > float(self.n))
            | ((floor(counts) != counts) & (counts == counts))
        )
        outside = (wrong.astype("float32").sum(-1) > 0.0) | (
            abs(counts.sum(-1) - float(self.n)) > 0.5
        )
        safe = where(wrong, 0.0, counts)
        ways = math.lgamma(self.n + 1) - lgamma(safe + 1.0).sum(-1)
        return where(
            outside, -math.inf, ways + weighted(safe, log_softmax(self.logits)).sum(-1)
        )

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return the counts of n independent trials."""
        labels = self.choose(noise, (self.n, *shape))
        return one_hot(labels, self.n_classes, self.dtype).sum(0)

    @property
    def mean(self) -> Tensor:
        """The mean np."""
        return self.probabilities * float(self.n)

    @property
    def variance(self) -> Tensor:
        """The variance np(1 − p)."""
        p = self.probabilities
        return p * (1.0 - p) * float(self.n)

    def entropy(self) -> Tensor:
        """Return −ln n! − nΣ p ln p + Σₖ Σₓ C(n, x) pₖˣ(1 − pₖ)ⁿ⁻ˣ ln x!, exact."""
        n, log_p = self.n, log_softmax(self.logits)
        p = exp(log_p)
        x = arange(n + 1, self.dtype)
        log_factorial = lgamma(x + 1.0)
        ways = math.lgamma(n + 1) - log_factorial - lgamma(float(n) - x + 1.0)
        others = log1p(-p.clip(high=1 - 1e-7)).expand_dims(-1)
        terms = (
            exp(ways + weighted(x, log_p.expand_dims(-1)) + (float(n) - x) * others)
            * log_factorial
        )
        return (
            terms.sum((-2, -1))
            - math.lgamma(n + 1)
            - shared(p, log_p).sum(-1) * float(n)
        )


@final
class Poisson(Elementwise):
    """The Poisson distribution of counts with mean λ: ln p(x) = x ln λ − λ − ln x!; −∞ for negative and fractional x.

    >>> round(Poisson(2.0).log_prob(3.0).item(), 4)
    -1.7123
    """

    def __init__(self, rate: TensorLike) -> None:
        (self.rate,) = self._set("Poisson", rate=rate)
        require("Poisson rate", self.rate, 0.0)

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value)."""
        x = like(value, self)
        outside = (x < 0.0) | (x == math.inf) | ((floor(x) != x) & (x == x))
        return where(outside, -math.inf, self._density(where(outside, 0.0, x)))

    def _density(self, x: Tensor) -> Tensor:
        return x * log(self.rate) - self.rate - lgamma(x + 1.0)

    def _support(self, where_: str) -> Tensor:
        """Return 0, 1, … up to where the tail of the largest λ is below 10⁻¹⁶; the rate's value must be known."""
        known = known_value(self.rate)
        if known is None:
            raise ArgumentError(
                f"{where_} of Poisson",
                expected="a rate with a value",
                got="an expression without one",
                hint="Evaluate the rate first: Poisson(rate.numpy()).",
            )
        largest = float(np.max(known, initial=0.0))
        return arange(math.ceil(largest + 10 * math.sqrt(largest) + 30), dtypes.FLOAT64)

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return counts by inverse transform sampling: the number of F(k) ≤ u, with F in float64."""
        x = self._support("sample")
        rate = self.rate.astype(dtypes.FLOAT64).expand_dims(-1)
        reached = exp(x * log(rate) - rate - lgamma(x + 1.0)).cumsum(-1)
        return _count_up_to(
            reached, noise.uniform(full_shape(shape, self), dtypes.FLOAT64)
        ).astype(self.dtype)

    @property
    def mean(self) -> Tensor:
        """The rate λ."""
        return self.rate

    @property
    def variance(self) -> Tensor:
        """The rate λ."""
        return self.rate

    def entropy(self) -> Tensor:
        """Return −Σ p ln p over all counts of non-negligible probability; the rate's value must be known."""
        x = self._support("entropy").astype(self.dtype)
        rate = self.rate.expand_dims(-1)
        log_p = x * log(rate) - rate - lgamma(x + 1.0)
        return -(exp(log_p) * log_p).sum(-1)


def _count_up_to(rows: Tensor, u: Tensor) -> Tensor:
    """Return the number of elements ≤ u (…) in each ascending row (…, n), by bisection in log₂ n steps."""
    n = int(rows.shape[-1])
    starts = arange(rows.size // n).reshape(rows.shape[:-1]) * n
    flat, found, step = (
        rows.reshape(-1),
        zeros(u.shape, dtypes.INT64),
        1 << (n.bit_length() - 1),
    )
    while step:
        further = found + step
        inside = further <= n
        found = where(
            inside & (take(flat, starts + where(inside, further - 1, 0)) <= u),
            further,
            found,
        )
        step //= 2
    return found
