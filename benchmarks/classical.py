"""Classical learners beside scikit-learn in one run: ``python benchmarks/classical.py``.

Only ratios mean something: each line alternates ours and the peer and takes the best of the rounds. ``--rounds 3``,
``--only knn`` (knn, knn_sizes, mixtures, pca, tsne, umap), ``--samples 60000`` and ``--queries 2000`` for another size.
UMAP needs umap-learn, whose compiler runs once before the clock does. ``knn_sizes`` and ``mixtures`` count processor
seconds with one thread on both sides, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn import decomposition, manifold, mixture, neighbors
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from deltarule import data, generative, learners

PAUSE = 0.1  # seconds, so that the threads of the library before have stopped spinning


def best_processor_time(
    ours: Callable[[], object], peers: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Return the least processor seconds of both with one thread, run in turn."""
    seconds: tuple[list[float], list[float]] = ([], [])
    with threadpool_limits(1):
        for _ in range(rounds):
            for work, taken in zip((ours, peers), seconds, strict=True):
                start = time.process_time()
                work()
                taken.append(time.process_time() - start)
    return min(seconds[0]), min(seconds[1])


def best_of(
    ours: Callable[[], object], peers: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Return the best seconds of both, run in turn."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for work, taken in zip((ours, peers), seconds, strict=True):
            time.sleep(PAUSE)
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return min(seconds[0]), min(seconds[1])


def line(
    name: str,
    ours: Callable[[], object],
    peers: Callable[[], object],
    rounds: int,
    peer: str = "scikit-learn",
    measure: Callable[..., tuple[float, float]] = best_of,
) -> None:
    """Print one comparison."""
    mine, theirs = measure(ours, peers, rounds)
    print(
        f"{name:44s} ours {mine:8.3f} s   {peer} {theirs:8.3f} s   ratio {theirs / mine:5.2f}",
        flush=True,
    )


def knn(args: argparse.Namespace, random: np.random.Generator) -> None:
    """Search by brute force, k = 5, float32."""
    x = random.normal(size=(args.samples, 784)).astype(np.float32)
    queries = random.normal(size=(args.queries, 784)).astype(np.float32)
    ours = learners.KNNClassifier(5).fit(x, np.arange(len(x)) % 10)
    peer = neighbors.NearestNeighbors(n_neighbors=5, algorithm="brute").fit(x)
    found, wanted = ours.kneighbors(queries[:100])[1], peer.kneighbors(queries[:100])[1]
    agreement = (found == wanted).mean()
    name = (
        f"kNN {args.samples}×784, {args.queries} queries, k = 5 ({agreement:.1%} equal)"
    )
    line(
        name,
        lambda: ours.kneighbors(queries),
        lambda: peer.kneighbors(queries),
        args.rounds,
    )


def knn_sizes(args: argparse.Namespace, random: np.random.Generator) -> None:
    """Fit and predict by brute force at ordinary sizes, float64."""
    for n, d, queries, k in (
        (2_000, 10, 500, 5),
        (20_000, 10, 1_000, 5),
        (20_000, 30, 1_000, 5),
        (20_000, 100, 1_000, 50),
        (20_000, 200, 1_000, 5),
        (100_000, 10, 1_000, 5),
        (100_000, 30, 500, 5),
    ):
        x, y, asked = (
            random.normal(size=(n, d)),
            np.arange(n) % 5,
            random.normal(size=(queries, d)),
        )
        line(
            f"kNN {n}×{d}, {queries} queries, k = {k}, fit and predict",
            lambda x=x, y=y, asked=asked, k=k: (
                learners.KNNClassifier(k).fit(x, y).predict(asked)
            ),
            lambda x=x, y=y, asked=asked, k=k: (
                neighbors.KNeighborsClassifier(k, algorithm="brute")
                .fit(x, y)
                .predict(asked)
            ),
            args.rounds,
            "brute force",
            best_processor_time,
        )


def mixtures(args: argparse.Namespace, random: np.random.Generator) -> None:
    """Make twenty rounds of expectation–maximisation, k-means at the start included."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    for n, d, k in ((10_000, 5, 3), (100_000, 30, 5), (20_000, 100, 8)):
        centres = (
            3 / np.sqrt(d) * random.normal(size=(k, d))
        )  # clusters overlap: no start has converged soon
        x = centres[random.integers(k, size=n)] + random.normal(size=(n, d))
        for kind in ("full", "tied", "diag", "spherical"):
            options = {
                "covariance_type": kind,
                "max_iter": 20,
                "tol": 0.0,
                "random_state": 0,
            }
            rounds = [
                kind_of(k, **options).fit(x).n_iter_
                for kind_of in (generative.GaussianMixture, mixture.GaussianMixture)
            ]
            line(
                f"GaussianMixture {n}×{d}, {k} {kind}, {rounds[0]} and {rounds[1]} rounds",
                lambda x=x, k=k, options=options: generative.GaussianMixture(
                    k, **options
                ).fit(x),
                lambda x=x, k=k, options=options: mixture.GaussianMixture(
                    k, **options
                ).fit(x),
                args.rounds,
                "scikit-learn",
                best_processor_time,
            )


def pca(args: argparse.Namespace, random: np.random.Generator) -> None:
    """Fit 50 components, exactly and by a randomised range finder."""
    base = random.normal(size=(60, 784)).astype(np.float32)
    x = random.normal(size=(args.samples, 60)).astype(np.float32) @ base
    x += random.normal(size=x.shape).astype(np.float32)
    for solver, peer in (("exact", "covariance_eigh"), ("randomized", "randomized")):
        line(
            f"PCA {args.samples}×784 to 50, {solver} ({peer})",
            lambda solver=solver: learners.PCA(50, solver=solver).fit(x),
            lambda peer=peer: decomposition.PCA(
                50, svd_solver=peer, random_state=0
            ).fit(x),
            args.rounds,
        )


def tsne(args: argparse.Namespace, random: np.random.Generator) -> None:
    """Map the bundled digits."""
    del random
    images = data.load("digits").inputs
    x = images.reshape(len(images), -1)
    line(
        f"t-SNE digits {len(x)}×64",
        lambda: learners.TSNE(random_state=0).fit_transform(x),
        lambda: manifold.TSNE(random_state=0).fit_transform(x),
        min(args.rounds, 2),
    )


def umap(args: argparse.Namespace, random: np.random.Generator) -> None:
    """Map the bundled digits, if umap-learn is there to compare with."""
    del random
    if importlib.util.find_spec("umap") is None:
        print("umap-learn is not installed: pip install umap-learn", flush=True)
        return
    images = data.load("digits").inputs
    x = images.reshape(len(images), -1)
    warnings.simplefilter("ignore")  # umap-learn's own
    peer = importlib.import_module("umap").UMAP
    peer(random_state=0).fit(x[:100])
    line(
        f"UMAP digits {len(x)}×64",
        lambda: learners.UMAP(random_state=0).fit_transform(x),
        lambda: peer(random_state=0).fit_transform(x),
        min(args.rounds, 2),
        "umap-learn",
    )


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument(
        "--only", choices=["knn", "knn_sizes", "mixtures", "pca", "tsne", "umap"]
    )
    args = parser.parse_args()
    for work in (knn, knn_sizes, mixtures, pca, tsne, umap):
        if args.only in {None, work.__name__}:
            work(args, np.random.default_rng(0))


if __name__ == "__main__":
    main()
