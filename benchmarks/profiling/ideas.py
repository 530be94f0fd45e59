"""What was tried to make the attention of AA-ResNet-50 cheaper, each beside what the layer does.

    python -m benchmarks.profiling.ideas [--maps 14x14 28x28] [--batches 1 8] [--rounds 15]
        [--only IDEA ...] [--out ideas.csv]

From queries, keys and values (B, H, W, N d) to the heads' outputs, as in `benchmarks/attention.py`:
8 heads, keys of 20 channels. Every idea is a TensorFlow graph on one core, gives what the layer
gives (`difference`, the greatest, relative to the greatest value), and is run by turns with it, in
one process. What counts is the processor's time, which other programs beside disturb least: the
median, and the median of the ratios of each round. Above 1 an idea is slower.

    here         what `SelfAttention2D` does: [q, s_w, s_h] . [k, column, row], softmax, product
    broadcast    s_w and s_h are added to the map by broadcasting
    rows_added   [q, s_w] . [k, column], and s_h is added by broadcasting
    untransposed keys stay (A, M, d), and the product transposes
    by_head      two products of matrices for each head, side by side, instead of batched ones
    blocks_N     by_head, and a head's queries in N parts, without a loop: 14 are two rows of 28
    no_maximum   exp without the maximum, and the sum by a column of ones in the values: overflows
                 where a logit is above 88, so it is no candidate by itself; what a bound would save
    bfloat16     both products of bfloat16 numbers, the softmax in float32: faster where a processor
                 has them, and not as exact
    folded       the output's projection inside the values: (H W, dv) of each head, summed
    convolved    keys, queries and values by a 1x1 convolution, where the layer has a product
    chunks_N     N KiB of logits at a time, where the layer takes 20 MiB
    whole        the full map at once
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.measuring import median_ratio, save
from keras_attn.layers import SelfAttention2D
from keras_attn.layers.self_attention.relative_positions import (
    key_places,
    queries_and_positions,
    relative_logits,
)
from keras_attn.layers.self_attention.self_attention_2d import split_heads

HEADS, KEY_DIM = 8, 20
# Map -> a head's values, and the channels that the projection takes, of AA-ResNet-50.
VALUE_DIMS = {"7x7": 6, "14x14": 3, "28x28": 1}
CHANNELS = {"7x7": 512, "14x14": 256, "28x28": 128}
PASSES = ("forward", "step")
Attend = Callable[..., tf.Tensor]  # of a layer and its queries, keys and values, or its input


def here(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """The layer's own."""
    return layer._attend(q, k, v)


def _tables(layer: SelfAttention2D) -> tuple[tf.Tensor, tf.Tensor]:
    return layer.relative_width.value, layer.relative_height.value


