"""Where the time of an attention augmented convolution goes, operation by operation.

    python -m benchmarks.profiling.operations [--maps 7x7 14x14 28x28] [--batches 1 8]
        [--runs 40] [--out operations.csv]

An `AugmentedConv2D` with the filters of AA-ResNet-50 at each map, as a frozen graph that
TensorFlow has optimized, in a session that says how long each operation took (`FULL_TRACE`). One
operation runs at a time, on one core: what an operation takes is then its own. Of each, the lower
quartile of all runs counts, as other programs may run beside. A training step is the layer and all
gradients.

Operations are put together by what they do. Beside the time of a group stand what it must do, its
multiply-accumulates and the bytes that it reads and writes, and the time that both would take at
the rates that this core has, measured in the same process: a product of two 768 x 768 matrices,
and the sum of two vectors of 4 MiB. The greater of the two is the floor; `bound` says which one
that is, or "neither" where the group takes more than `FAR` times its floor, as do softmax, whose
exponentials are not counted, and many operations on little data.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections import defaultdict
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from benchmarks.measuring import save
from keras_attn.layers import AugmentedConv2D

# Map -> filters, and a head's values, of AA-ResNet-50.
CASES = {"7x7": (512, 6), "14x14": (256, 3), "28x28": (128, 1)}
HEADS, KEY_DIM = 8, 20
PASSES = ("forward", "step")
FAR = 3
LONG = 2**20
GROUPS = {
    "convolution": ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"),
    "products": ("MatMul", "BatchMatMulV2", "BatchMatMul", "Einsum"),
    "softmax": ("Softmax",),
    "layout": (
        "Transpose", "ConcatV2", "Slice", "Split", "SplitV", "StridedSlice", "Pad", "PadV2", "Pack",
        "Tile", "BroadcastTo", "GatherV2", "GatherNd", "TensorScatterUpdate", "StridedSliceGrad",
    ),
    "elementwise": (
        "Add", "AddV2", "Mul", "Sub", "Neg", "BiasAdd", "BiasAddGrad", "Sum", "AddN", "Square",
        "RealDiv", "ZerosLike", "OnesLike", "Fill", "Cast",
    ),
}  # fmt: skip
GROUP_OF = {op: group for group, ops in GROUPS.items() for op in ops}
Shape = tuple[int, ...]


def layer_of(size: str) -> AugmentedConv2D:
    """The layer, with fixed weights."""
    side = int(size.split("x")[0])
    filters, value_dim = CASES[size]
    layer = AugmentedConv2D(
        filters, 3, num_heads=HEADS, key_depth=HEADS * KEY_DIM, value_depth=HEADS * value_dim
    )
    layer.build((None, side, side, filters))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(0, 0.05, w.shape) for w in layer.weights])
    return layer


def graph_of(layer: AugmentedConv2D, which: str, shape: Shape) -> Any:
    """The layer's graph, or that of its training step, with its weights as constants."""

    def forward(x: tf.Tensor) -> tf.Tensor:
        return layer(x)

    def step(x: tf.Tensor) -> list[tf.Tensor]:
        weights = [weight.value for weight in layer.weights]
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
        # A gradient from behind that is no constant.
        return tape.gradient(outputs, [x, *weights], output_gradients=outputs)

    function = tf.function(forward if which == "forward" else step, autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec(shape, tf.float32))
    return convert_variables_to_constants_v2(concrete)


def traced(frozen: Any, x: np.ndarray, runs: int) -> tuple[dict[str, list[float]], Any, float]:
    """Microseconds of each operation by run, the graph that was run, and a run's median."""
    options = tf.compat.v1.RunOptions(
        trace_level=tf.compat.v1.RunOptions.FULL_TRACE, output_partition_graphs=True
    )
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen.graph.as_graph_def(), name="")
        with tf.compat.v1.Session(graph=graph, config=one_core()) as session:
            fetches = [tensor.name for tensor in frozen.outputs]
            feeds = {frozen.inputs[0].name: x}
            took: dict[str, list[float]] = defaultdict(list)
            whole = []
            for turn in range(runs + 3):
                metadata = tf.compat.v1.RunMetadata()
                session.run(fetches, feeds, options=options, run_metadata=metadata)
                if turn < 3:
                    continue
                seen: dict[str, float] = defaultdict(float)
                for device in metadata.step_stats.dev_stats:
                    for node in device.node_stats:
                        seen[node.node_name] += node.op_end_rel_nanos - node.op_start_rel_nanos
                for name, nanos in seen.items():
                    took[name].append(nanos / 1e3)
                whole.append(sum(seen.values()) / 1e3)
    return took, metadata, statistics.median(whole)


def one_core() -> Any:
    """One operation at a time, on one thread."""
    return tf.compat.v1.ConfigProto(inter_op_parallelism_threads=1, intra_op_parallelism_threads=1)


