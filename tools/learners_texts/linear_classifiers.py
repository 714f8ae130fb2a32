"""Pages of linear classifiers: the delta rule's three, softmax regression, the support vector machine."""

from __future__ import annotations

import deltarule as dr
from deltarule import losses, nn
from deltarule.explain.explanation import Derivation
from deltarule.explain.results.jacobians import MatrixDerivative
from learners_texts.derivations import table, vectors
from learners_texts.page import Page

_RULE = "θ ← θ + η·w·e·x with z = θᵀx (a last feature 1 carries the bias) and the error e = "
_EPOCH = "An epoch O(N·d), one call of machine code after the first 250 steps of a fit"
_NEWTON = (
    "An epoch of the delta rule O(N·d·K), one call of machine code after the first 250 steps. Prediction O(d·K). "
    "Memory O(N·d + N·K), and O(d·K) while streaming with `partial_fit`."
)


def perceptron() -> Derivation:
    """Derive the perceptron's criterion; y is −1 or 1."""
    x, theta, y = vectors()
    return dr.derive(nn.relu(-y * (theta @ x)), wrt=[theta])


def adaline() -> Derivation:
    """Derive the squared error of z itself."""
    x, theta, y = vectors()
    error = y - theta @ x
    return dr.derive(0.5 * error * error, wrt=[theta])


def _cross_entropy() -> tuple[dr.Tensor, dr.Tensor]:
    X, theta, Y = table()
    p = nn.sigmoid(X @ theta)
    return -(Y * dr.log(p) + (1 - Y) * dr.log(1 - p)).sum(), theta


def logistic() -> Derivation:
    """Derive binary cross-entropy of a sigmoid."""
    loss, theta = _cross_entropy()
    return dr.derive(loss, wrt=[theta])


def logistic_curvature() -> MatrixDerivative:
    """Derive the matrix of Newton's steps."""
    return dr.derive_hessian(*_cross_entropy())


def softmax() -> Derivation:
    """Derive cross-entropy of a linear softmax."""
    return dr.derive(
        nn.Sequential(nn.Linear(4, 3)), losses.CrossEntropy(), input_shape=(4,)
    )


def softmax_jacobian() -> MatrixDerivative:
    """Derive how the probabilities move with the scores."""
    a = dr.symbol("a", (4,))
    p = nn.softmax(a)
    return dr.derive_jacobian(p, a, names={p: "p"})


def hinge() -> Derivation:
    """Derive the hinge; y is −1 or 1."""
    x, theta, y = vectors()
    return dr.derive(nn.relu(1 - y * (theta @ x)), wrt=[theta])


def squared_hinge() -> Derivation:
    """Derive the squared hinge; y is −1 or 1."""
    x, theta, y = vectors()
    slack = nn.relu(1 - y * (theta @ x))
    return dr.derive(slack * slack, wrt=[theta])


