"""What an attention layer says of itself: pictures, servers, insertion and costs ask it.

Any `keras.layers.Layer` takes part, ours or a user's, by these:

| member | what it says |
|---|---|
| `call(inputs, return_attention=True)` | gives `(outputs, attention)`, or raises `MapTooLargeError` |
| `attention_form` | what the attention is, see `Form` |
| `starts_as` | what a fresh layer computes, see `Start`; `"gate"` where it is missing |
| `attention_by_place(attention, output_shape, query=None)` | the attention of each place; only where it isn't laid out as `Form` says |
| `data_format` | that of the gates and the output; `"channels_last"` where it is missing |
"""  # noqa: E501

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import keras
from keras import ops

Form: TypeAlias = Literal["channel_gate", "place_gate", "mask", "map", "steps", "boxes"]
"""What an attention is.

| form | what it holds | its layout |
|---|---|---|
| `"channel_gate"` | a weight for each channel, and none for places | (B, 1, 1, C), (B, C), or (B, P, C) with a gate for each of P branches |
| `"place_gate"` | a weight for each place, on the output's grid or a coarser one | (B, h, w, 1), or (B, h, w, n) with n of them |
| `"mask"` | a weight for each place and channel | (B, H, W, C), H and W as the output's |
| `"map"` | a weight for each query and key | (B, N, H W, H W), N being the heads |
| `"steps"` | a weight for each place at each of T steps | (B, T, h, w) |
| `"boxes"` | parts of the image that are looked at, one after another | (B, T, S, 4): S boxes at each of T steps, in `BoxCrop2D`'s normalized units |
"""  # noqa: E501

Start: TypeAlias = Literal["gate", "new_map", "identity"]
"""What a fresh layer L computes, from which follows how `insert_attention` makes it the identity.

| start | what it computes | inserted with a scalar a that starts at 0 |
|---|---|---|
| `"gate"` | its input, weighted | x + a (L(x) - x) |
| `"new_map"` | a map of its own | x + a L(x) |
| `"identity"` | its input | L(x), without a |
"""


class MapTooLargeError(ValueError):
    """Raised by a layer whose attention is too large to be given, though the layer itself runs.

    An export leaves that layer's attention out.
    """


def attention_form(layer: Any) -> Form | None:
    """The form of a layer's attention, or `None` if it has no attention to show.

    Args:
        layer: A layer.

    Returns:
        What the layer's `attention_form` says.

    Raises:
        ValueError: If the layer says something else than a `Form` or `None`.

    Example:

    >>> class Brightest(keras.layers.Layer):  # a user's own
    ...     attention_form = "place_gate"
    ...
    ...     def call(self, inputs, return_attention=False):
    ...         gate = keras.ops.softmax(keras.ops.mean(inputs, -1, keepdims=True), axis=(1, 2))
    ...         return (inputs * gate, gate) if return_attention else inputs * gate
    >>> keras_attn.layers.attention_form(Brightest())
    'place_gate'
    >>> print(keras_attn.layers.attention_form(keras.layers.ReLU()))
    None
    """
    form: Form | None = getattr(layer, "attention_form", None)
    if form is not None:
        _check(layer, "attention_form", form, get_args(Form))
    return form


def attention_start(layer: Any) -> Start:
    """What a fresh layer computes.

    Args:
        layer: A layer.

    Returns:
        What the layer's `starts_as` says; `"gate"` where it says nothing.

    Raises:
        ValueError: If the layer says something else than a `Start`.

    Example:

    >>> keras_attn.layers.attention_start(keras_attn.layers.GlobalContext(fusion="add"))
    'identity'
    """
    start: Start = getattr(layer, "starts_as", "gate")
    _check(layer, "starts_as", start, get_args(Start))
    return start


def attention_layers(model: keras.Model) -> list[Any]:
    """The layers of a model that have attention to show, in the model's order.

    A layer inside another layer or a nested model doesn't count.

    Args:
        model: A model.

    Returns:
        The layers whose `attention_form` isn't `None`.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 16)), keras.layers.ReLU(), keras_attn.layers.SqueezeExcite()])
    >>> [type(layer).__name__ for layer in keras_attn.layers.attention_layers(model)]
    ['SqueezeExcite']
    """
    return [layer for layer in model.layers if attention_form(layer) is not None]