def lower_quartile(times: list[float]) -> float:
    """The time that other programs did least to."""
    return sorted(times)[len(times) // 4]


def groups_of(took: dict[str, list[float]], metadata: Any) -> dict[str, dict[str, float]]:
    """Microseconds, number of operations and of bytes, by group."""
    operations = {n.name: n.op for graph in metadata.partition_graphs for n in graph.node}
    written = {
        node.node_name: sum(each.tensor_description.allocation_description.requested_bytes
                            for each in node.output)
        for device in metadata.step_stats.dev_stats
        for node in device.node_stats
    }  # fmt: skip
    inputs = {
        n.name: [each.lstrip("^").partition(":")[0] for each in n.input]
        for graph in metadata.partition_graphs
        for n in graph.node
    }
    groups: dict[str, dict[str, float]] = {}
    for name, times in took.items():
        op = operations.get(name.partition(":")[0], "")
        if op in ("", "Const", "_Arg", "_Retval", "NoOp", "Identity", "Reshape", "Shape"):
            continue
        op = re.sub(r"^_(Mkl)?(Native)?(Fused)?|WithBias$", "", op)
        row = groups.setdefault(GROUP_OF.get(op, "other"), defaultdict(float))
        row["us"] += lower_quartile(times)
        row["operations"] += 1
        row["bytes"] += written.get(name, 0) + sum(written.get(x, 0) for x in inputs[name])
        row[f"op:{op}"] += lower_quartile(times)
    return groups


def macs_of(size: str, batch: int, which: str) -> dict[str, float]:
    """Multiply-accumulates of the convolution and of the products, a gradient's being twice."""
    side = int(size.split("x")[0])
    filters, value_dim = CASES[size]
    places, depth = side * side, HEADS * value_dim
    passes = 1 if which == "forward" else 3
    convolution = places * 9 * filters * (filters - depth)
    projections = places * filters * (2 * HEADS * KEY_DIM + depth) + places * depth**2
    positions = places * HEADS * KEY_DIM * 2 * side
    # The product with [k, places], the one with the values.
    core = HEADS * places**2 * (KEY_DIM + 2 * side + value_dim)
    return {
        "convolution": passes * batch * convolution,
        "products": passes * batch * (projections + positions + core),
    }


def rates() -> tuple[float, float]:
    """Multiply-accumulates and bytes a microsecond, of one core."""
    with tf.Graph().as_default() as graph:
        a = tf.random.normal((768, 768))
        long = tf.random.normal((LONG,))
        a, long = tf.Variable(a, use_resource=True), tf.Variable(long, use_resource=True)
        product, total = tf.matmul(a, a), tf.add(long, long)
        with tf.compat.v1.Session(graph=graph, config=one_core()) as session:
            session.run(tf.compat.v1.global_variables_initializer())
            options = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
            best = {}
            for tensor in (product, total):
                times = []
                for _ in range(12):
                    metadata = tf.compat.v1.RunMetadata()
                    session.run(tensor.op, options=options, run_metadata=metadata)
                    times += [
                        (node.op_end_rel_nanos - node.op_start_rel_nanos) / 1e3
                        for device in metadata.step_stats.dev_stats
                        for node in device.node_stats
                        if node.node_name == tensor.op.name
                    ]
                best[tensor.op.name] = lower_quartile(times)
    macs = 768**3 / best[product.op.name]
    return macs, 3 * 4 * LONG / best[total.op.name]


def profile(
    size: str, batch: int, which: str, runs: int, macs_rate: float, byte_rate: float
) -> Any:
    """The rows of one layer, batch and pass."""
    side, (filters, _) = int(size.split("x")[0]), CASES[size]
    x = np.random.default_rng(1).normal(size=(batch, side, side, filters)).astype("float32")
    took, metadata, _ = traced(graph_of(layer_of(size), which, x.shape), x, runs)
    groups = groups_of(took, metadata)
    macs, whole = macs_of(size, batch, which), sum(row["us"] for row in groups.values())
    rows = []
    for group in (*GROUPS, "other"):
        if group not in groups:
            continue
        row = groups[group]
        arithmetic = macs.get(group, 0) / macs_rate
        memory = row["bytes"] / byte_rate
        floor = max(arithmetic, memory)
        bound = "arithmetic" if arithmetic >= memory else "memory"
        most = sorted((k for k in row if k.startswith("op:")), key=lambda k: -row[k])[:3]
        rows.append(
            {
                "map": size, "batch": batch, "pass": which, "group": group,
                "operations": int(row["operations"]), "us": round(row["us"], 1),
                "share": round(row["us"] / whole, 3),
                "MMACs": round(macs.get(group, 0) / 1e6, 2), "MiB": round(row["bytes"] / 2**20, 2),
                "floor_us": round(floor, 1),
                "bound": "neither" if row["us"] > FAR * floor else bound,
                "most": " ".join(f"{k[3:]}:{row[k]:.0f}" for k in most),
            }
        )  # fmt: skip
        print(*rows[-1].values(), flush=True)
    return rows


def main() -> None:
    """Prints the table, and writes it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", nargs="+", choices=[*CASES], default=[*CASES])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--runs", type=int, default=40, help="default: %(default)s")
    parser.add_argument("--out", help="the CSV")
    arguments = parser.parse_args()
    macs_rate, byte_rate = rates()
    print(f"one core: {macs_rate / 1e3:.1f} GMACs/s, {byte_rate / 1e3:.1f} GB/s", flush=True)
    rows = [
        {**row, "GMACs_per_s": round(macs_rate / 1e3, 1), "GB_per_s": round(byte_rate / 1e3, 1)}
        for size in arguments.maps
        for batch in arguments.batches
        for which in PASSES
        for row in profile(size, batch, which, arguments.runs, macs_rate, byte_rate)
    ]
    if arguments.out:
        save(arguments.out, rows, "keras", "tensorflow")


if __name__ == "__main__":
    main()
