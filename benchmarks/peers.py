"""The workloads in PyTorch, JAX and scikit-learn: ``python benchmarks/peers.py PEER W2 THREADS SECONDS`` prints JSON.

PEER: torch (eager, channels-last for images, the faster of fused and foreach optimisers), torch-compiled (the
whole step as one graph), jax (a scan over an epoch), jax-step (one jitted step a batch), sklearn.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

PEER, NAME, THREADS, SECONDS = (
    sys.argv[1],
    sys.argv[2],
    int(sys.argv[3]),
    float(sys.argv[4]),
)
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(THREADS)
if PEER.startswith("jax") and THREADS == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {0})

import numpy as np  # noqa: E402  # the number of threads is read at import

from deltarule.cli.commands.bench import peak_rss_mb  # noqa: E402
from deltarule.cli.workloads import WORKLOADS  # noqa: E402

W = WORKLOADS[NAME]
B = W.batch_size
X, Y = W.arrays()
N = len(X) // B
SIZES = {
    "W1": (784, 10),
    "W2": (784, 128, 10),
    "W3": (784, 512, 512, 10),
    "W4": (1024, 2048, 2048, 2048, 10),
    "W5": (30, 64, 64, 1),
    "W9": (784, 256, 64, 256, 784),
    "W13": (4, 32, 16, 4),
}
RATE = float(W.optimizer.config()["learning_rate"])
KIND = type(W.optimizer).__name__


def timed(epoch: Callable[[], None]) -> tuple[float, float]:
    """Return (seconds of the first epoch, median samples per second of the others)."""
    start = time.perf_counter()
    epoch()
    first = time.perf_counter() - start
    times: list[float] = []
    while sum(times) < SECONDS or len(times) < 2:
        start = time.perf_counter()
        epoch()
        times.append(time.perf_counter() - start)
    return first, epoch.steps * B / float(np.median(times))  # type: ignore[attr-defined]  # set by each peer


def limited(steps: int) -> int:
    """Return how many steps an epoch of measurement has: slow workloads need not see all data."""
    return min(steps, max(4, int(2e11 / (W.flops * B))))


def with_torch(compiled: bool) -> dict[str, Any]:
    import torch
    from torch import nn
    from torch.nn import functional as f

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)

    class Vae(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.e, self.m = nn.Linear(784, 400), nn.Linear(400, 40)
            self.d, self.o = nn.Linear(20, 400), nn.Linear(400, 784)

        def forward(self, x: Any) -> Any:
            mean, log_variance = self.m(f.relu(self.e(x))).split(20, 1)
            z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
            return self.o(f.relu(self.d(z))), mean, log_variance

    def lenet(channels: int, first: int, flat: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(channels, first, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(flat, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, 10),
        )

    def make() -> Any:
        if NAME in {"W6", "W12"}:
            return lenet(3, 8, 400) if NAME == "W6" else lenet(1, 6, 256)
        if NAME == "W7":
            layers: list[Any] = []
            for a, b, pool in (
                (3, 32, False),
                (32, 32, True),
                (32, 64, False),
                (64, 64, True),
            ):
                layers += [
                    nn.Conv2d(a, b, 3, padding=1, bias=False),
                    nn.BatchNorm2d(b),
                    nn.ReLU(),
                ]
                layers += [nn.MaxPool2d(2)] if pool else []
            return nn.Sequential(
                *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
            )
        if NAME == "W8":
            return Vae()
        sizes, layers = SIZES[NAME], []
        for i in range(len(sizes) - 1):
            layers.append(nn.Linear(sizes[i], sizes[i + 1]))
            if i < len(sizes) - 2:
                layers.append(nn.Tanh() if NAME == "W13" else nn.ReLU())
                layers += [nn.Dropout(0.2)] if NAME == "W3" else []
        return nn.Sequential(*layers)

    def loss(out: Any, y: Any) -> Any:
        if NAME == "W5":
            return f.binary_cross_entropy_with_logits(out, y)
        if NAME in {"W9", "W13"}:
            return f.mse_loss(out, y)
        if NAME == "W8":
            logits, mean, lv = out
            kl = -0.5 * torch.sum(1 + lv - mean * mean - lv.exp())
            return (
                f.binary_cross_entropy_with_logits(logits, y, reduction="sum") + kl
            ) / (784 * B)
        return f.cross_entropy(out, y)

    x = torch.from_numpy(X)
    if X.ndim == 4:
        x = x.permute(0, 3, 1, 2)
        x = x.contiguous(memory_format=torch.channels_last)
    y = torch.from_numpy(Y) if Y is not X else x

    def optimizer(parameters: Any, fused: bool) -> Any:
        options = {"fused": True} if fused else {"foreach": True}
        if KIND == "SGD":
            return torch.optim.SGD(
                parameters,
                lr=RATE,
                momentum=W.optimizer.config()["momentum"],
                **options,
            )
        if KIND == "Adam":
            return torch.optim.Adam(parameters, lr=RATE, **options)
        return torch.optim.RMSprop(parameters, lr=RATE, alpha=0.99)

    best: dict[str, Any] = {}
    for fused in (False,) if compiled or KIND == "RMSProp" else (False, True):
        start = time.perf_counter()
        model = make()
        if X.ndim == 4:
            model = model.to(memory_format=torch.channels_last)
        opt = optimizer(model.parameters(), fused)
        step = _whole_step(torch, model, loss) if compiled else None
        place = [0]

        def epoch(
            model: Any = model,
            opt: Any = opt,
            step: Any = step,
            place: list[int] = place,
        ) -> None:
            for _ in range(epoch.steps):
                i = place[0] % N * B
                place[0] += 1
                if step is not None:
                    value = step(x[i : i + B], y[i : i + B])
                else:
                    opt.zero_grad(set_to_none=True)
                    value = loss(model(x[i : i + B]), y[i : i + B])
                    value.backward()
                    opt.step()
            epoch.value = float(value.detach())

        epoch.steps = limited(N)
        prepared = time.perf_counter() - start
        first, speed = timed(epoch)
        if speed > best.get("samples_per_second", 0):
            best = {
                "samples_per_second": speed,
                "first_epoch_seconds": prepared + first,
                "loss_last": epoch.value,
            }
    return best


def _whole_step(torch: Any, model: Any, loss: Any) -> Any:
    """Forward, backward and update as one compiled graph on explicit state."""
    from torch.func import functional_call, grad_and_value

    parameters = {k: v.detach() for k, v in model.named_parameters()}
    buffers = dict(model.named_buffers())
    first = {k: torch.zeros_like(v) for k, v in parameters.items()}
    second = {k: torch.zeros_like(v) for k, v in parameters.items()}
    count = torch.zeros(())
    momentum = W.optimizer.config().get("momentum", 0.0)

    def step(x: Any, y: Any) -> Any:
        g, value = grad_and_value(
            lambda p: loss(functional_call(model, (p, buffers), (x,)), y)
        )(parameters)
        with torch.no_grad():
            count.add_(1)
            for k, p in parameters.items():
                if KIND == "SGD":
                    p.sub_(
                        RATE
                        * (first[k].mul_(momentum).add_(g[k]) if momentum else g[k])
                    )
                elif KIND == "RMSProp":
                    p.sub_(
                        RATE
                        * g[k]
                        / (second[k].mul_(0.99).add_(0.01 * g[k] * g[k]).sqrt() + 1e-8)
                    )
                else:
                    first[k].mul_(0.9).add_(0.1 * g[k])
                    second[k].mul_(0.999).add_(0.001 * g[k] * g[k])
                    size = RATE / (1 - 0.9**count)
                    p.sub_(
                        size
                        * first[k]
                        / ((second[k] / (1 - 0.999**count)).sqrt() + 1e-8)
                    )
        return value

    return torch.compile(step, dynamic=False)


def with_jax(scan: bool) -> dict[str, Any]:
    import jax
    import jax.numpy as jnp
    from jax import lax

    start = time.perf_counter()
    generator = np.random.default_rng(1)

    def dense(a: int, b: int) -> list[Any]:
        bound = 1 / np.sqrt(a)
        return [
            jnp.asarray(generator.uniform(-bound, bound, (a, b)).astype(np.float32)),
            jnp.zeros(b),
        ]

    def kernel(k: int, a: int, b: int) -> Any:
        bound = 1 / np.sqrt(k * k * a)
        return jnp.asarray(
            generator.uniform(-bound, bound, (k, k, a, b)).astype(np.float32)
        )

    def convolve(x: Any, w: Any, pad: str) -> Any:
        return lax.conv_general_dilated(
            x, w, (1, 1), pad, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def pool(x: Any) -> Any:
        n, h, v, c = x.shape
        return x.reshape(n, h // 2, 2, v // 2, 2, c).max((2, 4))

    def cross_entropy(z: Any, y: Any) -> Any:
        return -(jax.nn.one_hot(y, 10) * jax.nn.log_softmax(z)).sum(1).mean()

    def binary(z: Any, y: Any) -> Any:
        return jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))

    if NAME in {"W6", "W12"}:
        c, first, flat = (3, 8, 400) if NAME == "W6" else (1, 6, 256)
        parameters: Any = [
            kernel(5, c, first),
            jnp.zeros(first),
            kernel(5, first, 16),
            jnp.zeros(16),
            dense(flat, 120),
            dense(120, 84),
            dense(84, 10),
        ]
    elif NAME == "W7":
        pairs = ((3, 32), (32, 32), (32, 64), (64, 64))
        parameters = [
            [kernel(3, a, b), jnp.ones(b), jnp.zeros(b)] for a, b in pairs
        ] + [dense(64, 10)]
    elif NAME == "W8":
        parameters = [dense(784, 400), dense(400, 40), dense(20, 400), dense(400, 784)]
    else:
        parameters = [
            dense(a, b) for a, b in zip(SIZES[NAME], SIZES[NAME][1:], strict=False)
        ]

    def loss(p: Any, x: Any, y: Any, key: Any) -> Any:
        if NAME in {"W6", "W12"}:
            h = pool(jax.nn.relu(convolve(x, p[0], "VALID") + p[1]))
            h = pool(jax.nn.relu(convolve(h, p[2], "VALID") + p[3])).reshape(B, -1)
            h = jax.nn.relu(h @ p[4][0] + p[4][1])
            return cross_entropy(
                jax.nn.relu(h @ p[5][0] + p[5][1]) @ p[6][0] + p[6][1], y
            )
        if NAME == "W7":
            h = x
            for i in range(4):
                h = convolve(h, p[i][0], "SAME")
                mean = h.mean((0, 1, 2))
                h = (h - mean) * (
                    lax.rsqrt(((h - mean) ** 2).mean((0, 1, 2)) + 1e-5) * p[i][1]
                ) + p[i][2]
                h = pool(jax.nn.relu(h)) if i in {1, 3} else jax.nn.relu(h)
            return cross_entropy(h.mean((1, 2)) @ p[4][0] + p[4][1], y)
        if NAME == "W8":
            m = jax.nn.relu(x @ p[0][0] + p[0][1]) @ p[1][0] + p[1][1]
            mean, lv = m[:, :20], m[:, 20:]
            z = mean + jax.random.normal(key, mean.shape) * jnp.exp(0.5 * lv)
            out = jax.nn.relu(z @ p[2][0] + p[2][1]) @ p[3][0] + p[3][1]
            return (
                binary(out, y).sum() - 0.5 * (1 + lv - mean * mean - jnp.exp(lv)).sum()
            ) / (784 * B)
        h = x
        for i, (w, b) in enumerate(p):
            h = h @ w + b
            if i < len(p) - 1:
                h = jnp.tanh(h) if NAME == "W13" else jax.nn.relu(h)
                if NAME == "W3":
                    h = jnp.where(
                        jax.random.bernoulli(jax.random.fold_in(key, i), 0.8, h.shape),
                        h / 0.8,
                        0.0,
                    )
        if NAME == "W5":
            return binary(h, y).mean()
        return ((h - y) ** 2).mean() if NAME in {"W9", "W13"} else cross_entropy(h, y)

    tree = jax.tree_util.tree_map
    zeros = tree(jnp.zeros_like, parameters)
    momentum = W.optimizer.config().get("momentum", 0.0)

    def update(p: Any, g: Any, first: Any, s: Any, t: Any) -> Any:
        m = first
        if KIND == "SGD":
            m = tree(lambda a, b: momentum * a + b, m, g) if momentum else g
            return tree(lambda a, b: a - RATE * b, p, m), (m if momentum else first), s
        if KIND == "RMSProp":
            s = tree(lambda a, b: 0.99 * a + 0.01 * b * b, s, g)
            return (
                tree(lambda a, b, c: a - RATE * b / (jnp.sqrt(c) + 1e-8), p, g, s),
                m,
                s,
            )
        m = tree(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        s = tree(lambda a, b: 0.999 * a + 0.001 * b * b, s, g)
        size, root = RATE / (1 - 0.9**t), 1 / jnp.sqrt(1 - 0.999**t)
        return (
            tree(lambda a, b, c: a - size * b / (jnp.sqrt(c) * root + 1e-8), p, m, s),
            m,
            s,
        )

    def step(carry: Any, batch: Any) -> Any:
        p, m, s, t, key = carry
        key, now = jax.random.split(key) if NAME in {"W3", "W8"} else (key, key)
        value, g = jax.value_and_grad(loss)(p, *batch, now)
        p, m, s = update(p, g, m, s, t + 1)
        return (p, m, s, t + 1, key), value

    steps = limited(N)
    xs = jnp.asarray(X[: steps * B]).reshape(steps, B, *X.shape[1:])
    labels = Y.astype(np.int32) if Y.dtype == np.int64 else Y
    ys = (
        xs
        if Y is X
        else jnp.asarray(labels[: steps * B]).reshape(steps, B, *Y.shape[1:])
    )
    state = [
        (
            parameters,
            zeros,
            tree(jnp.zeros_like, parameters),
            jnp.zeros(()),
            jax.random.key(0),
        )
    ]
    if scan:
        run = jax.jit(
            lambda carry, x, y: lax.scan(step, carry, (x, y)), donate_argnums=0
        )
    else:
        run = jax.jit(step, donate_argnums=0)

    def epoch() -> None:
        if scan:
            state[0], values = run(state[0], xs, ys)
            epoch.value = float(values[-1])
            return
        for i in range(steps):
            state[0], value = run(state[0], (xs[i], ys[i]))
        epoch.value = float(value)

    epoch.steps = steps
    prepared = time.perf_counter() - start
    first, speed = timed(epoch)
    return {
        "samples_per_second": speed,
        "first_epoch_seconds": prepared + first,
        "loss_last": epoch.value,
    }


def with_sklearn() -> dict[str, Any]:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if NAME not in SIZES or NAME == "W13":
        return {}
    solver = "adam" if KIND in {"Adam", "RMSProp"} else "sgd"
    kind = MLPRegressor if NAME == "W9" else MLPClassifier
    model = kind(
        SIZES[NAME][1:-1],
        solver=solver,
        learning_rate_init=RATE,
        batch_size=B,
        alpha=0.0,
    )
    n = limited(N) * B
    targets = Y[:n].ravel() if NAME == "W5" else Y[:n]

    def epoch() -> None:
        if NAME == "W9":
            model.partial_fit(X[:n], targets)
        else:
            model.partial_fit(X[:n], targets, classes=np.unique(Y))
        epoch.value = model.loss_

    epoch.steps = n // B
    first, speed = timed(epoch)
    return {
        "samples_per_second": speed,
        "first_epoch_seconds": first,
        "loss_last": epoch.value,
    }


RUN = {
    "torch": lambda: with_torch(False),
    "torch-compiled": lambda: with_torch(True),
    "jax": lambda: with_jax(True),
    "jax-step": lambda: with_jax(False),
    "sklearn": with_sklearn,
}
if __name__ == "__main__":
    BEFORE = peak_rss_mb()  # of the definitions above: NumPy, the data, and our package, of which peers need no more
    FIGURES = RUN[PEER]()
    print(
        json.dumps(
            {
                "peer": PEER,
                "workload": NAME,
                "threads": THREADS,
                **FIGURES,
                "peak_rss_mb": peak_rss_mb(),
                "rss_before_mb": BEFORE,
            }
        )
    )
