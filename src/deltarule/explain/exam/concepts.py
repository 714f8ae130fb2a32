"""Questions on concepts: statements to judge as true or false, and why-questions, with the reasons in the key."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from deltarule.explain.exam.questions import Item, Question, words
from deltarule.explain.exam.responses import Choice, FreeText
from deltarule.explain.proof.proof import Draw, Evaluate


@dataclass(frozen=True)
class Statement:
    """A statement, whether it is true, and the reason.

    >>> STATEMENTS["regularisation"][1].true
    True
    """

    text: str
    true: bool
    reason: str


@dataclass(frozen=True)
class Why:
    """A why-question and its answer, a sentence for each point.

    >>> len(Why("Why is a network deep?", ("it has many layers",)).reasons)
    1
    """

    text: str
    reasons: tuple[str, ...]


# Every sheet has one statement of each area, so that variants are of equal difficulty.
STATEMENTS: dict[str, tuple[Statement, ...]] = {
    "regularisation": (
        Statement(
            "Adding a penalty on the parameters to the loss always reduces the training loss.",
            False,
            "the minimiser of loss and penalty cannot have a lower loss than the minimiser of the loss alone",
        ),
        Statement(
            "An L1 penalty tends to give sparser weights than an L2 penalty.",
            True,
            "the slope of |w| stays at λ as w approaches 0, that of λw² vanishes; the minimum of L1 often lies at 0",
        ),
        Statement(
            "With inverted dropout the activations are divided by the keep probability in training, and nothing is "
            "done at test time.",
            True,
            "the division keeps the expected activation the same in training and at test time",
        ),
        Statement(
            "Too large a weight of the penalty makes the model overfit.",
            False,
            "it makes the model underfit: as the weight grows, the penalty alone is minimised",
        ),
        Statement(
            "Early stopping returns the parameters with the lowest validation error.",
            True,
            "training and validation error are measured during training, and the best parameters are kept",
        ),
    ),
    "validation": (
        Statement(
            "A 5-fold cross-validation fits five different models.",
            True,
            "each fold is held out once, and a new model is fitted on the other four",
        ),
        Statement(
            "A 5-fold cross-validation fits one model instance five times over.",
            False,
            "each fold needs a new model; an instance that has been fitted has seen the validation fold",
        ),
        Statement(
            "Correlated sub-samples of one recording may be distributed over the training and validation set.",
            False,
            "the model then sees nearly the same examples in training, and the validation accuracy is too high; "
            "split first, then sub-sample",
        ),
        Statement(
            "The test set may be used to choose hyperparameters as long as no gradient is computed on it.",
            False,
            "choosing by the test error fits the hyperparameters to the test set; the validation set is for that",
        ),
        Statement(
            "The learning rate and the number of layers are hyperparameters.",
            True,
            "they are not learned by gradient descent; they are chosen on the validation set",
        ),
    ),
    "optimisation": (
        Statement(
            "AdaGrad's effective learning rate of a parameter never increases.",
            True,
            "the sum of squared gradients in the denominator cannot decrease",
        ),
        Statement(
            "The gradient of one example is an unbiased but noisier estimate of the gradient of the whole data set.",
            True,
            "its expectation over a uniformly drawn example is the mean gradient; its variance is larger",
        ),
        Statement(
            "Without bias correction, Adam's first steps use averages that are biased towards zero.",
            True,
            "both averages start at 0, and mₜ has the expectation (1 − β₁ᵗ) E g",
        ),
        Statement(
            "Gradient descent with a sufficiently large learning rate always converges faster.",
            False,
            "on a quadratic with curvature h it diverges for a learning rate above 2/h",
        ),
        Statement(
            "Momentum with α = 0 is plain gradient descent.",
            True,
            "v = −ηg and θ + v = θ − ηg",
        ),
    ),
    "initialisation": (
        Statement(
            "If all weights of a fully connected network start at the same value, the units of a hidden layer stay "
            "equal to each other under gradient descent.",
            True,
            "all units of the layer compute the same signal and receive the same gradient",
        ),
        Statement(
            "A network with a hidden layer of tanh units, no biases and all weights 0 does not learn.",
            True,
            "all activations are 0, and so is every gradient of a weight",
        ),
        Statement(
            "He initialisation uses half of the variance 1/n_in, because a rectifier halves the second moment.",
            False,
            "it uses twice that variance, 2/n_in, to make up for the factor ½",
        ),
        Statement(
            "Very small initial weights make the backpropagated gradients of a deep network large.",
            False,
            "activations and gradients shrink from layer to layer by the small factors",
        ),
    ),
    "losses": (
        Statement(
            "Minimising the cross-entropy is the same as maximising the likelihood of the training labels.",
            True,
            "the cross-entropy is the negative log-likelihood of a categorical distribution",
        ),
        Statement(
            "Minimising the negative log-likelihood of a classifier is the same as minimising the mean squared error.",
            False,
            "it is the same as minimising the cross-entropy; squared error is the likelihood of a Gaussian",
        ),
        Statement(
            "For a sigmoid output and y = 1, the gradient of the squared error with respect to z vanishes as z → −∞.",
            True,
            "the factor σ(z)(1 − σ(z)) tends to 0",
        ),
        Statement(
            "For a sigmoid output and y = 1, the gradient of the cross-entropy with respect to z vanishes as z → −∞.",
            False,
            "it is σ(z) − 1 and tends to −1",
        ),
        Statement(
            "maxᵢ xᵢ ≤ log Σᵢ exp xᵢ ≤ maxᵢ xᵢ + log n.",
            True,
            "the sum lies between its largest term and n times its largest term",
        ),
    ),
    "networks": (
        Statement(
            "Without activation functions a deep network computes an affine function of its input.",
            True,
            "a composition of affine maps is affine",
        ),
        Statement(
            "A convolutional layer has as many parameters as a dense layer of the same input and output size.",
            False,
            "all positions share the weights of one filter",
        ),
        Statement(
            "A 3×3 convolution without padding and with stride 1 keeps the height and width of its input.",
            False,
            "each becomes n − 3 + 1 = n − 2; padding by 1 keeps the size",
        ),
        Statement(
            "Batch normalisation can undo its own normalisation.",
            True,
            "γ and β are learned, and γ = σ with β = μ gives the input back",
        ),
        Statement(
            "Transfer learning may freeze most parameters of the original network.",
            True,
            "only the last layers are trained again on the new task",
        ),
        Statement(
            "Multitask learning is not applicable if one of the tasks has little data.",
            False,
            "the shared layers learn from all tasks, which helps the task with little data most",
        ),
        Statement(
            "Averaging several networks improves most if their errors are strongly correlated.",
            False,
            "the variance of the mean of k errors is v/k + (k − 1)c/k; a small covariance c helps",
        ),
    ),
}

WHYS: tuple[Why, ...] = (
    Why(
        "Why is the cross-entropy preferred to the squared error for a sigmoid output?",
        (
            "The gradient of the squared error with respect to z has the factor σ(z)(1 − σ(z)), which vanishes for "
            "a confident wrong answer",
            "the gradient of the cross-entropy is σ(z) − y, which does not vanish there",
        ),
    ),
    Why(
        "Why are the weights of a network initialised at random and not at one value?",
        (
            "Equal weights give all units of a layer the same output and the same gradient",
            "the units stay equal under gradient descent, so the layer acts as one unit; random values break the "
            "symmetry",
        ),
    ),
    Why(
        "Why does He initialisation use the variance 2/n_in for rectifiers?",
        (
            "The variance of a sum of n_in products is n_in·var(w)·E h²",
            "a rectifier halves the second moment of a symmetric input, so that var(w) = 2/n_in keeps it from layer "
            "to layer",
        ),
    ),
    Why(
        "Why does backpropagation go from the output to the input?",
        (
            "The derivative δ of a layer is computed once and used for all gradients below it",
            "the cost is that of a few forward passes, where one derivative per parameter would cost one pass each",
        ),
    ),
    Why(
        "Why does dropout reduce overfitting?",
        (
            "No unit can rely on certain other units, which may be missing, so each must be useful in many contexts",
            "training with random masks approximates bagging of many networks that share their weights",
        ),
    ),
    Why(
        "Why does Adam correct the bias of its averages?",
        (
            "Both averages start at 0 and have the expectations (1 − βᵗ) E g and (1 − βᵗ) E g²",
            "without the correction the second average is much too small at first, and the first steps are too large",
        ),
    ),
    Why(
        "Why may a rectifier stop learning (a dead unit)?",
        (
            "Its derivative is 0 wherever z < 0",
            "if z < 0 for all examples, the gradients of its incoming weights are 0 and they never change",
        ),
    ),
    Why(
        "Why do gradients vanish in deep networks with sigmoid units?",
        (
            "Each layer multiplies the backpropagated gradient by Wᵀ and by σ′(z)",
            "σ′(z) is at most ¼, so that the product shrinks geometrically unless the weights are large",
        ),
    ),
    Why(
        "Why is the validation set separate from the test set?",
        (
            "Hyperparameters are chosen by the validation error, which is therefore too optimistic",
            "the test set, used once, estimates the error on new data",
        ),
    ),
    Why(
        "Why is the maximum subtracted before a softmax is computed?",
        (
            "softmax(z) = softmax(z − c) for every number c",
            "with c = max z no exponential overflows and the denominator is at least 1",
        ),
    ),
)


def true_or_false(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
    """Ask whether statements are true, one of each area.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> len(true_or_false(random.Random(0), evaluate, value_sampler(0)).items)
    6
    """
    del evaluate, draw
    chosen = [rng.choice(statements) for statements in STATEMENTS.values()]
    rng.shuffle(chosen)
    text = "Are these statements true or false?"
    return Question(text, (), tuple(map(_statement_item, chosen)), _CHECKED)


def reasons(rng: random.Random, evaluate: Evaluate, draw: Draw) -> Question:
    """Ask for the reasons of two facts.

    >>> from deltarule.backends.reference import evaluate
    >>> from deltarule.tensor.explain import value_sampler
    >>> len(reasons(random.Random(0), evaluate, value_sampler(0)).items)
    2
    """
    del evaluate, draw
    items = tuple(map(_why_item, rng.sample(WHYS, 2)))
    return Question("Give the reasons in two or three sentences.", (), items, _CHECKED)


_CHECKED = "the key gives the reasons"


def _statement_item(statement: Statement) -> Item:
    verdict = "true" if statement.true else "false"
    key = words(f"{verdict}: {statement.reason}")
    response = Choice(("true", "false"), 0 if statement.true else 1)
    return Item(words(statement.text), key, response=response)


def _why_item(why: Why) -> Item:
    key = words("; ".join(why.reasons) + ".")
    return Item(words(why.text), key, "", float(_points(why.reasons)), FreeText())


def _points(reasons_: Sequence[str]) -> int:
    """Return one point for each reason."""
    return len(reasons_)


AUTHORS = (true_or_false, reasons)
