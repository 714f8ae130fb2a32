"""Questions of arithmetic: shapes, parameter counts, convolution, normalisation, KL, variances.

Every key is computed twice: by the closed form that a student uses, and by the library (its shape rules, or a
graph that is run).
"""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction
from typing import Any

from deltarule import dtypes, shapes
from deltarule.errors import GraphError
from deltarule.explain.exam.questions import (
    Item,
    Question,
    equation,
    matrix,
    matrix_item,
    name,
    number_item,
    value,
    vector,
    vector_item,
    words,
)
from deltarule.explain.exam.responses import Numbers
from deltarule.explain.proof.proof import Draw, Evaluate
from deltarule.graph import build, functions
from deltarule.graph.node import Node
from deltarule.render import mathematics as m


def confirm(where: str, by_hand: float, by_library: float) -> None:
    """Raise GraphError unless a number from the closed form equals that of the library."""
    if not abs(by_hand - by_library) <= 1e-9 * max(
        1.0, abs(by_hand)
    ):  # NaN confirms nothing
        raise GraphError(
            f"exam key, {where}", expected=str(by_hand), got=str(by_library)
        )


def _array(rows: Any) -> Node:
    """Return a graph that holds given numbers."""
    if not isinstance(rows, list):
        return build.constant(float(rows), dtypes.FLOAT64)
    parts = [_array(row) for row in rows]
    return build.concatenate([build.expand_dims(part, (0,)) for part in parts], 0)


def _number(graph: Node, evaluate: Evaluate) -> float:
    return float(evaluate([graph], {})[0])


# ---------------------------------------------------------------- shapes and counts


def dense_shapes(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
    """Count the parameters of a dense network.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> question = dense_shapes(random.Random(0), evaluate, value_sampler(0))
    >>> m.to_text(question.items[0].answer)
    '8·3 + 3 = 27'
    """
    sizes = [rng.choice([3, 4, 5, 8, 10]) for _ in range(rng.choice([3, 4]))]
    items, total = [], 0
    for i, (inner, outer) in enumerate(itertools.pairwise(sizes), start=1):
        graph = build.matmul(
            build.input_node("W", (outer, inner)), build.input_node("x", (inner,))
        )
        confirm("dense shape", outer, shapes.count(graph.shape))
        count = inner * outer + outer
        total += count
        shown = m.row(
            value(inner),
            m.Operator("·"),
            value(outer),
            m.Operator("+", spaced=True),
            value(outer),
            m.Operator("=", spaced=True),
            value(count),
        )
        items.append(
            number_item(
                words(f"parameters of layer {i}"),
                count,
                "weights n_in·n_out and n_out biases",
                shown,
            )
        )
    items.append(number_item(words("parameters in all"), total))
    arrow = m.join([value(size) for size in sizes], m.Operator("→", spaced=True))
    return Question(
        "A dense network with biases has these layer sizes. Count its parameters.",
        (arrow,),
        tuple(items),
        "shapes by the library's own rules",
    )


def convolutional_shapes(
    rng: random.Random, evaluate: Evaluate, draw: Draw
) -> Question:
    """Follow the shapes through convolution, pooling and flattening.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> question = convolutional_shapes(random.Random(0), evaluate, value_sampler(0))
    >>> m.to_text(question.items[0].answer)
    '30 × 30 × 16'
    """
    size, channels = rng.choice([28, 32, 64]), rng.choice([1, 3])
    kernel, filters = rng.choice([3, 5]), rng.choice([8, 16])
    x = build.input_node("x", (1, size, size, channels))
    z = build.convolve(
        x,
        build.input_node("K", (filters, kernel, kernel, channels)),
        (1, 1),
        ((0, 0),) * 2,
        (1, 1),
    )
    pooled = functions.max_pool(
        z, window=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0))
    )
    after, half = size - kernel + 1, (size - kernel - 1) // 2 + 1
    confirm("convolution", after, z.shape[1])
    confirm("pooling", half, pooled.shape[1])
    count = (kernel * kernel * channels + 1) * filters
    items = (
        _size_item(
            "output of the convolution", (after, after, filters), "(n − f)/1 + 1"
        ),
        number_item(
            words("parameters of the convolution"),
            count,
            "(f·f·channels + 1)·filters",
        ),
        _size_item(
            "output of 2×2 max pooling, stride 2",
            (half, half, filters),
            "⌊(n − 2)/2⌋ + 1",
        ),
        number_item(words("length after flattening"), half * half * filters),
    )
    text = (
        f"An input of {size}×{size}×{channels} passes {filters} filters of {kernel}×{kernel} (stride 1, no padding), "
        "then 2×2 max pooling."
    )
    return Question(text, (), items, "shapes by the library's own rules")


