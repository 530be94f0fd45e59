"""Exact softmax attention whose memory does not grow with the square of the number of places.

The map of logits is taken in chunks, one after another: some of the A heads (of all images), and
some of their M queries. A row of the softmax is whole within its chunk, so the numbers are those of
the full formulation; the backward pass computes each chunk's map again from q, k and v instead of
keeping it.

Rabe and Staats, "Self-attention Does Not Need O(n^2) Memory" (2021), split the keys as well.
"""

from __future__ import annotations

from typing import Any

from keras import ops


def attend(q: Any, k: Any, v: Any, places: Any = None, chunk: tuple[Any, Any] | None = None) -> Any:
    """softmax([q . [k, places]]) v, exactly, with gradients for q, k and v.

    Logits that are constant in the keys' weights, such as relative positions, are folded into the
    product: q brings p more columns, and `places` says which of them each key takes.

    Args:
        q: Scaled queries, (A, M, d + p), A being images times heads.
        k: Keys, (A, M, d).
        v: Values, (A, M, e).
        places: (M, p), the same for all of A and not trained; `None` where p is 0.
        chunk: `(heads, queries)` of a chunk, ints or scalar int tensors; `None` takes all at
            once, and keeps their map for the backward pass.

    Returns:
        Tensor of shape (A, M, e).
    """

    @ops.custom_gradient
    def attended(q: Any, k: Any, v: Any) -> tuple[Any, Any]:
        keys = _with_places(k, places)
        if chunk is None:
            return _attend_at_once(q, keys, v, k.shape[-1])
        return _attend_in_chunks(q, keys, v, k.shape[-1], *chunk)

    return attended(q, k, v)


