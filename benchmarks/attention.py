"""SelfAttention2D against what else one would use: time and memory, forward and training step.

    python benchmarks/attention.py [--cases 7x7 14x14 28x28 ...] [--level core] [--rounds 9]
        [--short] [--out attention.csv]

Compared in one process, by turns, medians quoted: 8 heads with keys of 20 channels and values as in
AA-ResNet-50; TensorFlow graphs on the CPU. A training step is the forward pass and all gradients.
Two levels:

    core   from queries, keys and values to the heads' outputs: the attention itself
    layer  from an image of 64 channels to the output, with the projections

The forms, beside ours (`full`, `chunked`):

    appendix  the formula of the paper's appendix: relative logits by padding and reshaping, tiled
              to the whole N x N map
    mha       keras.layers.MultiHeadAttention over all places, which knows no positions (layer)
    sdpa      PyTorch's scaled_dot_product_attention with the positions' N x N bias, where PyTorch
              is installed (layer)

Memory is measured in a process of its own for each: how much the first call lets it grow, and the
greatest size of the whole process. A form whose maps alone are over `--most-gib` isn't run; what
they would take is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from measuring import medians_by_turns, peak_mib, save

from keras_attn.layers import SelfAttention2D
from keras_attn.layers.self_attention.self_attention_2d import split_heads

HEADS, KEY_DIM, CHANNELS = 8, 20, 64
PASSES = ("forward", "step")
FORMS = {
    "core": ("appendix", "full", "chunked"),
    "layer": ("appendix", "full", "chunked", "mha", "sdpa"),
}
# Maps of H W x H W that are there at a time in a training step of the appendix's form, as measured
# at 56x56.
APPENDIX_MAPS = 6
Run = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """A map's size, the batch, and the channels of a head's values."""

    height: int
    width: int
    batch: int
    value_dim: int

    @property
    def map_gib(self) -> float:
        """The size of all heads' maps in float32."""
        return 4 * self.batch * HEADS * (self.height * self.width) ** 2 / 2**30


CASES = {
    "7x7": Case(7, 7, 8, 6),
    "14x14": Case(14, 14, 8, 3),
    "14x21": Case(14, 21, 8, 3),
    "28x28": Case(28, 28, 8, 1),
    "28x42": Case(28, 42, 4, 1),
    "56x56": Case(56, 56, 2, 1),
    "112x112": Case(112, 112, 1, 1),
}
SHORT = ("7x7", "14x14", "28x28")


class AppendixAttention2D(SelfAttention2D):
    """The same layer with the appendix's relative logits: pad, reshape, tile, add."""

    def _attend(self, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        heads, places = self.num_heads, q.shape[1] * q.shape[2]
        q, k, v = (split_heads(x, heads) for x in (q, k, v))  # (B, N, H, W, d)

        def flat(x: tf.Tensor) -> tf.Tensor:
            return tf.reshape(x, (-1, heads, places, x.shape[-1]))

        along_width = _logits_1d(q, self.relative_width, (0, 1, 2, 4, 3, 5))
        turned = tf.transpose(q, (0, 1, 3, 2, 4))
        along_height = _logits_1d(turned, self.relative_height, (0, 1, 4, 2, 5, 3))
        logits = tf.matmul(flat(q), flat(k), transpose_b=True) + along_height + along_width
        outputs = tf.matmul(tf.nn.softmax(logits), flat(v))
        return tf.reshape(outputs, (-1, heads, places, v.shape[-1]))


def _logits_1d(q: tf.Tensor, table: Any, order: tuple[int, ...]) -> tf.Tensor:
    _, heads, height, width, _ = q.shape
    x = tf.einsum("bhxyd,md->bhxym", q, tf.convert_to_tensor(table))
    x = tf.reshape(x, (-1, heads * height, width, 2 * width - 1))
    x = tf.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1)))
    x = tf.reshape(x, (-1, heads * height, 2 * width * width))
    x = tf.pad(x, ((0, 0), (0, 0), (0, width - 1)))
    x = tf.reshape(x, (-1, heads * height, width + 1, 2 * width - 1))[:, :, :width, width - 1 :]
    x = tf.reshape(x, (-1, heads, height, 1, width, width))
    x = tf.transpose(tf.tile(x, (1, 1, 1, height, 1, 1)), order)
    return tf.reshape(x, (-1, heads, height * width, height * width))


