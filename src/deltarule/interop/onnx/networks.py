"""Neural-network operators: convolution, pooling, normalization, losses, optimizer steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deltarule import dtypes, shapes
from deltarule.graph import algebra, build
from deltarule.graph import functions as f
from deltarule.graph.functions.pooling import pad_spatial
from deltarule.graph.node import Node
from deltarule.interop.onnx.call import Call, Results, Translator


def channels_last(x: Node) -> Node:
    """Transpose (N, C, *spatial) to (N, *spatial, C).

    >>> channels_last(build.full((2, 3, 4, 5), 0.0, dtypes.FLOAT32)).shape
    (2, 4, 5, 3)
    """
    return build.permute(x, (0, *range(2, x.rank), 1))


def channels_first(x: Node) -> Node:
    """Transpose (N, *spatial, C) to (N, C, *spatial).

    >>> channels_first(build.full((2, 4, 5, 3), 0.0, dtypes.FLOAT32)).shape
    (2, 3, 4, 5)
    """
    return build.permute(x, (0, x.rank - 1, *range(1, x.rank - 1)))


def _padding(
    call: Call,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[tuple[int, int]]:
    """Return the padding (before, after) of each spatial axis from pads or auto_pad."""
    mode, rank = call.text("auto_pad", "NOTSET"), len(sizes)
    if mode.startswith("SAME"):
        result = []
        for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
            total = max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
            small = total // 2
            result.append(
                (small, total - small)
                if mode == "SAME_UPPER"
                else (total - small, small)
            )
        return result
    pads = call.attribute("pads", [0] * 2 * rank)
    return (
        [(0, 0)] * rank
        if mode == "VALID"
        else [(pads[i], pads[rank + i]) for i in range(rank)]
    )


def _geometry(
    call: Call, x: Node, kernel: Sequence[int]
) -> tuple[list[int], list[tuple[int, int]], list[int]]:
    rank = len(kernel)
    stride = list(call.attribute("strides", [1] * rank))
    dilation = list(call.attribute("dilations", [1] * rank))
    return stride, _padding(call, x.shape[2:], kernel, stride, dilation), dilation


def _conv(call: Call) -> Node:
    x, weight = call[0], call[1]
    stride, padding, dilation = _geometry(call, x, weight.shape[2:])
    y = build.convolve(
        channels_last(x),
        channels_last(weight),
        stride,
        padding,
        dilation,
        call.attribute("group", 1),
    )
    bias = call.optional(2)
    return channels_first(y if bias is None else build.add(y, bias))


def _transposed_sizes(
    call: Call, full: list[int], stride: list[int]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the padding and the output sizes of a transposed convolution of size ``full`` without padding."""
    x, rank = call[0], len(full)
    extra = list(call.attribute("output_padding", [0] * rank))
    wanted = call.attribute("output_shape")
    mode = call.text("auto_pad", "NOTSET")
    if wanted is None and mode.startswith("SAME"):
        wanted = [s * st for s, st in zip(x.shape[2:], stride, strict=True)]
    if wanted is not None:
        padding = []
        for size, room, more in zip(wanted[-rank:], full, extra, strict=True):
            total = room + more - size
            small = total // 2
            padding.append(
                (small, total - small)
                if mode != "SAME_LOWER"
                else (total - small, small)
            )
        return padding, list(wanted[-rank:])
    pads = call.attribute("pads", [0] * 2 * rank)
    padding = [(pads[i], pads[rank + i]) for i in range(rank)]
    return padding, [
        room + more - low - high
        for room, more, (low, high) in zip(full, extra, padding, strict=True)
    ]


