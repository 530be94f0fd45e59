"""Exact softmax attention whose memory does not grow with the square of the number of places.

The map of logits is taken in chunks, one after another: some of the A heads (of all images), and
some of their M queries. A row of the softmax is whole within its chunk, so the numbers are those of
the full formulation; the backward pass computes each chunk's map again from q, k and v instead of
keeping it.

Rabe and Staats, "Self-attention Does Not Need O(n^2) Memory" (2021), split the keys as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from keras import ops

from keras_attn import backend
from keras_attn.layers._shapes import ceil_div
from keras_attn.typing import Size, Tensor


class Chunk(NamedTuple):
    """What is computed at a time.

    Attributes:
        heads: How many of the A heads; a scalar int tensor where `by_head` is false, or an int.
        queries: How many queries of each, an int or a scalar int tensor.
        by_head: Whether each head is a product of two matrices, side by side with the others,
            instead of one batched product: on a CPU, TensorFlow multiplies matrices twice as fast.
            `heads` must then be an int that divides A.
    """

    heads: Tensor
    queries: Size
    by_head: bool = False


def attend(
    q: Tensor, keys: Tensor, v: Tensor, places: Tensor = None, chunk: Chunk | None = None
) -> Tensor:
    """softmax(q . [keys, places]) v, exactly, with gradients for q, keys and v.

    Logits that are constant in the keys' weights, such as relative positions, are folded into the
    product: q brings p more columns, and `places` says which of them each key takes.

    Args:
        q: Scaled queries, (A, M, d + p), A being images times heads.
        keys: Keys as the product takes them, (A, d, M).
        v: Values, (A, M, e).
        places: (M, p), the same for all of A and not trained; `None` where p is 0.
        chunk: The part to take at a time; `None` takes all at once, and keeps the map for the
            backward pass.

    Returns:
        Tensor of shape (A, M, e).
    """

    @ops.custom_gradient
    def attended(q: Tensor, keys: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        if chunk is None or q.shape[0] == 0:  # no loop of no round
            return _at_once(q, keys, v, places)
        return _in_turn(q, keys, v, places, chunk)

    return attended(q, keys, v)


def chunk_within(logits: Tensor, places: Tensor, num_heads: int) -> Chunk:
    """The greatest chunk of at most `logits` logits, for a CPU or for an accelerator.

    Args:
        logits: How many logits of M keys each may be there at a time, at least M.
        places: M, an int or a scalar int tensor.
        num_heads: N, the heads of one image.

    Returns:
        Of a CPU under TensorFlow: up to eight heads side by side, whole ones where one fits, or as
        many of their queries as fit. Else whole heads where at least one fits, or one head and as
        many queries as fit.
    """
    known = isinstance(places, int)
    smaller, greater = (min, max) if known else (ops.minimum, ops.maximum)
    by_head = backend.on_tensorflow_cpu()
    if by_head:
        together = [heads for heads in range(1, 9) if num_heads % heads == 0]
        whole = [heads for heads in together if known and heads * places**2 <= logits]
        some = [heads for heads in together if not known or heads * places <= logits]
        heads = (whole or some or [1])[-1]
        queries = smaller(greater(logits // heads // places, 1), places)
    else:
        heads = greater(logits // places // places, 1)
        queries = smaller(logits // places, places)
    rounds = ceil_div(places, queries)
    return Chunk(heads, ceil_div(places, rounds), by_head)


def _at_once(q: Tensor, keys: Tensor, v: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    depth = keys.shape[-2]
    keys = _keys_and_places(keys, places)  # (A, d + p, M)
    weights = _softmax_of_product(q, keys)  # (A, M, M)
    outputs = ops.matmul(weights, v)

    def gradient(*arguments: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor, Tensor]:
        d_out = arguments[0] if upstream is None else upstream
        d_out_delta = _with_delta(d_out, outputs)
        return _gradients(q, weights, keys, _values_and_ones(v), d_out_delta, depth)

    return outputs, gradient


def _in_turn(
    q: Tensor, keys: Tensor, v: Tensor, places: Tensor, chunk: Chunk
) -> tuple[Tensor, Tensor]:
    all_heads, depth = ops.shape(q)[0], keys.shape[-2]
    keys = _keys_and_places(keys, places)
    q_groups, keys, v_groups = (_groups(x, chunk) for x in (q, keys, v))

    def outputs_of(q: Tensor, keys: Tensor, v: Tensor) -> tuple[Tensor]:
        return (_outputs(q, keys, v, chunk.queries),)

    # A loop of plain tensors, which ONNX and TFLite know too.
    def body(i: Tensor, done: Tensor) -> Tensor:
        q = _after(q_groups[i], done)
        [outputs] = _of_group(outputs_of, (q, keys[i], v_groups[i]), chunk)
        return _put(done, i, outputs)

    outputs = ops.fori_loop(0, ops.shape(q_groups)[0], body, ops.zeros_like(v_groups))
    outputs = _ungrouped(outputs, all_heads)  # (A, M, e)

    def gradient(*arguments: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor, Tensor]:
        d_out = arguments[0] if upstream is None else upstream

        def gradients_of(
            q: Tensor, keys: Tensor, v: Tensor, d_out_delta: Tensor
        ) -> tuple[Tensor, Tensor, Tensor]:
            values = _values_and_ones(v)
            return _summed_gradients(q, keys, values, d_out_delta, depth, chunk.queries)

        # A scan, as dq is large: what is put into a tensor may copy the whole of it.
        def step(_: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
            group = (q_groups[i], keys[i], v_groups[i], deltas[i])
            gradients = _of_group(gradients_of, group, chunk)
            return gradients, gradients

        deltas = _groups(_with_delta(d_out, outputs), chunk)
        blanks = (
            ops.zeros_like(q_groups[0]),
            ops.zeros_like(keys[0, :, :depth]),
            ops.zeros_like(v_groups[0]),
        )
        _, gradients = ops.scan(step, blanks, ops.arange(ops.shape(q_groups)[0]))
        dq, d_keys, dv = (_ungrouped(x, all_heads) for x in gradients)
        return dq, d_keys, dv

    return outputs, gradient


def _of_group(
    function: Callable[..., tuple[Tensor, ...]], group: tuple[Tensor, ...], chunk: Chunk
) -> tuple[Tensor, ...]:
    """What `function` gives for a group, a tuple: for all its heads, or for one after another."""
    if not chunk.by_head:
        return function(*group)
    heads = [function(*(x[j] for x in group)) for j in range(chunk.heads)]
    return tuple(ops.stack(results) for results in zip(*heads, strict=True))


def _outputs(q: Tensor, keys: Tensor, v: Tensor, queries: Size) -> Tensor:
    """(..., M, e), some queries at a time."""
    places = ops.shape(q)[-2]
    if _all_at_once(places, queries):
        return ops.matmul(_softmax_of_product(q, keys), v)
    rows = _rows(q, queries)  # (rounds, ..., c, d + p)

    def body(i: Tensor, done: Tensor) -> Tensor:
        weights = _softmax_of_product(_after(rows[i], done), keys)  # (..., c, M)
        return _put(done, i, ops.matmul(weights, v))

    done = ops.fori_loop(0, ops.shape(rows)[0], body, ops.zeros_like(_rows(v, queries)))
    return _joined(done, places)


def _summed_gradients(
    q: Tensor, keys: Tensor, values: Tensor, d_out_delta: Tensor, depth: int, queries: Size
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients, the map being made again, some queries at a time."""
    places = ops.shape(q)[-2]
    if _all_at_once(places, queries):
        weights = _softmax_of_product(q, keys)
        return _gradients(q, weights, keys, values, d_out_delta, depth)
    rows, d_rows = _rows(q, queries), _rows(d_out_delta, queries)

    def body(i: Tensor, sums: Tensor) -> Tensor:
        dq, d_keys, dv = sums
        some = _after(rows[i], *sums)
        weights = _softmax_of_product(some, keys)  # (..., c, M)
        dq_i, d_keys_i, dv_i = _gradients(some, weights, keys, values, d_rows[i], depth)
        return _put(dq, i, dq_i), ops.add(d_keys, d_keys_i), ops.add(dv, dv_i)

    blanks = (
        ops.zeros_like(rows),
        ops.zeros_like(keys[..., :depth, :]),
        ops.zeros_like(d_out_delta[..., :-1]),
    )
    dq, d_keys, dv = ops.fori_loop(0, ops.shape(rows)[0], body, blanks)
    return _joined(dq, places), d_keys, dv