def runs(level: str, form: str, case: Case) -> dict[str, Run]:
    """The forward pass and the training step."""
    if form == "sdpa":
        return _torch_runs(case)
    rng = np.random.default_rng(1)
    sizes = (case.height, case.width)
    layer, depth = _layer(form, case), HEADS * case.value_dim
    if level == "core":
        shapes = [(case.batch, *sizes, HEADS * dim) for dim in (KEY_DIM, KEY_DIM, case.value_dim)]
        inputs = [tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes]
        variables = [layer.relative_width.value, layer.relative_height.value]

        def call(*inputs: tf.Tensor) -> tf.Tensor:
            return layer._attend(*inputs)
    else:
        x = rng.normal(size=(case.batch, *sizes, CHANNELS))
        inputs, variables = [tf.constant(x, tf.float32)], [w.value for w in layer.weights]

        def call(*inputs: tf.Tensor) -> tf.Tensor:
            if form != "mha":
                return layer(inputs[0])
            flat = tf.reshape(inputs[0], (case.batch, -1, CHANNELS))
            return tf.reshape(layer(flat, flat), (case.batch, *sizes, depth))

    def step(*inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(call(*inputs) ** 2)
        return tape.gradient(loss, [*inputs, *variables])

    graphs = (tf.function(function, autograph=False) for function in (call, step))
    return {
        name: _call_of(graph.get_concrete_function(*inputs), inputs)
        for name, graph in zip(PASSES, graphs, strict=True)
    }


def _call_of(graph: Any, inputs: list) -> Run:
    return lambda: graph(*inputs)


def _layer(form: str, case: Case) -> keras.layers.Layer:
    """With fixed weights."""
    depth, shape = HEADS * case.value_dim, (None, case.height, case.width, CHANNELS)
    if form == "mha":
        layer = keras.layers.MultiHeadAttention(
            HEADS, KEY_DIM, case.value_dim, use_bias=False, output_shape=depth
        )
        layer.build((None, None, CHANNELS), (None, None, CHANNELS))
    else:
        cls = AppendixAttention2D if form == "appendix" else SelfAttention2D
        layer = cls(
            num_heads=HEADS,
            key_depth=HEADS * KEY_DIM,
            value_depth=depth,
            use_bias=False,
            implementation="full" if form == "appendix" else form,
        )
        layer.build(shape)
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(0, 0.1, w.shape) for w in layer.weights])
    return layer


def _torch_runs(case: Case) -> dict[str, Run]:
    import torch

    generator = torch.Generator().manual_seed(0)
    height, width, value_dim = case.height, case.width, case.value_dim
    places, depth = height * width, HEADS * (2 * KEY_DIM + value_dim)

    def parameter(*shape: int) -> Any:
        return (0.1 * torch.randn(*shape, generator=generator)).requires_grad_()

    project, mix = parameter(CHANNELS, depth), parameter(HEADS * value_dim, HEADS * value_dim)
    by_width, by_height = parameter(2 * width - 1, KEY_DIM), parameter(2 * height - 1, KEY_DIM)
    x = torch.randn(case.batch, places, CHANNELS, generator=generator).requires_grad_()
    columns = torch.arange(width)[None] - torch.arange(width)[:, None] + width - 1
    rows = torch.arange(height)[None] - torch.arange(height)[:, None] + height - 1

    def forward() -> Any:
        dims = [HEADS * KEY_DIM, HEADS * KEY_DIM, HEADS * value_dim]
        heads = (
            part.reshape(case.batch, places, HEADS, -1).transpose(1, 2)
            for part in (x @ project).split(dims, -1)
        )
        k, q, v = heads
        on_map = q.reshape(case.batch, HEADS, height, width, KEY_DIM) * KEY_DIM**-0.5
        bias = (
            torch.einsum("bnxyd,xid->bnxyi", on_map, by_height[rows])[..., :, None]
            + torch.einsum("bnxyd,yjd->bnxyj", on_map, by_width[columns])[..., None, :]
        ).reshape(case.batch, HEADS, places, places)
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return out.transpose(1, 2).reshape(case.batch, places, -1) @ mix

    def without_gradients() -> Any:
        with torch.no_grad():
            return forward()

    def step() -> Any:
        return torch.autograd.grad((forward() ** 2).sum(), [x, project, mix, by_width, by_height])

    return {"forward": without_gradients, "step": step}