def chunk_within(logits: Any, places: Any) -> tuple[Any, Any]:
    """The greatest chunk `(heads, queries)` of at most `logits` logits.

    Args:
        logits: How many logits of M keys each may be there at a time, at least M.
        places: M, an int or a scalar int tensor.

    Returns:
        Whole heads where at least one fits; else one head, and as many of its queries as fit.
    """
    queries = logits // places
    if isinstance(places, int):
        return max(queries // places, 1), min(queries, places)
    return ops.maximum(queries // places, 1), ops.minimum(queries, places)


def _attend_at_once(q: Any, keys: Any, v: Any, depth: int) -> tuple[Any, Any]:
    weights = _softmax_of_product(q, _transposed(keys))  # (A, M, M)
    outputs = ops.matmul(weights, v)

    def gradient(*arguments: Any, upstream: Any = None) -> tuple[Any, Any, Any]:
        d_out = arguments[0] if upstream is None else upstream
        d_out_delta, values_one = _with_delta(d_out, outputs), _transposed(_with_one(v))
        dq, dk, dv = _chunk_gradient(q, weights, keys, d_out_delta, values_one, depth)
        return dq, _transposed(dk), _transposed(dv)

    return outputs, gradient


def _attend_in_chunks(
    q: Any, keys: Any, v: Any, depth: int, heads: Any, queries: Any
) -> tuple[Any, Any]:
    all_heads, places = ops.shape(q)[:2]
    rounds = -(-places // queries)  # chunks of queries for each group of heads
    chunks = -(-all_heads // heads) * rounds
    q_chunks = _split(q, heads, queries)  # (chunks, h, c, d + p)
    keys_t = _transposed_groups(keys, heads)  # (groups, h, d + p, M)
    values = _groups(v, heads)  # (groups, h, M, e)

    def forward(i: Any, done: Any) -> Any:
        weights = _softmax_of_product(_after(q_chunks[i], done), keys_t[i // rounds])  # (h, c, M)
        return _put(done, i, ops.matmul(weights, values[i // rounds]))

    blank = ops.zeros_like(_split(v, heads, queries))  # (chunks, h, c, e)
    outputs = _join(ops.fori_loop(0, chunks, forward, blank), all_heads, places)

    def gradient(*arguments: Any, upstream: Any = None) -> tuple[Any, Any, Any]:
        d_out = arguments[0] if upstream is None else upstream
        d_chunks = _split(_with_delta(d_out, outputs), heads, queries)  # (chunks, h, c, e + 1)
        key_groups = _groups(keys, heads)
        values_one = _transposed_groups(_with_one(v), heads)  # (groups, h, e + 1, M)

        def backward(i: Any, sums: Any) -> Any:
            dq, dk, dv = sums
            group = i // rounds
            chunk = _after(q_chunks[i], dv)
            weights = _softmax_of_product(chunk, keys_t[group])  # (h, c, M)
            dq_i, dk_i, dv_i = _chunk_gradient(
                chunk, weights, key_groups[group], d_chunks[i], values_one[group], depth
            )
            dk = _put(dk, group, ops.add(dk[group], dk_i))
            dv = _put(dv, group, ops.add(dv[group], dv_i))
            return _put(dq, i, dq_i), dk, dv

        blanks = (
            ops.zeros_like(q_chunks),
            ops.zeros_like(keys_t[:, :, :depth]),
            ops.zeros_like(values_one[:, :, :-1]),
        )
        dq, dk, dv = ops.fori_loop(0, chunks, backward, blanks)
        return (
            _join(dq, all_heads, places),
            _transposed(_ungrouped(dk, all_heads)),
            _transposed(_ungrouped(dv, all_heads)),
        )

    return outputs, gradient


def _chunk_gradient(
    q: Any, weights: Any, keys: Any, d_out_delta: Any, values_one: Any, depth: int
) -> tuple[Any, Any, Any]:
    """The share of one chunk of queries in dq, dk^T and dv^T.

    With delta_i = do_i . o_i, the logits' gradient is P * (do v^T - delta): one product of
    [do, -delta] and [v, 1], and one pass over the map. dk and dv come transposed, so that the map
    never is.
    """
    d_logits = ops.multiply(weights, ops.matmul(d_out_delta, values_one))  # (A, c, M)
    dq = ops.matmul(d_logits, keys)  # (A, c, d + p)
    dk = ops.matmul(_transposed(q[..., :depth]), d_logits)  # (A, d, M)
    dv = ops.matmul(_transposed(d_out_delta[..., :-1]), weights)  # (A, e, M)
    return dq, dk, dv


def _softmax_of_product(q: Any, keys_t: Any) -> Any:
    logits = ops.matmul(q, keys_t)
    # Keras warns of a softmax over one value; on a map of one place it is meant.
    return ops.ones_like(logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)


def _with_places(k: Any, places: Any) -> Any:
    """[k, places]: (A, M, d + p)."""
    if places is None:
        return k
    shape = (ops.shape(k)[0], *ops.shape(places))
    return ops.concatenate([k, ops.broadcast_to(places, shape)], axis=-1)


def _with_one(v: Any) -> Any:
    return ops.concatenate([v, ops.ones_like(v[..., :1])], axis=-1)


def _with_delta(d_out: Any, outputs: Any) -> Any:
    delta = ops.sum(ops.multiply(d_out, outputs), axis=-1, keepdims=True)
    return ops.concatenate([d_out, ops.negative(delta)], axis=-1)  # (A, M, e + 1)


def _transposed(x: Any) -> Any:
    return ops.transpose(x, (0, 2, 1))


def _groups(x: Any, heads: Any) -> Any:
    """(A, M, d) -> (groups, h, M, d), filled up with zeros."""
    all_heads, places, depth = ops.shape(x)
    groups = -(-all_heads // heads)
    x = ops.pad(x, ((0, groups * heads - all_heads), (0, 0), (0, 0)))
    return ops.reshape(x, (groups, heads, places, depth))


def _transposed_groups(x: Any, heads: Any) -> Any:
    """(A, M, d) -> (groups, h, d, M), filled up with zeros."""
    return _groups(_transposed(x), heads)


def _ungrouped(x: Any, all_heads: Any) -> Any:
    """(groups, h, d, M) -> (A, d, M)."""
    groups, heads, depth, places = ops.shape(x)
    return ops.reshape(x, (groups * heads, depth, places))[:all_heads]


def _split(x: Any, heads: Any, queries: Any) -> Any:
    """(A, M, d) -> (chunks, h, c, d), filled up with zeros; a group's chunks follow each other."""
    x = _groups(x, heads)
    groups, _, places, depth = ops.shape(x)
    rounds = -(-places // queries)
    x = ops.pad(x, ((0, 0), (0, 0), (0, rounds * queries - places), (0, 0)))
    x = ops.reshape(x, (groups, heads, rounds, queries, depth))
    x = ops.transpose(x, (0, 2, 1, 3, 4))
    return ops.reshape(x, (groups * rounds, heads, queries, depth))


def _join(x: Any, all_heads: Any, places: Any) -> Any:
    """(chunks, h, c, d) -> (A, M, d): undoes `_split`."""
    chunks, heads, queries, depth = ops.shape(x)
    rounds = -(-places // queries)
    groups = chunks // rounds
    x = ops.reshape(x, (groups, rounds, heads, queries, depth))
    x = ops.transpose(x, (0, 2, 1, 3, 4))
    x = ops.reshape(x, (groups * heads, rounds * queries, depth))
    return x[:all_heads, :places]


def _put(x: Any, i: Any, chunk: Any) -> Any:
    """X with x[i] = chunk."""
    return ops.scatter_update(x, ops.reshape(i, (1, 1)), chunk[None])


def _after(x: Any, done: Any) -> Any:
    """x, but not before `done` is there: TensorFlow would run the chunks side by side.

    A product with zero is what every backend understands; `done` is finite where x is.
    """
    return ops.add(x, ops.multiply(ops.reshape(done, (-1,))[0], 0))