def _gradients(
    q: Tensor, weights: Tensor, keys: Tensor, values: Tensor, d_out_delta: Tensor, depth: int
) -> tuple[Tensor, Tensor, Tensor]:
    """What some queries, (..., c, d + p), give to the gradients of q, keys and v.

    With delta_i = do_i . o_i, the logits' gradient is P * (do v^T - delta): one product of
    [do, -delta] and [v, 1]^T, and one pass over the map. The keys' and values' come from transposed
    products, so that the map never is.
    """
    d_logits = ops.multiply(weights, ops.matmul(d_out_delta, values))  # (..., c, M)
    dq = ops.matmul(d_logits, _transposed(keys))  # (..., c, d + p)
    d_keys = ops.matmul(_transposed(q[..., :depth]), d_logits)  # (..., d, M)
    dv = ops.matmul(_transposed(d_out_delta[..., :-1]), weights)  # (..., e, M)
    return dq, d_keys, _transposed(dv)


def _softmax_of_product(q: Tensor, keys: Tensor) -> Tensor:
    logits = ops.matmul(q, keys)
    # Keras warns of a softmax over one value; on a map of one place it is meant.
    return ops.ones_like(logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)


def _keys_and_places(keys: Tensor, places: Tensor) -> Tensor:
    """[keys; places^T]: (..., d + p, M)."""
    if places is None:
        return keys
    places = ops.transpose(places)  # (p, M)
    shape = (*ops.shape(keys)[:-2], *ops.shape(places))
    return ops.concatenate([keys, ops.broadcast_to(places, shape)], axis=-2)


