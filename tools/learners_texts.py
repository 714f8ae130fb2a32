"""What the pages of docs/learners say: learners, formula, use, cost, and the loss whose derivation is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import deltarule as dr
from deltarule import losses, nn
from deltarule.explain.explanation import Derivation


@dataclass(frozen=True)
class Page:
    """One page: ``learners`` are public names; ``derivations`` are (what, a function that derives it)."""

    file: str
    title: str
    learners: tuple[str, ...]
    formula: str
    use: str
    cost: str
    figure: str
    derivations: tuple[tuple[str, Callable[[], Derivation]], ...] = ()


def _vectors() -> tuple[dr.Tensor, dr.Tensor, dr.Tensor]:
    return dr.symbol("x", (3,)), dr.symbol("theta", (3,)), dr.symbol("y", ())


def network() -> Derivation:
    """Derive a network of two layers with cross-entropy."""
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    return dr.derive(model, losses.CrossEntropy(), input_shape=(4,))


def autoencoder() -> Derivation:
    """Derive the linear autoencoder."""
    x, E, D = dr.symbol("x", (4,)), dr.symbol("E", (2, 4)), dr.symbol("D", (4, 2))
    z = E @ x
    gap = D @ z - x
    return dr.derive(0.5 * (gap * gap).sum(), wrt=[E, D], names={z: "z"})


def ridge() -> Derivation:
    """Derive half squared error with its penalty."""
    X, theta, Y, alpha = dr.symbol("X", (5, 3)), dr.symbol("theta", (3,)), dr.symbol("Y", (5,)), dr.symbol("alpha", ())
    residual = X @ theta - Y
    return dr.derive(0.5 * (residual * residual).sum() + 0.5 * alpha * (theta * theta).sum(), wrt=[theta])


def perceptron() -> Derivation:
    """Derive the perceptron's criterion; y is −1 or 1."""
    x, theta, y = _vectors()
    return dr.derive(nn.relu(-y * (theta @ x)), wrt=[theta])


def adaline() -> Derivation:
    """Derive the squared error of z itself."""
    x, theta, y = _vectors()
    error = y - theta @ x
    return dr.derive(0.5 * error * error, wrt=[theta])


def logistic() -> Derivation:
    """Derive binary cross-entropy of a sigmoid."""
    x, theta, y = _vectors()
    p = nn.sigmoid(theta @ x)
    return dr.derive(-(y * dr.log(p) + (1 - y) * dr.log(1 - p)), wrt=[theta])


def softmax() -> Derivation:
    """Derive cross-entropy of a linear softmax."""
    return dr.derive(nn.Sequential(nn.Linear(4, 3)), losses.CrossEntropy(), input_shape=(4,))


def hinge() -> Derivation:
    """Derive the hinge; y is −1 or 1."""
    x, theta, y = _vectors()
    return dr.derive(nn.relu(1 - y * (theta @ x)), wrt=[theta])


def normal() -> Derivation:
    """Derive −ln of a normal density (less a constant); s = ln σ²."""
    x, mu, s = dr.symbol("x", (3,)), dr.symbol("mu", (3,)), dr.symbol("s", (3,))
    gap = x - mu
    return dr.derive((0.5 * gap * gap * dr.exp(-s) + 0.5 * s).sum(), wrt=[mu, s])


def principal() -> Derivation:
    """Derive the error of projecting and coming back."""
    x, W = dr.symbol("x", (4,)), dr.symbol("W", (2, 4))
    gap = W.T @ (W @ x) - x
    return dr.derive(0.5 * (gap * gap).sum(), wrt=[W])


def attraction() -> Derivation:
    """Derive −ln(1/(1 + d²)) of two places on a map."""
    y, u = dr.symbol("y", (2,)), dr.symbol("u", (2,))
    gap = y - u
    return dr.derive(dr.log(1 + (gap * gap).sum()), wrt=[y, u])


