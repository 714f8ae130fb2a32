"""Pages of neural learners."""

from __future__ import annotations

import deltarule as dr
from deltarule import losses, nn
from deltarule.explain.explanation import Derivation
from learners_texts.page import Page

_MEMORY = (
    " Memory: weights, their gradients and the optimiser's state (Adam: four numbers a weight), and the "
    "signals of one batch. A step is compiled once for each batch size (a part of a second); "
    '`device="reference"` spares that.'
)
_COST = (
    "Training O(epochs·N·weights), three times a prediction's products; prediction O(weights) an example."
    + _MEMORY
)
_OWN_COST = (
    "Training O(epochs·N·c), c what the module costs for one example; a step takes about 3c an example, a prediction c."
    + _MEMORY
)
_LOSS = "minimise Σ wᵢ·loss(outputsᵢ, yᵢ)/Σ wᵢ"
_PENALTY = _LOSS + " + ½·alpha·‖W‖²"
_HABITS = "Scale the inputs first (`StandardScaler` in a `Pipeline`); `early_stopping=True` keeps the best weights."


class _Skip(nn.Module):
    """x + ReLU(Wx + b), then a linear layer."""

    def __init__(self) -> None:
        self.inner, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        """Return logits."""
        return self.last(x + nn.relu(self.inner(x)))


def classifier() -> Derivation:
    """Derive a network of two layers with cross-entropy."""
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    return dr.derive(model, losses.CrossEntropy(), input_shape=(4,))


def regressor() -> Derivation:
    """Derive a network of two layers with squared error."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))
    return dr.derive(model, losses.MeanSquaredError(), input_shape=(4,))


def convolution() -> Derivation:
    """Derive one block of convolution and pooling with cross-entropy."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    )
    return dr.derive(model, losses.CrossEntropy(), input_shape=(6, 6, 1))


def skip() -> Derivation:
    """Derive an architecture of one's own."""
    return dr.derive(_Skip(), losses.CrossEntropy(), input_shape=(4,))


def wave() -> Derivation:
    """Derive a formula with three parameters."""
    x, y, a, b, c = (dr.symbol(name, ()) for name in ("x", "y", "a", "b", "c"))
    error = a * dr.sin(b * x + c) - y
    return dr.derive(error * error, wrt=[a, b, c])


def autoencoder() -> Derivation:
    """Derive the linear autoencoder with its sparsity."""
    x, E, D, s = (
        dr.symbol("x", (4,)),
        dr.symbol("E", (2, 4)),
        dr.symbol("D", (4, 2)),
        dr.symbol("s", ()),
    )
    z = E @ x
    gap = D @ z - x
    return dr.derive((gap * gap).sum() + s * abs(z).sum(), wrt=[E, D], names={z: "z"})