def _size_item(asked: str, sizes: tuple[int, int, int], hint: str) -> Item:
    """Return an item that asks for height × width × channels."""
    shown = words(" × ".join(map(str, sizes)))
    response = Numbers(tuple(float(size) for size in sizes))
    return Item(words(asked), shown, hint, response=response)


def output_size(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
    """Compute output sizes of convolutions.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> question = output_size(random.Random(0), evaluate, value_sampler(0))
    >>> m.to_text(question.items[0].answer)
    '15'
    """
    items = []
    for _ in range(4):
        n, f, p, s = (
            rng.choice([7, 12, 27, 32]),
            rng.choice([2, 3, 5]),
            rng.choice([0, 1, 2]),
            rng.choice([1, 2, 3]),
        )
        by_hand = (n + 2 * p - f) // s + 1
        confirm("output size", by_hand, shapes.window_count(n + 2 * p, f, s))
        items.append(
            number_item(
                words(f"n = {n}, f = {f}, p = {p}, s = {s}: output size"),
                by_hand,
                "⌊(n + 2p − f)/s⌋ + 1",
            )
        )
    return Question(
        "Give the output size of each convolution.",
        (),
        tuple(items),
        "shapes by the library's own rules",
    )


def transposed_size(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
    """Compute output sizes of transposed convolutions.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> question = transposed_size(random.Random(0), evaluate, value_sampler(0))
    >>> m.to_text(question.items[0].answer)
    '11'
    """
    items = []
    for _ in range(3):
        n, f, p, s = (
            rng.choice([2, 3, 4, 5]),
            rng.choice([2, 3, 4]),
            rng.choice([0, 1]),
            rng.choice([1, 2]),
        )
        by_hand = s * (n - 1) + f - 2 * p
        if by_hand < 1:
            by_hand, p = by_hand + 2 * p, 0
        confirm("transposed size", n, shapes.window_count(by_hand + 2 * p, f, s))
        items.append(
            number_item(
                words(f"n = {n}, f = {f}, p = {p}, s = {s}: output size"),
                by_hand,
                "s(n − 1) + f − 2p",
            )
        )
    return Question(
        "Give the output size of each transposed convolution.",
        (),
        tuple(items),
        "a convolution of the answer gives n back",
    )


def correlate_by_hand(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
    """Correlate and convolve a small image with a small kernel.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> question = correlate_by_hand(random.Random(0), evaluate, value_sampler(0))
    >>> m.to_text(question.items[0].answer)
    '[12  2; 9  10]'
    """
    image = [[rng.randint(0, 4) for _ in range(3)] for _ in range(3)]
    kernel = [[rng.randint(-2, 2) for _ in range(2)] for _ in range(2)]
    flipped = [row[::-1] for row in kernel[::-1]]
    results = []
    for k in (kernel, flipped):
        by_hand = [
            [
                sum(image[i + a][j + b] * k[a][b] for a in range(2) for b in range(2))
                for j in range(2)
            ]
            for i in range(2)
        ]
        x = build.reshape(_array(image), (1, 3, 3, 1))
        graph = build.convolve(
            x, build.reshape(_array(k), (1, 2, 2, 1)), (1, 1), ((0, 0),) * 2, (1, 1)
        )
        (found,) = evaluate([build.reshape(graph, (2, 2))], {})
        for i in range(2):
            for j in range(2):
                confirm("correlation", by_hand[i][j], float(found[i][j]))
        results.append(by_hand)
    items = (
        matrix_item(
            words("cross-correlation"), results[0], "slide the kernel as it is"
        ),
        matrix_item(words("convolution"), results[1], "turn the kernel by 180° first"),
    )
    return Question(
        "Compute both for the valid positions (no padding, stride 1).",
        (equation(name("A"), matrix(image)), equation(name("K"), matrix(kernel))),
        items,
        "run by the convolution of the library",
    )


# ---------------------------------------------------------------- statistics, probability


def _batch(rng: random.Random) -> tuple[list[int], int]:
    """Draw four whole numbers with a whole mean and a whole standard deviation above 1."""
    while True:
        batch = [rng.randint(-4, 9) for _ in range(4)]
        mean = Fraction(sum(batch), 4)
        variance = sum(((x - mean) ** 2 for x in batch), Fraction(0)) / 4
        if mean.denominator == variance.denominator == 1:
            root = math.isqrt(int(variance))
            if root > 1 and root * root == variance:
                return batch, root


def normalise_by_hand(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
    """Normalise one feature of a batch.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> question = normalise_by_hand(random.Random(0), evaluate, value_sampler(0))
    >>> m.to_text(question.items[0].answer)
    '6'
    """
    batch, deviation = _batch(rng)
    gamma, beta = rng.choice([2, 3]), rng.choice([-1, 1])
    mean = Fraction(sum(batch), len(batch))
    outputs = [gamma * (x - mean) / deviation + beta for x in batch]
    graph = functions.normalize(
        _array([float(x) for x in batch]), axes=(0,), epsilon=0.0
    )
    (found,) = evaluate(
        [build.add(build.multiply(graph, float(gamma)), float(beta))], {}
    )
    for by_hand, by_library in zip(outputs, found, strict=True):
        confirm("normalisation", float(by_hand), float(by_library))
    items = (
        number_item(
            name("mu"),
            float(mean),
            "mean of the batch",
            value(str(mean).replace("-", "−")),
        ),
        number_item(
            m.Scripts(name("sigma"), upper=m.Number("2")),
            deviation**2,
            "biased: divide by m",
        ),
        vector_item(name("y"), [float(part) for part in outputs], "γ x̂ + β"),
    )
    return Question(
        f"Batch normalisation of one unit in training, ε = 0, γ = {gamma}, β = {beta}.".replace(
            "-", "−"
        ),
        (equation(name("x"), vector(batch)),),
        items,
        "run by the library's normalisation",
    )


def divergence(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
    """Compute KL divergences between Gaussians.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> question = divergence(random.Random(0), evaluate, value_sampler(0))
    >>> m.to_text(question.items[0].answer)
    '1.125'
    """
    items: list[Item] = []
    while len(items) < 3:
        a, s, b, t = (
            rng.randint(-2, 2),
            rng.choice([1, 2]),
            rng.randint(-2, 2),
            rng.choice([1, 2, 3]),
        )
        if a == b:  # equal means hide the term of the means
            continue
        by_hand = math.log(t / s) - 0.5 + (s * s + (a - b) ** 2) / (2 * t * t)
        confirm("divergence", by_hand, _integral(a, s, b, t))
        text = f"KL(N({a}, {s}²) ‖ N({b}, {t}²))".replace("-", "−")
        items.append(
            number_item(
                words(text), by_hand, "ln(σ₁/σ₀) − ½ + (σ₀² + (μ₁ − μ₀)²)/(2σ₁²)"
            )
        )
    return Question(
        "Compute the Kullback–Leibler divergences of these normal distributions.",
        (),
        tuple(items),
        "numerical integration of q ln(q/p)",
    )


def _integral(a: float, s: float, b: float, t: float) -> float:
    """Return ∫ q ln(q/p) by the trapezoidal rule, which is exact to rounding for such integrands."""
    step, total = s / 64, 0.0
    for i in range(-64 * 12, 64 * 12 + 1):
        x = a + i * step
        q = math.exp(-0.5 * ((x - a) / s) ** 2) / (s * math.sqrt(2 * math.pi))
        log_ratio = (
            math.log(t / s) - 0.5 * ((x - a) / s) ** 2 + 0.5 * ((x - b) / t) ** 2
        )
        total += q * log_ratio * step
    return total


def evidence_bound(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
    """Compute evidence, bound and gap of a two-valued latent variable.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> question = evidence_bound(random.Random(0), evaluate, value_sampler(0))
    >>> m.to_text(question.items[0].answer)
    '−0.693147'
    """
    likelihood = [rng.choice([0.9, 0.8, 0.7]), rng.choice([0.1, 0.2, 0.3])]
    q = [rng.choice([0.5, 0.6, 0.7]), 0.0]
    q[1] = round(1 - q[0], 10)
    evidence = 0.5 * sum(likelihood)
    posterior = [0.5 * p / evidence for p in likelihood]
    bound = sum(
        qi * (math.log(p) + math.log(0.5) - math.log(qi))
        for qi, p in zip(q, likelihood, strict=True)
    )
    gap = sum(qi * math.log(qi / pi) for qi, pi in zip(q, posterior, strict=True))
    confirm("evidence", math.log(evidence), bound + gap)
    items = (
        number_item(
            m.row(words("ln p"), m.Fenced(name("x"))),
            math.log(evidence),
            "p(x) = Σ p(z)p(x|z)",
        ),
        number_item(words("ELBO"), bound, "E_q ln p(x|z) − KL(q ‖ p(z))"),
        number_item(words("KL(q ‖ p(z|x))"), gap, "ln p(x) − ELBO"),
    )
    text = f"p(z) = (0.5, 0.5), p(x|z) = ({likelihood[0]}, {likelihood[1]}), q(z) = ({q[0]}, {q[1]})."
    return Question(text, (), items, "ln p(x) = ELBO + KL(q ‖ p(z|x))")


def initial_variance(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
    """Compute variances of initial weights.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> question = initial_variance(random.Random(0), evaluate, value_sampler(0))
    >>> m.to_text(question.items[0].answer)
    '0.004'
    """
    inner = rng.choice([64, 100, 128, 144, 196, 256, 400, 512, 784, 1024])
    outer = rng.choice([10, 16, 20, 32, 50, 64, 100])
    rows = [
        ("Xavier, average of both", 2 / (inner + outer), "2/(n_in + n_out)"),
        ("Xavier, fan-in", 1 / inner, "1/n_in"),
        ("He", 2 / inner, "2/n_in: a rectifier halves the second moment"),
    ]
    grid = [(-12 + i / 64) for i in range(24 * 64 + 1)]
    rectified = sum(
        max(0.0, z) ** 2 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / 64
        for z in grid
    )
    confirm(
        "He keeps the second moment behind a rectifier",
        1.0,
        inner * rows[2][1] * rectified,
    )
    bound = math.sqrt(3 * rows[0][1])
    confirm(
        "uniform bound",
        rows[0][1],
        _number(build.divide(_array(bound * bound), 3.0), evaluate),
    )
    items = [number_item(words(label), number, hint) for label, number, hint in rows]
    items.append(
        number_item(
            words("bound a of U(−a, a) for Xavier (average)"),
            bound,
            "var U(−a, a) = a²/3",
        )
    )
    return Question(
        f"A dense layer with n_in = {inner}, n_out = {outer}. Give the variance of its initial weights.",
        (),
        tuple(items),
        "n_in·var(w)·E max(0, z)² = 1 by integration, var U(−a, a) = a²/3",
    )