def attention_by_place(
    layer: Any,
    attention: Any,
    output_shape: tuple[Any, ...],
    query: tuple[int, int] | None = None,
) -> Any:
    """The attention of each place: one value for each.

    Of a mask or a gate of places it is the mean over the channels; of a map what each place
    receives, the mean over heads and queries, or with `query` what one place pays; of steps their
    mean.

    Args:
        layer: The layer.
        attention: Tensor that its `call` returned beside the output.
        output_shape: Shape of that output; sizes may be scalar tensors.
        query: `(row, column)` of a map's query on the grid that is returned. Where queries have a
            finer grid, the mean over those of the place.

    Returns:
        Tensor of shape (B, h, w), float32 or wider; `None` for a channel gate and for boxes.

    Raises:
        ValueError: If the layer has no attention, or `query` is given for another form than a map
            or lies outside it.

    Example:

    >>> layer = keras_attn.layers.SelfAttention2D(num_heads=2, key_depth=8, value_depth=16)
    >>> y, attention = layer(np.ones((1, 5, 3, 16), "float32"), return_attention=True)
    >>> keras_attn.layers.attention_by_place(layer, attention, y.shape).shape
    TensorShape([1, 5, 3])
    """
    form = attention_form(layer)
    if form is None:
        raise ValueError(
            "`layer` must say its `attention_form`. "
            f"Received: {layer.name!r} ({type(layer).__name__})"
        )
    if query is not None and form != "map":
        raise ValueError(
            f"`query` must be None for a {form.replace('_', ' ')}: it is for self-attention. "
            f"Received: query={query}, layer={layer.name!r}"
        )
    own = getattr(layer, "attention_by_place", None)
    if own is not None:
        return (
            own(attention, output_shape) if query is None else own(attention, output_shape, query)
        )
    is_last = getattr(layer, "data_format", "channels_last") != "channels_first"
    size = output_shape[1:3] if is_last else output_shape[2:4]
    return usual_by_place(form, attention, size, query, channel_axis=3 if is_last else 1)


def attention_by_channel(layer: Any, attention: Any) -> Any:
    """A channel gate without the places that it doesn't have.

    Args:
        layer: A layer whose form is `"channel_gate"`.
        attention: Tensor that its `call` returned beside the output.

    Returns:
        Tensor of shape (B, C), or (B, P, C) with a gate for each of P branches.

    Example:

    >>> layer = keras_attn.layers.SqueezeExcite()
    >>> y, gate = layer(np.ones((1, 5, 3, 16), "float32"), return_attention=True)
    >>> gate.shape, keras_attn.layers.attention_by_channel(layer, gate).shape
    (TensorShape([1, 1, 1, 16]), TensorShape([1, 16]))
    """
    if len(attention.shape) != 4:
        return attention
    is_last = getattr(layer, "data_format", "channels_last") != "channels_first"
    return ops.reshape(attention, (-1, attention.shape[3 if is_last else 1]))


def usual_by_place(
    form: Form,
    attention: Any,
    size: tuple[Any, ...],
    query: tuple[int, int] | None = None,
    *,
    channel_axis: int = 3,
) -> Any:
    """The attention of each place, where it is laid out as `Form` says.

    Args:
        form: The attention's form.
        attention: Tensor of that form.
        size: (h, w) of a map's keys.
        query: See `attention_by_place`.
        channel_axis: The axis of a gate's channels.

    Returns:
        Tensor of shape (B, h, w), or `None`.
    """
    if form in ("channel_gate", "boxes"):
        return None
    attention = ops.cast(attention, keras.backend.result_type(attention.dtype, "float32"))
    if form == "steps":
        return ops.mean(attention, axis=1)
    if form != "map":
        return ops.mean(attention, axis=channel_axis)
    if query is None:
        by_key = ops.mean(attention, axis=(1, 2))  # (B, h w)
    else:
        row, column = check_query(query, size)
        by_key = ops.mean(attention[:, :, row * size[1] + column], axis=1)
    return ops.reshape(by_key, (-1, *size))


def check_query(query: tuple[int, int], size: tuple[Any, ...]) -> tuple[int, int]:
    """The query, which lies within (h, w) where these are known."""
    for place, side in zip(query, size, strict=True):
        if place < 0 or (isinstance(side, int) and place >= side):
            raise ValueError(f"`query` must be a place within {tuple(size)}. Received: {query=}")
    return query


def _check(layer: Any, name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(
            f"`{name}` of a layer must be one of {', '.join(map(repr, known))}. "
            f"Received: {name}={value!r} of {layer.name!r} ({type(layer).__name__})"
        )
