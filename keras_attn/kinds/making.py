"""Layers of attention from what a user gives: the name of a kind, or a layer to copy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras

from keras_attn.kinds.kind import Kind, Size
from keras_attn.kinds.table import KINDS
from keras_attn.layers import AddCoordinates, CoordConv2D, SinusoidalPositionEncoding2D

# A kind's name; such a name with options; a layer; or a function that gives one of these or None.
NamedAttention: TypeAlias = str | tuple[str, Mapping[str, Any]]
AttentionLike: TypeAlias = NamedAttention | keras.layers.Layer | Callable[..., Any]

_POSITIONS = (AddCoordinates, CoordConv2D, SinusoidalPositionEncoding2D)


def kind_and_options(attention: Any) -> tuple[Any, dict[str, Any]]:
    """Takes `("se", {"ratio": 8})` apart; of all else the options are empty."""
    if isinstance(attention, tuple | list) and len(attention) == 2:
        name, options = attention
        if isinstance(name, str) and isinstance(options, Mapping):
            return name, dict(options)
    return attention, {}


def kind_of(attention: str | keras.layers.Layer) -> Kind | None:
    """The kind of a name, or the first of a layer's class; `None` for a layer that isn't ours."""
    if isinstance(attention, str):
        return KINDS[attention]
    return next((kind for kind in KINDS.values() if isinstance(attention, kind.layer)), None)


def attention_name(attention: Any) -> str:
    """What names of layers and networks say of it: the kind, the class, or just "attention"."""
    attention, _ = kind_and_options(attention)
    if isinstance(attention, str):
        return attention
    if isinstance(attention, keras.layers.Layer):
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(attention).__name__).lower()
    return "attention"


def check_attention(attention: Any, *, none: bool = False) -> None:
    """Raises unless `attention` names a kind, with or without options, or is a layer or a function.

    Args:
        attention: The attention as the user gave it.
        none: Whether `None` will do.

    Raises:
        ValueError: If it is none of these; the message lists the names.
    """
    given, (attention, _) = attention, kind_and_options(attention)
    if isinstance(attention, _POSITIONS):
        raise ValueError(
            "`attention` must attend; a layer that only adds positions would change the map with "
            "nothing to learn how much. Call it in a model of your own. "
            f"Received: attention={given!r}"
        )
    is_function = callable(attention) and not isinstance(attention, type)  # a layer is one, too
    if is_function or (attention is None and none):
        return
    hint = ""
    if isinstance(attention, str):
        if attention in KINDS:
            return
        near = difflib.get_close_matches(attention, KINDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(map(repr, [*([None] if none else []), *KINDS]))
    raise ValueError(
        f"`attention` must be one of {listed}, such a name with options, a layer, or a function "
        f"that gives one.{hint} Received: attention={given!r}"
    )


def one_kind(name: str, attention: Any) -> str | None:
    """The attention of a network that has only this kind, or none.

    Args:
        name: The kind.
        attention: The attention as the user gave it.

    Raises:
        ValueError: If it is neither the name nor `None`.
    """
    if attention not in (None, name):
        raise ValueError(
            f"`attention` must be one of None, {name!r}. Received: attention={attention!r}"
        )
    return name if attention is not None else None


def make_attention(
    attention: NamedAttention | keras.layers.Layer,
    channels: int,
    size: Size = (None, None),
    *,
    data_format: str | None = None,
    dtype: Any = None,
    name: str | None = None,
    **arguments: Any,
) -> keras.layers.Layer:
    """Makes a layer of attention from the name of its kind, or as a copy of a layer.

    Args:
        attention: A key of `KINDS`; such a key with options; or a layer, of which the
            configuration is copied and not the weights.
        channels: C of the map that it will take.
        size: (H, W) of that map, where known.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
            A copied layer has its own.
        dtype: dtype or policy of a layer by name.
        name: Name of the layer.
        **arguments: Options of a kind by name: its own, and its layer's arguments. They come
            before those that the kind has for C.

    Returns:
        The layer, not built.

    Raises:
        ValueError: If there is no such kind, or the layer only adds positions.

    Example:

    >>> layer = make_attention("bot", channels=64, size=(7, 7))
    >>> type(layer).__name__, layer.num_heads, layer.value_depth
    ('BottleneckSelfAttention2D', 4, 64)
    """
    check_attention(attention)
    if isinstance(attention, keras.layers.Layer):
        return copy_layer(attention, name=name)
    key, options = kind_and_options(attention)
    kind = KINDS[key]
    given = kind.layer_arguments(channels, size, **options, **arguments)
    return kind.layer(**given, data_format=data_format, dtype=dtype, name=name)


def copy_layer(
    layer: keras.layers.Layer, *, name: str | None = None, **changes: Any
) -> keras.layers.Layer:
    """Makes a layer with the configuration of another, and weights of its own.

    Initializers are made anew, too: without a seed they draw other values, with one the same.

    Args:
        layer: The layer.
        name: Name of the copy; `None` lets Keras choose one.
        **changes: Arguments that the copy has otherwise.

    Returns:
        The copy, not built.
    """
    config = {**layer.get_config(), **changes}
    config.pop("name", None)
    return type(layer).from_config({**config, "name": name} if name else config)