def _of_heads(x: tf.Tensor) -> tf.Tensor:
    """(B, H, W, N d) -> (B N, H W, d)."""
    _, height, width, depth = x.shape
    x = tf.reshape(x, (-1, height * width, HEADS, depth // HEADS))
    return tf.reshape(tf.transpose(x, (0, 2, 1, 3)), (-1, height * width, depth // HEADS))


def _folded_queries(layer: SelfAttention2D, q: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    _, height, width, _ = q.shape
    positions = key_places(height, width, "float32")
    q = tf.reshape(q, (-1, height, width, HEADS, KEY_DIM))
    return queries_and_positions(q, *_tables(layer)), positions


def _keys_with_places(k: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    keys = _of_heads(k)  # (A, M, d)
    places = tf.broadcast_to(positions, (tf.shape(keys)[0], *positions.shape))
    return tf.concat([keys, places], -1)  # (A, M, d + p)


def _shaped(outputs: tf.Tensor) -> tf.Tensor:
    return tf.reshape(outputs, (-1, HEADS, *outputs.shape[-2:]))


def broadcast(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """Two additions over the map."""
    _, height, width, _ = q.shape
    q, k = split_heads(q, HEADS), split_heads(k, HEADS)
    s_w, s_h = relative_logits(q, *_tables(layer))
    q, k = (tf.reshape(x, (-1, height * width, KEY_DIM)) for x in (q, k))
    logits = tf.reshape(
        tf.matmul(q, k, transpose_b=True), (-1, HEADS, height, width, height, width)
    )
    logits = logits + s_w[..., None, :] + s_h[..., :, None]
    weights = tf.nn.softmax(tf.reshape(logits, (-1, height * width, height * width)))
    return _shaped(tf.matmul(weights, _of_heads(v)))


def rows_added(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """One of them inside the product."""
    _, height, width, _ = q.shape
    q, positions = _folded_queries(layer, q)
    s_h = q[..., KEY_DIM + width :]  # (A, M, H)
    keys = _keys_with_places(k, positions[:, :width])
    logits = tf.matmul(q[..., : KEY_DIM + width], keys, transpose_b=True)
    logits = tf.reshape(logits, (-1, height * width, height, width)) + s_h[..., None]
    weights = tf.nn.softmax(tf.reshape(logits, (-1, height * width, height * width)))
    return _shaped(tf.matmul(weights, _of_heads(v)))


def untransposed(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """Keys as they come."""
    q, positions = _folded_queries(layer, q)
    logits = tf.matmul(q, _keys_with_places(k, positions), transpose_b=True)
    return _shaped(tf.matmul(tf.nn.softmax(logits), _of_heads(v)))


def by_head(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """As many products as there are heads in the batch."""
    q, positions = _folded_queries(layer, q)
    keys, v = tf.transpose(_keys_with_places(k, positions), (0, 2, 1)), _of_heads(v)
    outputs = [
        tf.matmul(tf.nn.softmax(tf.matmul(*pair)), values)
        for *pair, values in zip(tf.unstack(q), tf.unstack(keys), tf.unstack(v), strict=True)
    ]
    return _shaped(tf.stack(outputs))


def blocks(number: int) -> Attend:
    """As `by_head`, and each head's queries in so many parts, so that a part's map stays near."""

    def attend(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        q, positions = _folded_queries(layer, q)
        keys, v = tf.transpose(_keys_with_places(k, positions), (0, 2, 1)), _of_heads(v)
        outputs = [
            tf.concat(
                [
                    tf.matmul(tf.nn.softmax(tf.matmul(part, key)), values)
                    for part in tf.split(queries, number)
                ],
                0,
            )
            for queries, key, values in zip(
                tf.unstack(q), tf.unstack(keys), tf.unstack(v), strict=True
            )
        ]
        return _shaped(tf.stack(outputs))

    return attend


def no_maximum(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """A softmax of one pass."""
    q, positions = _folded_queries(layer, q)
    weights = tf.exp(tf.matmul(q, _keys_with_places(k, positions), transpose_b=True))
    v = _of_heads(v)
    outputs = tf.matmul(weights, tf.concat([v, tf.ones_like(v[..., :1])], -1))
    return _shaped(outputs[..., :-1] / outputs[..., -1:])


def bfloat16(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """Half the memory traffic of the operands."""
    q, positions = _folded_queries(layer, q)
    q, keys, v = (
        tf.cast(x, "bfloat16") for x in (q, _keys_with_places(k, positions), _of_heads(v))
    )
    logits = tf.cast(tf.matmul(q, keys, transpose_b=True), "float32")
    weights = tf.cast(tf.nn.softmax(logits), "bfloat16")
    return _shaped(tf.cast(tf.matmul(weights, v), "float32"))


def chunks(kib: int) -> Attend:
    """Other sizes of what is there at a time."""

    def attend(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        layer.implementation, layer.max_logits_bytes = "chunked", kib * 1024
        try:
            return layer._attend(q, k, v)
        finally:
            layer.implementation, layer.max_logits_bytes = "auto", None

    return attend


def whole(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """The full map."""
    layer.implementation = "full"
    try:
        return layer._attend(q, k, v)
    finally:
        layer.implementation = "auto"


IDEAS: dict[str, Attend] = {
    "here": here,
    "broadcast": broadcast,
    "rows_added": rows_added,
    "untransposed": untransposed,
    "by_head": by_head,
    **{f"blocks_{number}": blocks(number) for number in (2, 4, 14)},
    "no_maximum": no_maximum,
    "bfloat16": bfloat16,
    "whole": whole,
    **{f"chunks_{kib}": chunks(kib) for kib in (320, 1280, 2560, 5120, 10240)},
}


def folded(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """With the output's projection, which `projected` adds to what the layer does."""
    q, positions = _folded_queries(layer, q)
    weights = tf.nn.softmax(tf.matmul(q, _keys_with_places(k, positions), transpose_b=True))
    kernel = tf.reshape(layer.output_kernel.value, (HEADS, -1, layer.value_depth))
    v = tf.reshape(_of_heads(v), (-1, HEADS, v.shape[1] * v.shape[2], v.shape[-1] // HEADS))
    v = tf.reshape(tf.matmul(v, kernel), (-1, v.shape[2], layer.value_depth))
    return tf.reduce_sum(_shaped(tf.matmul(weights, v)), 1)  # (B, M, dv)


def projected(layer: SelfAttention2D, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """The layer's own with its projection: what `folded` is to be compared with."""
    outputs = tf.transpose(layer._attend(q, k, v), (0, 2, 1, 3))
    outputs = tf.reshape(outputs, (-1, outputs.shape[1], layer.value_depth))
    return tf.matmul(outputs, layer.output_kernel.value)


PROJECTED: dict[str, Attend] = {"projected": projected, "folded": folded}


def multiplied(layer: SelfAttention2D, x: tf.Tensor) -> tf.Tensor:
    """The layer's own projection to keys, queries and values."""
    return tf.matmul(x, layer.kqv_kernel.value)


def convolved(layer: SelfAttention2D, x: tf.Tensor) -> tf.Tensor:
    """The same numbers."""
    return tf.nn.conv2d(x, layer.kqv_kernel.value[None, None], 1, "VALID")


PROJECTIONS: dict[str, Attend] = {"multiplied": multiplied, "convolved": convolved}


def layer_of(size: str) -> SelfAttention2D:
    """The layer, with fixed weights."""
    side, depth = int(size.split("x")[0]), HEADS * VALUE_DIMS[size]
    layer = SelfAttention2D(num_heads=HEADS, key_depth=HEADS * KEY_DIM, value_depth=depth)
    layer.build((None, side, side, CHANNELS[size]))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(0, 0.1, w.shape) for w in layer.weights])
    return layer


def graphs(attend: Attend, size: str, inputs: list[tf.Tensor]) -> dict[str, Any]:
    """The forward pass and the training step."""
    layer = layer_of(size)
    weights = _tables(layer) if len(inputs) > 1 else (layer.kqv_kernel.value,)

    def step(*inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = attend(layer, *inputs)
        return tape.gradient(outputs, [*inputs, *weights], output_gradients=outputs)

    functions = {"forward": lambda *inputs: attend(layer, *inputs), "step": step}
    return {
        which: tf.function(functions[which], autograph=False).get_concrete_function(*inputs)
        for which in PASSES
    }


def cpu_by_turns(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of this process's processor time, by turns, after a turn to warm up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if turn:
                times[name].append(1e3 * (time.process_time() - start))
    return times


def compare(ideas: dict[str, Attend], size: str, batch: int, rounds: int) -> list[dict[str, Any]]:
    """The rows of one case; the first idea is what the others are compared with."""
    side, rng = int(size.split("x")[0]), np.random.default_rng(1)
    depths = [HEADS * dim for dim in (KEY_DIM, KEY_DIM, VALUE_DIMS[size])]
    if ideas is PROJECTIONS:
        depths = [CHANNELS[size]]
    inputs = [
        tf.constant(rng.normal(0, 0.5, (batch, side, side, depth)), tf.float32) for depth in depths
    ]
    made = {name: graphs(attend, size, inputs) for name, attend in ideas.items()}
    first, rows = next(iter(ideas)), []
    for which in PASSES:
        expected = [np.asarray(x) for x in tf.nest.flatten(made[first][which](*inputs))]
        times = cpu_by_turns(
            {name: lambda graph=made[name][which]: graph(*inputs) for name in ideas}, rounds
        )
        for name in ideas:
            got = [np.asarray(x) for x in tf.nest.flatten(made[name][which](*inputs))]
            off = max(
                float(np.abs(a - b).max() / np.abs(b).max())
                for a, b in zip(got, expected, strict=True)
            )
            rows.append(
                {
                    "map": size,
                    "batch": batch,
                    "pass": which,
                    "idea": name,
                    "against": first,
                    "cpu_ms": round(statistics.median(times[name]), 2),
                    "ratio": median_ratio(times[name], times[first]),
                    "difference": f"{off:.1e}",
                }
            )
            print(*rows[-1].values(), flush=True)
    return rows


def main() -> None:
    """Prints the table, and writes it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", nargs="+", choices=[*VALUE_DIMS], default=["14x14", "28x28"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--only", nargs="+", choices=[*IDEAS], default=[*IDEAS])
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--out", help="the CSV")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rows = []
    for size in arguments.maps:
        for batch in arguments.batches:
            few = {name: IDEAS[name] for name in dict.fromkeys(["here", *arguments.only])}
            if size != "28x28":  # the whole map is what the layer takes there
                few = {k: v for k, v in few.items() if not k.startswith(("chunks", "whole"))}
            for ideas in (few, PROJECTED, PROJECTIONS):
                rows += compare(ideas, size, batch, arguments.rounds)
    if arguments.out:
        save(arguments.out, rows, "keras", "tensorflow")


if __name__ == "__main__":
    main()
