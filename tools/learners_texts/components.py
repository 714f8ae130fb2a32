"""Pages of linear decompositions and of maps."""

from __future__ import annotations

import deltarule as dr
from deltarule import nn
from deltarule.explain.explanation import Derivation
from learners_texts.page import Page

_SIGNS = "The largest entry of every row of W is positive, so that signs are the same every time."
_MAPS = "Near points on the map are near in the data; distances between far groups and sizes of groups mean nothing."
_NEIGHBORS = "Neighbours O(N²·d), exact, memory O(N·k) for the graph."


def principal() -> Derivation:
    """Derive the largest variance under ‖w‖ = 1; X is centred."""
    X, w, multiplier = (
        dr.symbol("X", (5, 3)),
        dr.symbol("w", (3,)),
        dr.symbol("lambda", ()),
    )
    z = X @ w
    return dr.derive(
        0.5 * (multiplier * ((w * w).sum() - 1) - (z * z).sum()), wrt=[w, multiplier]
    )


def rebuilt() -> Derivation:
    """Derive the error of projecting and coming back."""
    x, W = dr.symbol("x", (4,)), dr.symbol("W", (2, 4))
    gap = W.T @ (W @ x) - x
    return dr.derive(0.5 * (gap * gap).sum(), wrt=[W])


def contrast() -> Derivation:
    """Derive ln 2cosh z, which measures how far from Gaussian z is."""
    x, w = dr.symbol("x", (3,)), dr.symbol("w", (3,))
    z = w @ x
    return dr.derive(dr.log(dr.exp(z) + dr.exp(-z)), wrt=[w])


def divergence() -> Derivation:
    """Derive what one pair adds to KL(P‖Q), counted in both directions; Z is the sum over all other pairs."""
    p, y, u, Z = (
        dr.symbol("p", ()),
        dr.symbol("y", (2,)),
        dr.symbol("u", (2,)),
        dr.symbol("Z", ()),
    )
    gap = y - u
    d = 1 + (gap * gap).sum()
    return dr.derive(2 * p * dr.log(d) + dr.log(Z + 2 / d), wrt=[y], names={d: "d"})


def edge() -> Derivation:
    """Derive the cross-entropy of an edge of weight w between two places, with a = b = 1."""
    y, u, w = dr.symbol("y", (2,)), dr.symbol("u", (2,)), dr.symbol("w", ())
    gap = y - u
    s = (gap * gap).sum()
    v = 1 / (1 + s)
    return dr.derive(
        -(w * dr.log(v) + (1 - w) * dr.log(1 - v)), wrt=[y, u], names={v: "v", s: "s"}
    )


def edge_of_network() -> Derivation:
    """Derive the same where both places come from one layer: x and r are the ends of the edge."""
    W, x, r, w = (
        dr.symbol("W", (2, 3)),
        dr.symbol("x", (3,)),
        dr.symbol("r", (3,)),
        dr.symbol("w", ()),
    )
    gap = nn.tanh(W @ x) - nn.tanh(W @ r)
    s = (gap * gap).sum()
    v = nn.sigmoid(-dr.log(s))
    return dr.derive(
        -(w * dr.log(v) + (1 - w) * dr.log(1 - v)), wrt=[W], names={v: "v", s: "s"}
    )