PAGES: tuple[Page, ...] = (
    Page(
        "networks", "Neural networks",
        ("MLPClassifier", "MLPRegressor", "CNNClassifier", "NetworkClassifier", "NetworkRegressor"),
        "a₀ = x, aₗ = g(Wₗaₗ₋₁ + bₗ); scores W_L a_{L−1} + b_L.\n\n"
        "minimise Σ wᵢ·loss(scoresᵢ, yᵢ)/Σ wᵢ + ½·alpha·‖W‖²\n\n"
        "`predict_proba` is softmax(scores) (sigmoid for labels of which any may hold).",
        "Tables of numbers with a boundary that no line draws: the MLPs. Small images: `CNNClassifier`, which sees "
        "the same pattern wherever it is. An architecture of your own, or a trained network to tune further: "
        "`NetworkClassifier` and `NetworkRegressor`. Scale the inputs first (`StandardScaler` in a `Pipeline`). With "
        "few examples try a linear model first; with a validation set use `early_stopping=True`.",
        "Training O(epochs·N·weights), three times a prediction's products; prediction O(weights) an example. A step "
        "is compiled once for each batch size (a part of a second); `device=\"reference\"` spares that.",
        "Loss on training and held-out digits: where the dashed line turns up, early stopping takes its weights.",
        (("Two layers with softmax and cross-entropy", network),),
    ),
    Page(
        "autoencoder", "Autoencoder as a transformer", ("AutoencoderTransformer",),
        "minimise mean ‖decoder(encoder(x)) − x‖² + sparsity·mean Σ|z|, z = encoder(x); with `corruption` the encoder "
        "sees x with numbers hidden, and the decoder has to fill them in.",
        "Codes for another learner, a picture of the data where PCA's straight plane does not fit, denoising, telling "
        "what is unlike the training data (a large error). Without hidden layers it finds the principal plane: take "
        "`PCA`, which is exact.",
        "O(epochs·N·weights) for training, O(weights of the encoder) for a code.",
        "Squared error of digits rebuilt from k numbers: bent surfaces keep more than planes.",
        (("Linear autoencoder", autoencoder),),
    ),
    Page(
        "least_squares", "Least squares, ridge and lasso", ("LinearRegression", "Ridge", "Lasso"),
        "ŷ = θᵀx + b\n\n"
        "`LinearRegression`: minimise ½Σ wᵢ(yᵢ − ŷᵢ)²; θ solves XᵀXθ = Xᵀy, or is the smallest solution (SVD) where "
        "XᵀX is singular.\n\n"
        "`Ridge`: Σ wᵢ(yᵢ − ŷᵢ)² + α‖θ‖².\n\n"
        "`Lasso`: 1/(2Σw)·Σ wᵢ(yᵢ − ŷᵢ)² + α‖θ‖₁, by θ ← S_{α/L}(θ − ∇/L) with S_t(v) = sign(v)·max(0, |v| − t), "
        "accelerated.",
        "A straight relation, or a first answer to compare with. Ridge where features are correlated or as many as "
        "examples; lasso where few of them should count. Curves: scikit-learn's `PolynomialFeatures` before it. "
        "Weights of zero are as if the example were absent; `partial_fit` takes data larger than memory.",
        "Normal equations O(N·d² + d³); ridge O(N·d·min(N, d)); lasso O(N·d² + steps·d²).",
        "Coefficients against α: the lasso sets them to zero one after the other, the useless ones first.",
        (("Half squared error with ½α‖θ‖²: set to zero, (XᵀX + αI)θ = Xᵀy", ridge),),
    ),
    Page(
        "delta_rule", "The delta rule: perceptron, ADALINE, logistic regression",
        ("Perceptron", "Adaline", "LogisticRegression"),
        "θ ← θ + η·w·e·x with z = θᵀx (a last feature 1 carries the bias) and the error e alone different:\n\n"
        "| learner | e | loss |\n|---|---|---|\n"
        "| `Perceptron` | y − step(z), step(0) = 1 | max(0, −y·z), y = ±1 |\n"
        "| `Adaline` | y − z, y = ±1; `rule=\"unit-norm\"` moves along x/‖x‖ | ½(y − z)² |\n"
        "| `LogisticRegression` | y − σ(z); or Newton steps with XᵀDX, D = σ(1 − σ) | −ln P(y\\|x) |\n\n"
        "The loss alone is written down: e is minus its derivative in z, XᵀDX comes from its second one.\n\n"
        "Perceptron: at most (R/γ)² mistakes where a line separates the classes with margin γ (`mistake_bound_`).",
        "Two classes and a straight boundary. Logistic regression for probabilities (Newton by default); the "
        "perceptron and ADALINE to see the rules themselves: `mistake_log_` holds every mistake, and θ is η·Σ e·x over "
        "it. On XOR the perceptron never converges and says so. More classes: `SoftmaxRegression`, `LinearSVM`, or "
        "`OneVsRestClassifier`. Streams: `partial_fit`, with `sample_weight`.",
        "An epoch of the delta rule O(N·d): NumPy takes epochs within the first 250 steps of a fit, each beyond is "
        "one call of machine code. A Newton step O(N·d² + d³), about ten of them; machine code from N·d = 2²² on.",
        "Mistakes of an epoch on iris: setosa against the others (a line separates them), and versicolor (none does).",
        (("Perceptron, y = ±1", perceptron), ("ADALINE", adaline), ("Logistic regression, y = 0 or 1", logistic)),
    ),
    Page(
        "margin", "Softmax regression and support vector machines", ("SoftmaxRegression", "LinearSVM"),
        "Scores a = Wx + b, the largest wins.\n\n"
        "`SoftmaxRegression`: minimise mean(log Σⱼ exp aⱼ − a_y) + ½α‖W‖², P(k|x) = softmax_k(a).\n\n"
        "`LinearSVM`: mean Σ_{j≠y} max(0, 1 + aⱼ − a_y), or its square, + ½α‖W‖²; with two classes max(0, 1 − y·z).\n\n"
        "`solver=\"newton\"`: Newton steps by conjugate gradients. `solver=\"delta\"`: θ ← θ − η∂loss/∂θ example by "
        "example, or along means over `batch_size` of them.",
        "Any number of classes and straight boundaries. Softmax for probabilities; the SVM for a wide margin that "
        "easy examples do not move (their loss is exactly 0). Rare classes: `class_weight=\"balanced\"`.",
        "A Newton step O(products·N·d·K), 5 to 20 steps, in machine code from N·d·K = 2²² on; an epoch of the delta "
        "rule O(N·d·K), one call of machine code after the first 250 steps.",
        "Losses of an example against its margin y·z: what each learner pays for being on the wrong side.",
        (("Softmax with cross-entropy", softmax), ("Hinge, y = ±1", hinge)),
    ),
    Page(
        "generative", "Naive Bayes and Gaussian classes",
        ("GaussianNaiveBayes", "MultinomialNaiveBayes", "BernoulliNaiveBayes", "GaussianClassifier"),
        "arg max_c ln P(c) + ln P(x|c), P(c|x) by Bayes' rule in logarithms.\n\n"
        "| learner | P(x\\|c) |\n|---|---|\n"
        "| `GaussianNaiveBayes` | Πⱼ N(xⱼ; μ_cj, σ²_cj) |\n"
        "| `MultinomialNaiveBayes` | ∝ Π_w p(w\\|c)^count, p = (count + α)/(total + α·words) |\n"
        "| `BernoulliNaiveBayes` | Πⱼ p_cj^xⱼ(1 − p_cj)^(1 − xⱼ) |\n"
        "| `GaussianClassifier` | N(x; μ_c, Σ_c): own Σ_c gives quadratic, shared Σ linear boundaries |\n\n"
        "On tables: `marginal`, `conditional`, `posterior`. Estimates of distributions: `maximum_likelihood`; their "
        "`log_prob` and draws are in `deltarule.generative`.",
        "Very few examples, counts of words, streams (`partial_fit` gives the estimates of all chunks together), new "
        "examples (`sample`). Naive Bayes ranks classes well and is too sure of them where features repeat each "
        "other: take `GaussianClassifier`, or calibrate.",
        "One pass O(N·d); `GaussianClassifier` O(N·d² + K·d³). Prediction O(K·d), with full Σ O(K·d²).",
        "Petal widths of two kinds of iris: densities, and the posterior by Bayes' rule.",
        (("−ln of a normal density: zero at the mean, and at σ² = mean of (x − μ)²", normal),),
    ),
    Page(
        "neighbors", "Nearest neighbours", ("KNNClassifier", "KNNRegressor"),
        "ŷ = the vote (or the mean) of the k nearest training examples; `weights=\"distance\"` counts 1/distance.\n\n"
        "‖q − x‖² = ‖q‖² − 2qᵀx + ‖x‖² in blocks of matrix products; what may be among the k nearest within rounding "
        "is measured again as Σ(q − x)² in float64, so that the search is exact. Of equal distances the earlier one "
        "is nearer, of equal votes the first class wins.",
        "A boundary of any form, few features of like scale, as a strong first answer. `metric` takes names or a "
        "function (a, b) → distance. With many features distances grow alike: reduce them first (`PCA`).",
        "`fit` stores the data. A query O(N·d): matrix products; other metrics and functions are slower. "
        "`python benchmarks/classical.py` prints the ratio to scikit-learn's brute force: on 60 000 × 784 by 2 000 "
        "queries 1.4 to 2.0 times its speed on two shared cores.",
        "Accuracy on digits against k, five folds: one neighbour learns by heart, many blur.",
    ),
    Page(
        "components", "Principal and independent components", ("PCA", "FastICA"),
        "PCA: z = W(x − μ), rows of W the eigenvectors of the covariance with the largest eigenvalues; x ≈ Wᵀz + μ is "
        "the nearest point of the plane. `whiten` divides z by the standard deviations.\n\n"
        "FastICA: sources s = W(x − μ) as independent as can be, by w ← E[x·tanh wᵀx] − E[tanh′]·w on whitened data, "
        "rows kept orthonormal.\n\nSigns: the largest entry of every row of W is positive.",
        "PCA to compress, to see, to whiten, before neighbours and maps. `solver=\"randomized\"` for a few of very "
        "many components, `partial_fit` for data larger than memory (exact up to rounding). FastICA to part signals "
        "that were mixed (not Gaussian, as many mixtures as sources).",
        "Exact O(N·d² + d³); randomised O(n_iter·N·d·k); a chunk O(chunk·d²). FastICA O(N·d²) + O(steps·N·k²).",
        "Share of the variance that k components keep: of digits, and of digits whose pixels were shuffled one by one.",
        (("Error of projecting and coming back; WWᵀ = I is kept by the eigenvectors", principal),),
    ),
    Page(
        "maps", "Maps: t-SNE and UMAP", ("TSNE", "UMAP", "ParametricUMAP"),
        "`TSNE`: minimise KL(P‖Q), p(j|i) Gaussian with the given perplexity, qᵢⱼ ∝ 1/(1 + ‖yᵢ − yⱼ‖²); forces exact "
        "or on a grid with Fourier transforms.\n\n"
        "`UMAP`: w(j|i) = exp(−(dᵢⱼ − ρᵢ)/σᵢ) with Σⱼ w = log₂ k, W = A + Aᵀ − A∘Aᵀ; minimise the cross-entropy of W "
        "and v = 1/(1 + a·d²ᵇ), edges against random pairs.\n\n"
        "`ParametricUMAP`: the same objective for places y = network(x).",
        "To look at data: groups, outliers, labels that are wrong. Near points on the map are near in the data; "
        "distances between far groups and sizes of groups mean nothing. New points: `UMAP.transform` (moves each "
        "while the map stays), or `ParametricUMAP` (the network says where; quicker, and less exact for what it has "
        "not seen).",
        "Neighbours O(N²·d), exact. t-SNE: a step O(N²), or O(N + G log G) on a grid of G nodes. UMAP: "
        "O(epochs·N·k·negatives). ParametricUMAP: that times the weights of the network.",
        "500 digits by `UMAP(min_dist=0.5)`, each group named by its digit.",
        (("What draws two neighbours together: −ln v of their places y and u, with a = b = 1", attraction),),
    ),
    Page(
        "ensembles", "Ensembles", ("BaggingClassifier", "BaggingRegressor"),
        "ŷ = mean of k models, each fitted to N rows drawn with replacement (a model has not seen about N/e of them: "
        "`oob_score_` is measured on those).\n\n"
        "Mean square error of the average = v/k + (k − 1)·c/k, v the error of one model, c the mean product of the "
        "errors of two (`error_correlation`).\n\n"
        "`average_proba` and `majority` join fitted models of any kind; `Snapshots` keeps the weights at the end of "
        "every cycle of a cosine learning rate: k networks for one run.",
        "Models that vary with the sample (trees, 1-NN, networks) gain; stable ones (linear) do not. Look at "
        "`error_correlation` first: with c = v averaging gives nothing.",
        "k times the cost of the model in training and prediction; snapshots cost one run of training.",
        "Error of the average of k of 30 1-NN regressors (300 draws of k), and the formula with their v and c.",
    ),
    Page(
        "selection", "Choosing models honestly", ("NetworkSearchCV",),
        "`learning_curve` (scores against the number of examples) and `validation_curve` (against a hyperparameter) "
        "return a `Curve`: `best`, `gap` = training − validation score.\n\n"
        "`find_leaks(x_train, x_test, y_train, groups_train, groups_test)`: equal rows on both sides, features that "
        "are the target in another guise, groups on both sides.\n\n"
        "`oversampled`, `undersampled`, `smote`: rows to train on for rare classes. `RunningStatistics`: "
        "Sₙ = Sₙ₋₁ + (xₙ − μₙ)(xₙ − μₙ₋₁), parts merged by S = S₁ + S₂ + (μ₂ − μ₁)²n₁n₂/n.",
        "Before believing a score: check for leaks, split by group where examples belong together (`GroupKFold`), "
        "resample training rows only, after splitting. `GridSearchCV`, `RandomizedSearchCV` and "
        "`HalvingGridSearchCV` take every learner as it is; `NetworkSearchCV` trains all folds and candidates of "
        "a network side by side. `data.split` makes the three-way split.",
        "Curves: folds × points fits. Leaks O(N·d) (rows are hashed). Statistics O(1) memory.",
        "Learning curve of softmax regression on digits: more data close the gap.",
    ),
)  # fmt: skip