def _conv_transpose(call: Call) -> Node:
    x, weight = call[0], call[1]
    rank, groups = x.rank - 2, call.attribute("group", 1)
    kernel = weight.shape[2:]
    stride = list(call.attribute("strides", [1] * rank))
    dilation = list(call.attribute("dilations", [1] * rank))
    full = [
        (s - 1) * st + d * (k - 1) + 1
        for s, st, d, k in zip(x.shape[2:], stride, dilation, kernel, strict=True)
    ]
    padding, sizes = _transposed_sizes(call, full, stride)
    # the adjoint of a convolution whose input is the result: its padding may be negative at the end
    clean = [(max(0, low), max(0, high)) for low, high in padding]
    room = [
        (s - 1) * st + d * (k - 1) + 1 - low - high
        for s, st, d, k, (low, high) in zip(
            x.shape[2:], stride, dilation, kernel, clean, strict=True
        )
    ]
    image = tuple(max(a, b) for a, b in zip(sizes, room, strict=True))
    high = [
        (low, max(0, full_ - low - size))
        for (low, _), full_, size in zip(clean, full, image, strict=True)
    ]
    kernel_last = build.permute(weight, (0, *range(2, weight.rank), 1))
    n_out = weight.shape[1] * groups
    y = build.convolve_transposed(
        channels_last(x),
        kernel_last,
        stride,
        high,
        dilation,
        groups,
        (x.shape[0], *image, n_out),
    )
    y = (
        build.slice_axes(y, [0] * y.rank, [x.shape[0], *sizes, n_out])
        if tuple(sizes) != image
        else y
    )
    bias = call.optional(2)
    return channels_first(y if bias is None else build.add(y, bias))