PAGES: tuple[Page, ...] = (
    Page(
        "MLPClassifier",
        "a₀ = x, aₗ = g(Wₗaₗ₋₁ + bₗ), scores W_L a_{L−1} + b_L; "
        + _PENALTY
        + ", the loss cross-entropy.\n\n"
        "`predict_proba` is softmax(scores) (sigmoid for multilabel targets).",
        "Tables of numbers with a boundary that no line draws. " + _HABITS,
        "Few examples, or a straight boundary: [[LogisticRegression]] or [[SoftmaxRegression]] are quicker and as "
        "good. Images: [[CNNClassifier]]. Layers of your own: [[NetworkClassifier]].",
        _COST,
        "Two half moons: the boundary of 32 hidden units, and (thin) the best straight one.",
        (("Two layers with softmax and cross-entropy", classifier),),
        ("MLPRegressor", "NetworkClassifier", "NetworkSearchCV", "Snapshots"),
    ),
    Page(
        "MLPRegressor",
        "a₀ = x, aₗ = g(Wₗaₗ₋₁ + bₗ), ŷ = W_L a_{L−1} + b_L; "
        + _PENALTY
        + ", the loss (ŷ − y)² unless another is "
        "named.",
        "Numbers that depend on the features in no straight way; several targets at once. "
        + _HABITS
        + " Scale targets that are far from 0 ± 1 (`TransformedTargetRegressor`).",
        "A straight relation: [[LinearRegression]] or [[Ridge]]. A formula whose form you know: [[NetworkRegressor]]. "
        'One or two features: [[KNNRegressor]]. Outliers: keep it, with `loss="huber"`.',
        _COST,
        "A noisy curve of 80 points and the fit of two hidden layers.",
        (("Two layers with squared error", regressor),),
        ("MLPClassifier", "NetworkRegressor", "BaggingRegressor"),
    ),
    Page(
        "CNNClassifier",
        "Blocks A = pool(g(W ⋆ A′ + b)): every filter W is slid over the image, and the largest value of each pool × "
        "pool square is kept; then the layers of [[MLPClassifier]], whose scores go through softmax; "
        + _PENALTY
        + ".",
        "Small images: it sees the same pattern wherever it is, with few weights. "
        + _HABITS,
        "Tables, where neighbouring columns mean nothing: [[MLPClassifier]]. Large photographs, a network already "
        "trained: [[NetworkClassifier]] around it.",
        "Training O(epochs·N·Σ positions·kernel²·channels·filters), three times a prediction."
        + _MEMORY,
        "A handwritten three and what the eight filters of the first layer make of it, after 10 epochs on digits.",
        (
            (
                "One block with softmax and cross-entropy; ⋆ is the sliding product",
                convolution,
            ),
        ),
        ("MLPClassifier", "NetworkClassifier"),
    ),
    Page(
        "NetworkClassifier",
        "scores = module(x), whatever the module is; "
        + _LOSS
        + " + `regularizers`, the loss cross-entropy unless "
        "another is named.\n\nWithout a module it is a linear layer: softmax regression.",
        "An architecture of your own, a trained network to tune further (frozen layers stay frozen), examples of any "
        "shape. " + _HABITS,
        "Layers one after the other: [[MLPClassifier]] and [[CNNClassifier]] build them for you, and "
        "[[NetworkSearchCV]] may change their sizes. A linear layer alone: [[SoftmaxRegression]] finds its minimum.",
        _OWN_COST,
        "Cross-entropy of 600 digits and of 600 held out, by a residual network: where the dashed line turns up, early "
        "stopping takes its weights.",
        (("A layer with a way around it: the derivative takes both ways", skip),),
        ("MLPClassifier", "CNNClassifier", "NetworkRegressor"),
    ),
    Page(
        "NetworkRegressor",
        "ŷ = module(x), whatever the module is; "
        + _LOSS
        + " + `regularizers`, the loss (ŷ − y)² unless another is "
        "named. Without a module it is a linear layer: linear regression.",
        "A formula whose form you know and whose numbers you do not; an architecture of your own; a trained network "
        "to tune further. Module and data decide how quickly it learns: start near a sensible value.",
        "Plain layers: [[MLPRegressor]]. A formula that is linear in its parameters: [[LinearRegression]] has the "
        "answer in closed form.",
        _OWN_COST,
        "ŷ = a·sin(bx + c) fitted to 30 points left of the mark: three numbers, and it goes on where they end.",
        (("The figure's formula: three numbers, three derivatives", wave),),
        ("MLPRegressor", "NetworkClassifier", "LinearRegression"),
    ),
    Page(
        "AutoencoderTransformer",
        "minimise mean ‖decoder(encoder(x)) − x‖²/d + sparsity·mean Σ|z|, z = encoder(x); with `corruption` the "
        "encoder sees x with numbers hidden, and the decoder has to fill them in.",
        "Codes for another learner, a picture of the data where a straight plane does not fit, denoising, telling "
        "what is unlike the training data (a large error).",
        "Without hidden layers it finds the principal plane: take [[PCA]], which is exact. A map of groups: [[UMAP]] "
        "or [[TSNE]].",
        _COST + " A code O(weights of the encoder).",
        "Squared error of digits rebuilt from k numbers: bent surfaces keep more than planes.",
        (("Linear autoencoder with sparsity s", autoencoder),),
        ("PCA", "ParametricUMAP"),
    ),
)
