"""Transformer operators: attention, rotary position embeddings, SwiGLU."""

from __future__ import annotations

import math

import numpy as np

from deltarule import dtypes
from deltarule.graph import algebra, build
from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.interop.onnx.call import (
    Call,
    Results,
    Translator,
    element_type,
    tensor_node,
)

# modes of the fourth output of Attention
_RAW, _CAPPED, _MASKED, _PROBABILITIES = range(4)


def _heads(x: Node, n_heads: int | None) -> Node:
    """Return (batch, heads, positions, features) for (batch, positions, heads·features)."""
    if x.rank == 4 or n_heads is None:
        return x
    batch, positions, features = x.shape
    return build.permute(
        build.reshape(x, (batch, positions, n_heads, features // n_heads)), (0, 2, 1, 3)
    )


def _repeated(x: Node, times: int) -> Node:
    """Repeat every head: h0, h0, h1, h1, …."""
    if times == 1:
        return x
    batch, heads, positions, features = x.shape
    spread = build.broadcast_to(
        build.expand_dims(x, (2,)), (batch, heads, times, positions, features)
    )
    return build.reshape(spread, (batch, heads * times, positions, features))


def _allowed(call: Call, n: int, m: int, before: Node | int) -> list[Node]:
    """Return the causal and the sliding-window masks, true where a query attends to a key."""
    left, right = (
        call.attribute("left_window_size", -1),
        call.attribute("right_window_size", -1),
    )
    if not call.attribute("is_causal", 0) and left < 0 and right < 0:
        return []
    query, key = (
        tensor_node(array)
        for array in (np.arange(n).reshape(-1, 1), np.arange(m).reshape(1, -1))
    )
    here = build.add(query, before)
    masks = []
    if call.attribute("is_causal", 0):
        masks.append(build.logical_not(build.less(here, key)))
    if left >= 0:
        masks.append(build.logical_not(build.less(left, build.subtract(here, key))))
    if right >= 0:
        masks.append(build.logical_not(build.less(right, build.subtract(key, here))))
    return masks


def _bias(call: Call, query: Node, n: int, m: int, before: Node | int) -> Node | None:
    """Return the bias of the scores, −∞ at masked keys; None without one."""
    mask, lengths = call.optional(3), call.optional(6)
    allowed = _allowed(call, n, m, before)
    if lengths is not None:
        valid = build.less(
            tensor_node(np.arange(m)), build.expand_dims(lengths, (1, 2, 3))
        )
        allowed.append(valid)
    added: Node | None = None
    if mask is not None:
        short = m - int(mask.shape[-1])
        if short > 0:
            tail = (*mask.shape[:-1], short)
            filler = build.full(
                tail, False if mask.dtype is dtypes.BOOL else -math.inf, mask.dtype
            )
            mask = build.concatenate([mask, filler], mask.rank - 1)
        if mask.dtype is dtypes.BOOL:
            allowed.append(mask)
        else:
            added = build.cast(mask, query.dtype)
    for one in allowed:
        minus = build.where(one, build.constant(0.0, query.dtype), -math.inf)
        added = minus if added is None else build.add(added, minus)
    return added


def _softmax(scores: Node, bias: Node | None) -> Node:
    """Return the softmax over the keys; a query with no unmasked key has weights 0."""
    if bias is None:
        return f.softmax(scores, axis=scores.rank - 1)
    hidden = build.less(
        build.broadcast_to(bias, scores.shape), float(np.finfo(bias.dtype.name).min)
    )
    nowhere = build.logical_not(
        build.less(
            0,
            build.sum_over(
                build.cast(build.logical_not(hidden), dtypes.INT64),
                scores.rank - 1,
                keepdims=True,
            ),
        )
    )
    safe = build.where(
        nowhere,
        0.0,
        build.where(hidden, float(np.finfo(scores.dtype.name).min), scores),
    )
    return build.where(
        build.logical_or(nowhere, hidden), 0.0, f.softmax(safe, axis=scores.rank - 1)
    )


def _attention(call: Call) -> Results:
    """Attention softmax(QKᵀ·scale + bias)·V with grouped heads, key–value cache, soft cap and sliding window."""
    query = _heads(call[0], call.attribute("q_num_heads"))
    key, value = (_heads(call[i], call.attribute("kv_num_heads")) for i in (1, 2))
    past_key, past_value = call.optional(4), call.optional(5)
    before: Node | int = 0
    if past_key is not None and past_value is not None:
        key, value = (
            build.concatenate([past_key, key], 2),
            build.concatenate([past_value, value], 2),
        )
        before = int(past_key.shape[2])
    n, m = int(query.shape[2]), int(key.shape[2])
    lengths = call.optional(6)
    if past_key is None and lengths is not None:
        before = build.expand_dims(build.subtract(lengths, n), (1, 2, 3))
    present = (key, value)
    groups = int(query.shape[1]) // int(key.shape[1])
    key, value = _repeated(key, groups), _repeated(value, groups)
    root = math.sqrt(call.attribute("scale") or 1 / math.sqrt(int(query.shape[3])))
    turned = build.permute(key, (0, 1, 3, 2))
    scores = build.matmul(build.multiply(query, root), build.multiply(turned, root))
    shown: dict[int, Node] = {_RAW: scores}
    cap = call.attribute("softcap", 0.0)
    if cap:
        scores = build.multiply(build.tanh(build.divide(scores, cap)), cap)
    shown[_CAPPED] = scores
    bias = _bias(call, query, n, m, before)
    biased = scores if bias is None else build.add(scores, bias)
    shown[_MASKED] = biased
    precision = call.attribute("softmax_precision")
    wide = biased if precision is None else build.cast(biased, element_type(precision))
    weights = build.cast(_softmax(wide, bias), query.dtype)
    shown[_PROBABILITIES] = weights
    output = build.matmul(weights, value)
    if call[0].rank == 3:
        moved = build.permute(output, (0, 2, 1, 3))
        output = build.reshape(
            moved, (*moved.shape[:2], int(moved.shape[2]) * int(moved.shape[3]))
        )
    return output, *present, shown[call.attribute("qk_matmul_output_mode", _RAW)]


def _rotary(call: Call) -> Node:
    """Rotary position embedding: rotate pairs of features by the angles of their position (Su et al. 2021)."""
    x = call[0]
    spread = (
        build.permute(x, (0, 2, 1, 3))
        if x.rank == 4
        else build.reshape(
            x,
            (
                *x.shape[:2],
                call.attribute("num_heads"),
                int(x.shape[2]) // call.attribute("num_heads"),
            ),
        )
    )
    width = call.attribute("rotary_embedding_dim", 0) or int(spread.shape[3])
    turned, kept = (
        algebra.part(spread, 3, 0, width),
        algebra.part(spread, 3, width, int(spread.shape[3])),
    )
    positions = call.optional(3)
    cosine, sine = (
        build.expand_dims(
            call[i] if positions is None else build.gather(call[i], positions, 0), (2,)
        )
        for i in (1, 2)
    )
    if call.attribute("interleaved", 0):
        pairs = build.reshape(turned, (*turned.shape[:3], width // 2, 2))
        first, second = (
            build.reshape(
                algebra.part(pairs, 4, i, i + 1), (*turned.shape[:3], width // 2)
            )
            for i in (0, 1)
        )
    else:
        first, second = (
            algebra.part(turned, 3, 0, width // 2),
            algebra.part(turned, 3, width // 2, width),
        )
    real = build.subtract(build.multiply(cosine, first), build.multiply(sine, second))
    imaginary = build.add(build.multiply(sine, first), build.multiply(cosine, second))
    if call.attribute("interleaved", 0):
        joined = build.reshape(algebra.stack([real, imaginary], 4), turned.shape)
    else:
        joined = build.concatenate([real, imaginary], 3)
    whole = build.concatenate([joined, kept], 3) if int(kept.shape[3]) else joined
    return (
        build.permute(whole, (0, 2, 1, 3))
        if x.rank == 4
        else build.reshape(whole, x.shape)
    )


def _swiglu(call: Call) -> Node:
    """SwiGLU a·σ(αa)·b (Shazeer 2020)."""
    a = call[0]
    return build.multiply(
        build.multiply(a, f.sigmoid(build.multiply(a, call.attribute("alpha", 1.0)))),
        call[1],
    )


OPERATORS: dict[str, Translator] = {
    "Attention": _attention,
    "RotaryEmbedding": _rotary,
    "SwiGLU": _swiglu,
}