def _values_and_ones(v: Tensor) -> Tensor:
    """[v, 1]^T: (..., e + 1, M)."""
    return _transposed(ops.concatenate([v, ops.ones_like(v[..., :1])], axis=-1))


def _with_delta(d_out: Tensor, outputs: Tensor) -> Tensor:
    """[do, -do . o]: (A, M, e + 1)."""
    delta = ops.sum(ops.multiply(d_out, outputs), axis=-1, keepdims=True)
    return ops.concatenate([d_out, ops.negative(delta)], axis=-1)


def _transposed(x: Tensor) -> Tensor:
    *heads, rows, columns = range(len(x.shape))
    return ops.transpose(x, (*heads, columns, rows))


def _groups(x: Tensor, chunk: Chunk) -> Tensor:
    """(A, ...) -> (groups, h, ...), filled up with zeros where h need not divide A."""
    all_heads, *shape = ops.shape(x)
    if not chunk.by_head:
        groups = ceil_div(all_heads, chunk.heads)
        x = ops.pad(x, ((0, groups * chunk.heads - all_heads), (0, 0), (0, 0)))
    return ops.reshape(x, (-1, chunk.heads, *shape))


def _ungrouped(x: Tensor, all_heads: Size) -> Tensor:
    """(groups, h, ...) -> (A, ...): undoes `_groups`."""
    groups, heads, *shape = ops.shape(x)
    return ops.reshape(x, (groups * heads, *shape))[:all_heads]


def _all_at_once(places: Size, queries: Size) -> bool:
    return isinstance(places, int) and isinstance(queries, int) and queries >= places


def _rows(x: Tensor, queries: Size) -> Tensor:
    """(..., M, d) -> (rounds, ..., c, d), filled up with zeros."""
    *heads, places, depth = ops.shape(x)
    rounds = ceil_div(places, queries)
    x = ops.pad(x, (*((0, 0) for _ in heads), (0, rounds * queries - places), (0, 0)))
    return ops.moveaxis(ops.reshape(x, (*heads, rounds, queries, depth)), -3, 0)


def _joined(x: Tensor, places: Size) -> Tensor:
    """(rounds, ..., c, d) -> (..., M, d): undoes `_rows`."""
    rounds, *heads, queries, depth = ops.shape(x)
    x = ops.reshape(ops.moveaxis(x, 0, -3), (*heads, rounds * queries, depth))
    return x[(*(slice(None) for _ in heads), slice(places))]


def _put(x: Tensor, i: Tensor, chunk: Tensor) -> Tensor:
    """X with x[i] = chunk."""
    return ops.scatter_update(x, ops.reshape(i, (1, 1)), chunk[None])


def _after(x: Tensor, *done: Tensor) -> Tensor:
    """x, but not before all of `done` is there: TensorFlow would run the rounds side by side.

    What isn't waited for may lag behind by several rounds, whose maps are then there together.
    A product with zero is what every backend understands; `done` is finite where x is.
    """
    for each in done:
        x = ops.add(x, ops.multiply(ops.reshape(each, (-1,))[0], 0))
    return x