PAGES: tuple[Page, ...] = (
    Page(
        "Perceptron",
        _RULE
        + "y − step(z), step(0) = 1: nothing happens unless the prediction is wrong.\n\n"
        "Where a line separates the classes with margin γ, and no example is longer than R, there are at most (R/γ)² "
        "mistakes (`mistake_bound_`). `mistake_log_` holds every one, and θ = η·Σ e·x over it.",
        "To see how a machine learns from mistakes alone, step by step; streams (`partial_fit`).",
        "Classes that overlap: it never settles (XOR is the classic), and says so; take [[LogisticRegression]]. A "
        "boundary that keeps its distance: [[LinearSVM]]. Probabilities, or more than two classes: "
        "[[SoftmaxRegression]].",
        _EPOCH
        + "; prediction O(d). Memory O(N·d), and three numbers a mistake for the log.",
        "The boundary after each epoch with a mistake, the last one strong; the title counts the mistakes.",
        (("Criterion max(0, −y·z), y = ±1: its step is the rule", perceptron),),
        ("Adaline", "LogisticRegression", "LinearSVM"),
    ),
    Page(
        "Adaline",
        _RULE
        + "y − z, y = ±1: every example pulls, by how far z is from its target.\n\n"
        '`rule="unit-norm"` moves along x/‖x‖.',
        "To see the Widrow–Hoff rule itself, the ancestor of stochastic gradient descent; streams (`partial_fit`).",
        "Points far on the right side pull as well, and may spoil the boundary: [[LogisticRegression]] and "
        "[[LinearSVM]] let them be. The exact minimum of the same loss at once: [[LinearRegression]] on ±1.",
        _EPOCH + "; prediction O(d). Memory O(N·d).",
        "Mean squared error of every epoch for both rules, versicolor against virginica.",
        (
            (
                "Half the squared error of z itself, y = ±1: minus the gradient is the step",
                adaline,
            ),
        ),
        ("Perceptron", "LogisticRegression", "LinearRegression"),
    ),
    Page(
        "LogisticRegression",
        "P(1|x) = σ(z), z = θᵀx + b; minimise −Σ wᵢ ln P(yᵢ|xᵢ) + α(½(1 − ρ)‖θ‖² + ρ‖θ‖₁).\n\n"
        "Newton: θ ← θ − (XᵀDX + αI)⁻¹∇, D = diag(σ(1 − σ)), for ρ = 0. The delta rule: θ ← θ + η(y − σ(z))x.",
        "Two classes, a straight boundary, and probabilities that can be trusted: the first classifier to try.",
        "More than two classes: [[SoftmaxRegression]], the same for K of them. A boundary that bends: "
        "[[MLPClassifier]]. Very few examples: [[GaussianNaiveBayes]].",
        "About ten Newton steps of O(N·d² + d³), most of them on a sample where N is large; an epoch of the delta rule "
        "O(N·d). Prediction O(d). Memory O(N·d), and O(d) while streaming with `partial_fit`.",
        "P(virginica|petal width) of 100 iris flowers; the dots are the flowers, at 0 versicolor, at 1 virginica.",
        (
            ("Gradient: error y − σ(z) times x", logistic),
            (
                "The matrix of Newton's steps, XᵀDX: the loss is convex",
                logistic_curvature,
            ),
        ),
        ("SoftmaxRegression", "LinearSVM", "Perceptron"),
    ),
    Page(
        "SoftmaxRegression",
        "Scores a = Wx + b, P(k|x) = exp aₖ/Σⱼ exp aⱼ; minimise mean(log Σⱼ exp aⱼ − a_y) + "
        "α(½(1 − ρ)‖W‖² + ρ‖W‖₁).\n\n"
        "Newton steps by conjugate gradients, or the delta rule W ← W + η(𝟙(k = y) − P(k|x))xᵀ.",
        'Any number of classes, straight boundaries, probabilities. Rare classes: `class_weight="balanced"`.',
        "No probabilities wanted, and a wide margin: [[LinearSVM]]. Boundaries that bend: [[MLPClassifier]]; images: "
        "[[CNNClassifier]].",
        "A Newton step O(products·N·d·K), 5 to 20 steps. " + _NEWTON,
        "Three kinds of iris by petal length and width, and the lines where two classes are equally probable.",
        (
            ("Gradient: the error is ŷ − y", softmax),
            ("How the probabilities p move with the scores a", softmax_jacobian),
        ),
        ("LogisticRegression", "LinearSVM", "NetworkClassifier"),
    ),
    Page(
        "LinearSVM",
        "Scores a = Wx + b; minimise mean Σ_{j≠y} max(0, 1 + aⱼ − a_y), or its square, + α(½(1 − ρ)‖W‖² + ρ‖W‖₁). "
        "With two classes max(0, 1 − y·z), z the difference of the scores.\n\n"
        "Newton steps (the plain hinge rounded ever less), or subgradient steps; at the kink the subgradient is 0.",
        "A wide margin, set by the examples near the boundary alone: easy ones cost exactly 0 and do not move it.",
        "Probabilities: [[SoftmaxRegression]] or [[LogisticRegression]]. A boundary that bends: [[MLPClassifier]] with "
        '`loss="hinge"`, or [[KNNClassifier]].',
        "A Newton step O(products·N·d·K), 5 to 20 steps; the plain hinge "
        "takes six such runs, each from where the last two point. " + _NEWTON,
        "Boundary z = 0, margins z = ±1 (dashed), and ringed the examples that hold them: the loss of all others is 0.",
        (
            ("Hinge, y = ±1", hinge),
            (
                "Squared hinge, the default: it has a slope of 0 at the kink",
                squared_hinge,
            ),
        ),
        ("LogisticRegression", "SoftmaxRegression", "Perceptron"),
    ),
)