PAGES: tuple[Page, ...] = (
    Page(
        "PCA",
        "z = W(x − μ), rows of W the eigenvectors of the covariance with the largest eigenvalues; x ≈ Wᵀz + μ is the "
        "nearest point of the plane. `whiten` divides z by the standard deviations.\n\n"
        + _SIGNS,
        'To compress, to see, to whiten, before neighbours and maps. `solver="randomized"` for a few of very many '
        "components, `partial_fit` for data larger than memory (exact up to rounding). A sparse X is never made dense. "
        "`score_samples` gives ln p(x) of a normal distribution that is equally wide in all directions left out.",
        "Data on a bent surface: [[AutoencoderTransformer]]. A picture of groups: [[TSNE]] or [[UMAP]]. Signals that "
        "were mixed: [[FastICA]]. Features of unlike units: scale them first, or the largest wins.",
        "Exact O(N·d² + d³), memory O(d²) beside the data; randomised O(n_iter·N·d·k), memory O(N·d); a chunk of "
        "`partial_fit` O(chunk·d²). Coding an example O(d·k).",
        "A cloud and its two axes, each two standard deviations long; the title says which share of the variance lies "
        "along them.",
        (
            (
                "The largest variance with ‖w‖ = 1, X centred: zero where XᵀXw = λw, an eigenvector",
                principal,
            ),
            (
                "The same plane has the smallest error of projecting and coming back",
                rebuilt,
            ),
        ),
        ("FastICA", "AutoencoderTransformer", "TSNE"),
    ),
    Page(
        "FastICA",
        "Sources s = W(x − μ) as independent as can be: on whitened data w ← E[x·tanh wᵀx] − E[tanh′ wᵀx]·w, rows kept "
        "orthonormal by (WWᵀ)^(−½)W.\n\n" + _SIGNS,
        "To part signals that were mixed: voices, brain waves, artefacts. As many mixtures as sources, and at most "
        "one Gaussian among them.",
        "Directions of large variance, compression: [[PCA]], which also orders them. Mixtures that bend: "
        "[[AutoencoderTransformer]].",
        "Whitening O(N·d² + d³), a step O(N·k²), compiled where data are large; ten to a hundred steps. Memory O(N·d).",
        "Two mixtures of a sine and a sawtooth, and the sources found in them.",
        (
            (
                "How far wᵀx is from Gaussian: δ₁ is tanh wᵀx; with ‖w‖ = 1 kept, the fixed point is the rule",
                contrast,
            ),
        ),
        ("PCA",),
    ),
    Page(
        "TSNE",
        "minimise KL(P‖Q), p(j|i) Gaussian with the given perplexity, qᵢⱼ ∝ 1/(1 + ‖yᵢ − yⱼ‖²).\n\n"
        "∂KL/∂yᵢ = 4 Σⱼ (pᵢⱼ − qᵢⱼ)(yᵢ − yⱼ)/(1 + ‖yᵢ − yⱼ‖²): pᵢⱼ draws together, qᵢⱼ pushes apart; exact, or on a "
        "grid with Fourier transforms.",
        "To look at data: groups, outliers, labels that are wrong. " + _MAPS,
        "New points to place: [[UMAP]] or [[ParametricUMAP]]. Features for another learner, or distances that mean "
        "something: [[PCA]].",
        _NEIGHBORS
        + " Up to 5000 examples a step O(N²), many steps in one call of machine code, memory N² numbers for "
        "P; beyond, O(N·perplexity + G log G) on a grid of G nodes, and as much memory. 1000 steps.",
        "300 digits, each group named by its digit; the learner has not seen the names.",
        (
            (
                "What one pair adds to KL: with q = (1/d)/(Z + 2/d), line 2 reads 4(p − q)(y − u)/d",
                divergence,
            ),
        ),
        ("UMAP", "ParametricUMAP", "PCA"),
    ),
    Page(
        "UMAP",
        "w(j|i) = exp(−(dᵢⱼ − ρᵢ)/σᵢ) with Σⱼ w = log₂ k, W = A + Aᵀ − A∘Aᵀ; minimise the cross-entropy of W and "
        "v = 1/(1 + a·d²ᵇ) of distances d on the map, edges against random pairs.",
        "To look at data, large ones too, and to place new points: `transform` moves each while the map stays. "
        + _MAPS,
        "Ever new points at no search: [[ParametricUMAP]]. Small data, the finest neighbourhoods: [[TSNE]]. Distances "
        "that mean something: [[PCA]].",
        _NEIGHBORS
        + " The layout O(epochs·N·k·(1 + negatives)), in machine code. A new point O(N·d) for its "
        "neighbours, then O(epochs·(k + negatives)).",
        "300 digits by `UMAP(min_dist=0.5)`, each group named by its digit.",
        (
            (
                "Cross-entropy of an edge of weight w between the places y and u, a = b = 1",
                edge,
            ),
        ),
        ("ParametricUMAP", "TSNE", "PCA"),
    ),
    Page(
        "ParametricUMAP",
        "The objective of [[UMAP]] for places y = network(x): an edge has the log odds −ln a − b·ln d², and the loss "
        "is the binary cross-entropy of edges (drawn by their weight) against random pairs.",
        "Very many or ever new points, which the network places without any search; a map as a layer of a larger "
        "model. " + _MAPS,
        "One picture of fixed data: [[UMAP]] and [[TSNE]] keep neighbourhoods better, and this one is less exact for "
        "what it has not seen. A linear picture: [[PCA]].",
        _NEIGHBORS
        + " Training O(epochs·edges·(1 + negatives)·weights); a new point O(weights).",
        "300 digits placed by a network that was trained on 700 others.",
        (
            (
                "An edge of weight w whose ends x and r go through the same layer, a = b = 1: both paths add up",
                edge_of_network,
            ),
        ),
        ("UMAP", "TSNE", "AutoencoderTransformer"),
    ),
)
