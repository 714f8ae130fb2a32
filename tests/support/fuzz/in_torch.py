"""The oracle: a program in PyTorch, floats in float64, whole numbers in int64 that wrap as their type does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deltarule import dtypes
from deltarule.backends.reference import EVALUATE
from deltarule.dtypes import DType
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import expand_calls
from deltarule.graph.walk import topological
from support.fuzz.case import Array, Case
from support.oracles import torch

if TYPE_CHECKING:
    from torch import Tensor


def _tensor(array: Array) -> Tensor:
    array = np.asarray(array)
    wide = {"f": np.float64, "b": np.bool_}.get(array.dtype.kind, np.int64)
    return torch.from_numpy(np.array(array, wide))


def _wrapped(x: Tensor, kind: DType) -> Tensor:
    if kind is dtypes.INT64 or not kind.is_integer:
        return x
    low, high = kind.bounds
    return ((x - low) & (high - low)) + low


def _cast(node: Node, x: Tensor) -> Tensor:
    kind = node.dtype
    if kind is dtypes.BOOL:
        return x != 0
    if kind.is_float:
        return x.to(torch.float64)
    if not x.dtype.is_floating_point:
        return _wrapped(x.to(torch.int64), kind)
    return _tensor(np.asarray(EVALUATE[Op.CAST](node, x.detach().numpy())))


def _max(node: Node, x: Tensor) -> Tensor:
    """The first maximum of each part: torch shares gradients of ties out."""
    axes = node.attributes["axes"]
    kept = [i for i in range(x.dim()) if i not in axes]
    flat = x.permute(*kept, *axes).flatten(len(kept))
    first = torch.from_numpy(np.asarray(np.argmax(flat.detach().numpy(), -1)))
    return torch.gather(flat, -1, first.unsqueeze(-1)).squeeze(-1)


def _slice(node: Node, x: Tensor) -> Tensor:
    a = node.attributes
    return x[tuple(map(slice, a["starts"], a["stops"], a["steps"]))]


def _pad(node: Node, x: Tensor) -> Tensor:
    a = node.attributes
    result = x.new_zeros(node.shape)
    inside = tuple(
        slice(low, low + max(0, (size - 1) * (inner + 1) + 1), inner + 1)
        for low, inner, size in zip(a["low"], a["interior"], x.shape, strict=True)
    )
    result[inside] = x
    return result


def _gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    return x.index_select(node.attributes["axis"], indices.reshape(-1)).reshape(
        node.shape
    )


def _scatter_add(node: Node, indices: Tensor, updates: Tensor) -> Tensor:
    axis = node.attributes["axis"]
    rest = updates.shape[axis + indices.dim() :]
    flat = updates.reshape(*updates.shape[:axis], indices.numel(), *rest)
    return updates.new_zeros(node.shape).index_add(axis, indices.reshape(-1), flat)


def _convolved(x: Tensor, weight: Tensor, a: Any) -> Tensor:
    rank = weight.dim() - 2
    if (
        not x.numel() or not weight.numel()
    ):  # torch drops axes of results that are sums of nothing
        sizes = [
            (
                x.shape[i + 1]
                + sum(a["padding"][i])
                - a["dilation"][i] * (weight.shape[i + 1] - 1)
                - 1
            )
            // a["stride"][i]
            + 1
            for i in range(rank)
        ]
        return x.new_zeros((x.shape[0], *sizes, weight.shape[0])) + 0 * (
            x.sum() + weight.sum()
        )
    convolution = (
        torch.nn.functional.conv1d,
        torch.nn.functional.conv2d,
        torch.nn.functional.conv3d,
    )[rank - 1]
    widths = [width for pair in reversed(a["padding"]) for width in pair]
    front = (0, rank + 1, *range(1, rank + 1))
    padded = torch.nn.functional.pad(x.permute(front), widths).clone(
        memory_format=torch.contiguous_format
    )
    result = convolution(
        padded,
        weight.permute(front).clone(memory_format=torch.contiguous_format),
        stride=a["stride"],
        dilation=a["dilation"],
        groups=a["groups"],
    )
    return result.permute(0, *range(2, rank + 2), 1)


def _adjoint(
    function: Callable[[Tensor], Tensor], shape: Sequence[int], cotangent: Tensor
) -> Tensor:
    """The adjoint of a linear function, by autograd itself."""
    zero = torch.zeros(tuple(shape), dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(function(zero), zero, cotangent, create_graph=True)[0]


def _windows(a: Any, x: Tensor) -> Tensor:
    for axis, width, stride, dilation in zip(
        a["axes"], a["window"], a["stride"], a["dilation"], strict=True
    ):
        x = x.unfold(axis, (width - 1) * dilation + 1, stride)[..., ::dilation]
    return x


def _iota(node: Node) -> Tensor:
    return _tensor(np.array(EVALUATE[Op.IOTA](node)))


TORCH: dict[Op, Callable[..., Tensor]] = {
    Op.CONSTANT: lambda n: _tensor(EVALUATE[Op.CONSTANT](n)),
    Op.IOTA: _iota,
    Op.RANDOM: lambda n, seed, step: _tensor(
        EVALUATE[Op.RANDOM](n, seed.numpy(), step.numpy())
    ),
    Op.NEGATE: lambda n, x: -x,
    Op.ABS: lambda n, x: torch.abs(x),
    Op.SIGN: lambda n, x: torch.sign(x),
    Op.FLOOR: lambda n, x: torch.floor(x),
    Op.EXP: lambda n, x: torch.exp(x),
    Op.EXPM1: lambda n, x: (
        torch.expm1(x).detach() + (torch.exp(x) - torch.exp(x).detach())
    ),  # slope eˣ, not y + 1
    Op.LOG: lambda n, x: torch.log(x),
    Op.LOG1P: lambda n, x: torch.log1p(x),
    Op.SQRT: lambda n, x: torch.sqrt(x),
    Op.SIN: lambda n, x: torch.sin(x),
    Op.COS: lambda n, x: torch.cos(x),
    Op.TANH: lambda n, x: torch.tanh(x),
    Op.ERF: lambda n, x: torch.erf(x),
    Op.NOT: lambda n, x: ~x,
    Op.CAST: _cast,
    Op.STOP_GRADIENT: lambda n, x: x.detach(),
    Op.ADD: lambda n, x, y: x + y,
    Op.SUBTRACT: lambda n, x, y: x - y,
    Op.MULTIPLY: lambda n, x, y: x * y,
    Op.DIVIDE: lambda n, x, y: x / y,
    Op.FMOD: lambda n, x, y: torch.fmod(x, y),
    Op.POWER: lambda n, x, y: torch.pow(x, y),
    Op.MAXIMUM: lambda n, x, y: torch.where(x < y, y, x),
    Op.MINIMUM: lambda n, x, y: torch.where(y < x, y, x),
    Op.EQUAL: lambda n, x, y: x == y,
    Op.LESS: lambda n, x, y: x < y,
    Op.AND: lambda n, x, y: x & y,
    Op.OR: lambda n, x, y: x | y,
    Op.WHERE: lambda n, c, x, y: torch.where(c, x, y),
    Op.CHECK: lambda n, x, condition, shown: x,
    Op.SUM: lambda n, x: x.sum(n.attributes["axes"]) if n.attributes["axes"] else x,
    Op.MAX: _max,
    Op.ARGMAX: lambda n, x: _tensor(
        np.argmax(x.detach().numpy(), n.attributes["axis"])
    ),
    Op.CUMULATIVE_SUM: lambda n, x: x.cumsum(n.attributes["axis"]),
    Op.RESHAPE: lambda n, x: x.reshape(n.shape),
    Op.PERMUTE: lambda n, x: x.permute(n.attributes["order"]),
    Op.BROADCAST: lambda n, x: x.expand(n.shape),
    Op.SLICE: _slice,
    Op.PAD: _pad,
    Op.FLIP: lambda n, x: x.flip(n.attributes["axes"]),
    Op.CONCATENATE: lambda n, *parts: torch.cat(parts, n.attributes["axis"]),
    Op.GATHER: _gather,
    Op.SCATTER_ADD: _scatter_add,
    Op.ARGSORT: lambda n, x: _tensor(
        np.argsort(x.detach().numpy(), n.attributes["axis"], kind="stable")
    ),
    Op.MATMUL: lambda n, x, y: x @ y,
    Op.CONVOLVE: lambda n, x, w: _convolved(x, w, n.attributes),
    Op.CONVOLVE_TRANSPOSED: lambda n, y, w: _adjoint(
        lambda x: _convolved(x, w, n.attributes), n.shape, y
    ),
    Op.CONVOLVE_WEIGHT: lambda n, x, y: _adjoint(
        lambda w: _convolved(x, w, n.attributes), n.shape, y
    ),
    Op.WINDOWS: lambda n, x: _windows(n.attributes, x),
    Op.FOLD: lambda n, y: _adjoint(lambda x: _windows(n.attributes, x), n.shape, y),
    Op.SOLVE: lambda n, a, b: torch.linalg.solve(a, b),
    Op.LOG_DETERMINANT: lambda n, a: torch.linalg.slogdet(a)[1],
    Op.CHOLESKY: lambda n, a: torch.linalg.cholesky(a),
}


def in_torch(case: Case, noise: np.random.Generator | None = None) -> list[Array]:
    """Return results and derivatives as torch computes them.

    ``noise`` moves each value by up to a unit in the last place.
    """
    known = {node: _tensor(array) for node, array in case.values.items()}
    for node in case.wrt:
        known[node].requires_grad_(case.order > 0)
    expanded = expand_calls([node for node, _ in case.results])
    for node in topological(expanded):
        if node not in known:
            value = TORCH[node.op](node, *(known[source] for source in node.sources))
            if noise is not None and value.is_floating_point():
                units = 2 * noise.random(tuple(value.shape)) - 1
                value = value * (1 + 2.0**-52 * torch.from_numpy(np.asarray(units)))
            known[node] = _wrapped(value, node.dtype)
    outputs = [known[node] for node in expanded]
    if case.order and case.weighted and case.wrt:
        weights = [
            known[weight] if weight is not None else None for _, weight in case.results
        ]
        loss = torch.stack(
            [
                (x * w).sum()
                for x, w in zip(outputs, weights, strict=True)
                if w is not None
            ]
        ).sum()
        wrt = [known[node] for node in case.wrt]
        slopes = _slopes(loss, wrt, case.order > 1)
        outputs += slopes
        if case.order > 1:
            outputs += _slopes(
                torch.stack(
                    [(slope * torch.tanh(slope)).sum() for slope in slopes]
                ).sum(),
                wrt,
                False,
            )
    return [x.detach().numpy(force=True) for x in outputs]


def rounding_of_torch(case: Case, samples: int) -> list[Array]:
    """Return how far rounding moves each result of torch.

    Its derivatives are those of the expansion of a function, in which terms may cancel that the derivative of the
    function does not have: 1/d − |x|/d² instead of 1/d² for x/d with d = 1 + |x|.
    """
    plain = in_torch(case)
    most = [np.zeros(x.shape) for x in plain]
    for sample in range(samples):
        for place, x in enumerate(in_torch(case, np.random.default_rng(sample))):
            with np.errstate(all="ignore"):
                moved = np.abs(x.astype(np.float64) - plain[place].astype(np.float64))
            most[place] = np.fmax(most[place], moved)
    return most


def _slopes(loss: Tensor, wrt: list[Tensor], again: bool) -> list[Tensor]:
    if not loss.requires_grad:
        return [torch.zeros_like(x) for x in wrt]
    found = torch.autograd.grad(loss, wrt, create_graph=again, allow_unused=True)
    return [
        torch.zeros_like(x) if slope is None else slope
        for x, slope in zip(wrt, found, strict=True)
    ]