def _peak(level: str, form: str, name: str, which: str) -> tuple[float, float]:
    command = [sys.executable, __file__, "--peak", level, form, name, which]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return float("nan"), float("nan")
    grown, whole = done.stdout.split()[-2:]
    return float(grown), float(whole)


def compare(level: str, name: str, rounds: int, most_gib: float) -> list[dict[str, Any]]:
    """The rows of one case, printed as they come."""
    case, rows = CASES[name], []
    forms = [form for form in FORMS[level] if form != "sdpa" or importlib.util.find_spec("torch")]
    whole_maps = APPENDIX_MAPS * case.map_gib
    runnable = [form for form in forms if form == "chunked" or whole_maps <= most_gib]
    made = {form: runs(level, form, case) for form in runnable}
    for which in PASSES:
        times = medians_by_turns({form: made[form][which] for form in runnable}, rounds)
        peaks = {form: _peak(level, form, name, which) for form in runnable}
        for form in forms:
            row = {"level": level, "map": name, "batch": case.batch, "pass": which, "form": form}
            if form not in runnable:
                print(f"{level:5} {name:8} {which:8} {form:9} not run: its maps take", end=" ")
                print(f"{case.map_gib:.1f} GiB each, some {APPENDIX_MAPS} at a time", flush=True)
                rows.append({**row, "ms": "not run"})
                continue
            grown, whole = peaks[form]
            row |= {"ms": round(times[form], 3), "call_mib": round(grown, 1)}
            row["process_mib"] = round(whole, 1)
            if "appendix" in runnable:
                row["times_faster"] = round(times["appendix"] / times[form], 3)
                row["of_memory"] = round(grown / peaks["appendix"][0], 4)
            rows.append(row)
            print(
                f"{level:5} {name:8} {which:8} {form:9} {times[form]:9.2f} "
                f"{row.get('times_faster', float('nan')):6.2f} {grown:9.1f} "
                f"{row.get('of_memory', float('nan')):6.3f} {whole:9.1f}",
                flush=True,
            )
    return rows


def main() -> None:
    """The command line."""
    if "--peak" in sys.argv:
        level, form, name, which = sys.argv[sys.argv.index("--peak") + 1 :]
        print(*peak_mib(runs(level, form, CASES[name])[which]))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", nargs="+", choices=[*CASES], default=[*CASES], metavar="HxW")
    parser.add_argument("--level", choices=[*FORMS], help="default: both")
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(SHORT)}, 5 rounds")
    parser.add_argument("--most-gib", type=float, default=12.0, help="default: %(default)s")
    parser.add_argument("--out", default="attention.csv", help="default: %(default)s")
    arguments = parser.parse_args()
    cases, rounds = (SHORT, 5) if arguments.short else (arguments.cases, arguments.rounds)
    print(
        f"{'level':5} {'map':8} {'pass':8} {'form':9} {'ms':>9} {'times':>6} {'call MiB':>9} "
        f"{'share':>6} {'process':>9}"
    )
    rows = [
        row
        for level in ([arguments.level] if arguments.level else FORMS)
        for name in cases
        for row in compare(level, name, rounds, arguments.most_gib)
    ]
    fields = dict.fromkeys(key for row in rows for key in row)
    save(
        arguments.out, [{**dict.fromkeys(fields, ""), **row} for row in rows], "tensorflow", "keras"
    )


if __name__ == "__main__":
    main()