def _pool_padding(
    call: Call, x: Node, kernel: Sequence[int]
) -> tuple[list[int], list[tuple[int, int]], list[int]]:
    """Return strides, padding and dilations as for a convolution; ceil_mode pads for the last window."""
    stride, padding, dilation = _geometry(call, x, kernel)
    if call.attribute("ceil_mode", 0):
        grown = []
        for size, k, s, d, (low, high) in zip(
            x.shape[2:], kernel, stride, dilation, padding, strict=True
        ):
            extent = d * (k - 1) + 1
            count = -(-(size + low + high - extent) // s) + 1
            # a window must begin inside the image or its padding
            if (count - 1) * s >= size + low:
                count -= 1
            grown.append((low, max(high, (count - 1) * s + extent - size - low)))
        padding = grown
    return stride, padding, dilation


def _windows(
    x: Node,
    padding: list[tuple[int, int]],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    filler: float,
) -> Node:
    padded = pad_spatial(channels_last(x), tuple(padding), filler)
    return build.windows(
        padded, tuple(range(1, 1 + len(kernel))), kernel, stride, dilation
    )


def _max_pool(call: Call) -> Results:
    x, kernel = call[0], call.attribute("kernel_shape")
    stride, padding, dilation = _pool_padding(call, x, kernel)
    rank = len(kernel)
    values = x if x.dtype.is_float else build.cast(x, dtypes.FLOAT64)
    patches = _windows(values, padding, kernel, stride, dilation, -math.inf)
    over = tuple(range(patches.rank - rank, patches.rank))
    best = build.cast(channels_first(build.maximum_over(patches, over)), x.dtype)
    if call.n_outputs == 1:
        return best
    order = (
        tuple(reversed(range(rank)))
        if call.attribute("storage_order", 0)
        else tuple(range(rank))
    )
    flat = build.reshape(patches, (*patches.shape[:-rank], shapes.count(kernel)))
    winner = build.argmax(flat, -1)
    position = build.full(winner.shape, 0, dtypes.INT64)
    spans: dict[int, Node] = {}
    rest = winner
    for i in reversed(range(rank)):
        whole = build.cast(
            build.floor(build.divide(build.cast(rest, dtypes.FLOAT64), kernel[i])),
            dtypes.INT64,
        )
        offset = build.subtract(rest, build.multiply(whole, kernel[i]))
        start = build.multiply(build.iota(winner.shape, 1 + i), stride[i])
        spans[i] = build.subtract(
            build.add(start, build.multiply(offset, dilation[i])), padding[i][0]
        )
        rest = whole
    for i in order:
        position = build.add(build.multiply(position, x.shape[2 + i]), spans[i])
    plane = shapes.count(x.shape[2:])
    channel = build.iota(winner.shape, winner.rank - 1)
    image = build.add(build.multiply(build.iota(winner.shape, 0), x.shape[1]), channel)
    return best, channels_first(build.add(build.multiply(image, plane), position))


def _average_pool(call: Call) -> Node:
    x, kernel = call[0], call.attribute("kernel_shape")
    stride, padding, dilation = _pool_padding(call, x, kernel)
    patches = _windows(x, padding, kernel, stride, dilation, 0.0)
    over = tuple(range(patches.rank - len(kernel), patches.rank))
    explicit = _geometry(call, x, kernel)[1]
    inside = build.full(x.shape, 1.0, x.dtype)
    if call.attribute("count_include_pad", 0):
        low = (0, 0, *(a for a, _ in explicit))
        high = (0, 0, *(b for _, b in explicit))
        padded = build.full(
            tuple(s + a + b for s, a, b in zip(x.shape, low, high, strict=True)),
            1.0,
            x.dtype,
        )
        rest = [
            (0, total - given)
            for (_, total), (_, given) in zip(padding, explicit, strict=True)
        ]
        counted = _windows(padded, rest, kernel, stride, dilation, 0.0)
    else:
        counted = _windows(inside, padding, kernel, stride, dilation, 0.0)
    return channels_first(
        build.divide(build.sum_over(patches, over), build.sum_over(counted, over))
    )


def _lp_pool(call: Call) -> Node:
    x, kernel, p = call[0], call.attribute("kernel_shape"), call.attribute("p", 2)
    stride, padding, dilation = _pool_padding(call, x, kernel)
    patches = _windows(
        build.power(build.absolute(x), float(p)), padding, kernel, stride, dilation, 0.0
    )
    over = tuple(range(patches.rank - len(kernel), patches.rank))
    return channels_first(build.power(build.sum_over(patches, over), 1.0 / p))


def _global_pool(call: Call) -> Node:
    x = call[0]
    over = tuple(range(2, x.rank))
    return (
        build.mean(x, over, keepdims=True)
        if "Average" in call.kind
        else build.maximum_over(x, over, keepdims=True)
    )


def _max_unpool(call: Call) -> Node:
    x, indices = call[0], call[1]
    kernel = call.attribute("kernel_shape")
    stride = call.attribute("strides", [1] * len(kernel))
    pads = call.attribute("pads", [0] * 2 * len(kernel))
    natural = [
        (s - 1) * st + k - pads[i] - pads[len(kernel) + i]
        for i, (s, st, k) in enumerate(zip(x.shape[2:], stride, kernel, strict=True))
    ]
    shape = (*x.shape[:2], *natural)
    target = tuple(call.numbers(2)) if call.optional(2) is not None else shape
    flat = build.scatter_add(
        build.reshape(indices, (-1,)), build.reshape(x, (-1,)), 0, shapes.count(shape)
    )
    small = build.reshape(flat, shape)
    if target == shape:
        return small
    return build.pad(
        small,
        [0] * x.rank,
        [wanted - size for wanted, size in zip(target, shape, strict=True)],
    )


def _by_channel(values: Node, rank: int) -> Node:
    return build.reshape(values, (1, values.shape[0], *([1] * (rank - 2))))


def _batch_norm(call: Call) -> Results:
    x, scale, bias, mean, variance = (call[i] for i in range(5))
    epsilon = call.attribute("epsilon", 1e-5)
    if not call.attribute("training_mode", 0):
        deviation = build.sqrt(build.add(_by_channel(variance, x.rank), epsilon))
        unit = build.divide(build.subtract(x, _by_channel(mean, x.rank)), deviation)
        return build.add(
            build.multiply(unit, _by_channel(scale, x.rank)), _by_channel(bias, x.rank)
        )
    axes, momentum = (0, *range(2, x.rank)), call.attribute("momentum", 0.9)
    unit = f.normalize(x, axes=axes, epsilon=epsilon)
    y = build.add(
        build.multiply(unit, _by_channel(scale, x.rank)), _by_channel(bias, x.rank)
    )
    new_mean = build.add(
        build.multiply(mean, momentum),
        build.multiply(build.mean(x, axes), 1 - momentum),
    )
    batch_variance = algebra.variance(x, axes)
    new_variance = build.add(
        build.multiply(variance, momentum), build.multiply(batch_variance, 1 - momentum)
    )
    return y, new_mean, new_variance


def _instance_norm(call: Call) -> Node:
    x = call[0]
    unit = f.normalize(
        x, axes=tuple(range(2, x.rank)), epsilon=call.attribute("epsilon", 1e-5)
    )
    return build.add(
        build.multiply(unit, _by_channel(call[1], x.rank)), _by_channel(call[2], x.rank)
    )


def _group_norm(call: Call) -> Node:
    """GroupNormalization: scale and bias are per channel from opset 21 on, and per group before."""
    x, groups = call[0], call.attribute("num_groups")
    split = build.reshape(x, (x.shape[0], groups, -1))
    unit = build.reshape(
        f.normalize(split, axes=(2,), epsilon=call.attribute("epsilon", 1e-5)), x.shape
    )
    scale, bias = (
        _of_channels(call[i], x.shape[1]) if call.version < 21 else call[i]
        for i in (1, 2)
    )
    return build.add(
        build.multiply(unit, _by_channel(scale, x.rank)), _by_channel(bias, x.rank)
    )


def _of_channels(values: Node, n_channels: int) -> Node:
    """Repeat one value per group for each channel of the group."""
    groups = values.shape[0]
    wide = build.broadcast_to(
        build.expand_dims(values, (1,)), (groups, n_channels // groups)
    )
    return build.reshape(wide, (n_channels,))


def _layer_norm(call: Call) -> Results:
    x = call[0]
    axes = tuple(range(call.axis(x.rank, -1), x.rank))
    epsilon = call.attribute("epsilon", 1e-5)
    y = build.multiply(f.normalize(x, axes=axes, epsilon=epsilon), call[1])
    bias = call.optional(2)
    y = y if bias is None else build.add(y, bias)
    if call.n_outputs == 1:
        return y
    inverse = build.divide(
        1, build.sqrt(build.add(algebra.variance(x, axes, keepdims=True), epsilon))
    )
    return y, build.mean(x, axes, keepdims=True), inverse


def _rms_norm(call: Call) -> Node:
    x = call[0]
    axes = tuple(range(call.axis(x.rank, -1), x.rank))
    square = build.mean(build.multiply(x, x), axes, keepdims=True)
    return build.multiply(
        build.divide(x, build.sqrt(build.add(square, call.attribute("epsilon", 1e-5)))),
        call[1],
    )


def _mean_variance(call: Call) -> Node:
    x = call[0]
    axes = tuple(call.counted(a, x.rank) for a in call.attribute("axes", [0, 2, 3]))
    return f.normalize(x, axes=axes, epsilon=1e-9)


def _lrn(call: Call) -> Node:
    x, size = call[0], call.attribute("size")
    low, high = (size - 1) // 2, size - 1 - (size - 1) // 2
    squares = build.pad(
        build.multiply(x, x),
        [low if i == 1 else 0 for i in range(x.rank)],
        [high if i == 1 else 0 for i in range(x.rank)],
    )
    total = build.sum_over(build.windows(squares, (1,), (size,), (1,), (1,)), -1)
    scale = build.add(
        build.multiply(total, call.attribute("alpha", 1e-4) / size),
        call.attribute("bias", 1.0),
    )
    return build.divide(x, build.power(scale, call.attribute("beta", 0.75)))


def _picked(call: Call, log_p: Node, labels: Node, weight: Node | None) -> Node:
    """Return −w[y] ln p[y], 0 at ``ignore_index``, with the operator's reduction."""
    classes = log_p.shape[1]
    ignored = call.attribute("ignore_index")
    hit = build.equal(
        build.iota(log_p.shape, 1),
        build.expand_dims(build.cast(labels, dtypes.INT64), (1,)),
    )
    values = build.negate(build.sum_over(build.where(hit, log_p, 0), 1))
    column = build.full((classes,), 1.0, log_p.dtype) if weight is None else weight
    shaped = build.reshape(column, (1, classes, *([1] * (log_p.rank - 2))))
    mass = build.sum_over(build.where(hit, shaped, 0), 1)
    if ignored is not None:
        mass = build.where(build.equal(labels, ignored), 0, mass)
        values = build.where(build.equal(labels, ignored), 0, values)
    weighted = build.multiply(values, mass)
    reduction = call.text("reduction", "mean")
    if reduction == "none":
        return weighted
    return (
        build.sum_over(weighted)
        if reduction == "sum"
        else build.divide(build.sum_over(weighted), build.sum_over(mass))
    )


def _cross_entropy(call: Call) -> Results:
    log_p = f.log_softmax(call[0], axis=1)
    return _picked(call, log_p, call[1], call.optional(2)), log_p


def _momentum(call: Call) -> Results:
    """Momentum: the training operator of ONNX for any number of parameters."""
    rate, t = call[0], call[1]
    count = (len(call.operands) - 2) // 3
    alpha, beta = call.attribute("alpha"), call.attribute("beta")
    first = build.equal(t, 0)
    parameters, velocities = [], []
    for i in range(count):
        x, g, v = (call[2 + i + k * count] for k in range(3))
        g = build.add(build.multiply(x, call.attribute("norm_coefficient")), g)
        v = build.add(
            build.multiply(v, alpha), build.multiply(g, build.where(first, 1.0, beta))
        )
        step = (
            v
            if call.text("mode", "standard") == "standard"
            else build.add(g, build.multiply(v, alpha))
        )
        parameters.append(build.subtract(x, build.multiply(rate, step)))
        velocities.append(v)
    return (*parameters, *velocities)


def _adagrad(call: Call) -> Results:
    rate, t = call[0], call[1]
    count = (len(call.operands) - 2) // 3
    decayed = build.divide(
        rate,
        build.add(
            build.multiply(
                build.cast(t, rate.dtype), call.attribute("decay_factor", 0.0)
            ),
            1,
        ),
    )
    parameters, sums = [], []
    for i in range(count):
        x, g, h = (call[2 + i + k * count] for k in range(3))
        g = build.add(build.multiply(x, call.attribute("norm_coefficient", 0.0)), g)
        h = build.add(h, build.multiply(g, g))
        root = build.add(build.sqrt(h), call.attribute("epsilon", 0.0))
        parameters.append(
            build.subtract(x, build.divide(build.multiply(decayed, g), root))
        )
        sums.append(h)
    return (*parameters, *sums)


def _adam(call: Call) -> Results:
    rate, t = call[0], call[1]
    count = (len(call.operands) - 2) // 4
    alpha, beta = call.attribute("alpha", 0.9), call.attribute("beta", 0.999)
    steps = build.cast(t, dtypes.FLOAT64)
    factor = build.divide(
        build.sqrt(
            build.subtract(1.0, build.exp(build.multiply(steps, math.log(beta))))
        ),
        build.subtract(1.0, build.exp(build.multiply(steps, math.log(alpha)))),
    )
    corrected = build.where(
        build.less(0, t), build.multiply(build.cast(rate, dtypes.FLOAT64), factor), rate
    )
    groups: list[list[Node]] = [[], [], []]
    for i in range(count):
        x, g, v, h = (call[2 + i + k * count] for k in range(4))
        g = build.add(build.multiply(x, call.attribute("norm_coefficient", 0.0)), g)
        v = build.add(build.multiply(v, alpha), build.multiply(g, 1 - alpha))
        h = build.add(
            build.multiply(h, beta), build.multiply(build.multiply(g, g), 1 - beta)
        )
        root = build.add(build.sqrt(h), call.attribute("epsilon", 0.0))
        new = build.subtract(
            x, build.divide(build.multiply(build.cast(corrected, x.dtype), v), root)
        )
        new = build.multiply(new, 1 - call.attribute("norm_coefficient_post", 0.0))
        for group, value in zip(groups, (new, v, h), strict=True):
            group.append(value)
    return tuple(value for group in groups for value in group)


OPERATORS: dict[str, Translator] = {
    "Adagrad": _adagrad,
    "Adam": _adam,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _lrn,
    "LayerNormalization": _layer_norm,
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
    "MaxUnpool": _max_unpool,
    "MeanVarianceNormalization": _mean_variance,
    "Momentum": _momentum,
    "NegativeLogLikelihoodLoss": lambda call: _picked(
        call, call[0], call[1], call.optional(2)
    ),
    "RMSNormalization": _rms_norm,
    "SoftmaxCrossEntropyLoss": _cross_entropy,
}
