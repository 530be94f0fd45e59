"""Attention put into functional models that have weights, and taken out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_attn.insertion.inserted_attention import InsertedAttention
from keras_attn.insertion.places import chosen_places, listed, model_data_format, nested_hint
from keras_attn.insertion.rebuild import copy_operation, functional, rebuilt
from keras_attn.kinds import attention_name, check_attention, kind_and_options, make_attention

# For places that have no policy, such as a sum written with +.
_POLICIES = {"float16": "mixed_float16", "bfloat16": "mixed_bfloat16"}


def insert_attention(
    model: keras.Model,
    attention: Any,
    *,
    where: str | Sequence[str] | Callable[[Any], bool],
    identity: bool = True,
    suffix: str | None = None,
) -> keras.Model:
    """Puts attention behind layers of a functional model, with all that the model has learned.

    The result is a new model: every layer is made again from its configuration and gets a copy of
    the weights, so that the model given stays as it was and neither changes with the other. The
    names of the layers, of the input and of the model stay, and what is frozen stays frozen. The
    result isn't compiled.

    With `identity=True` it computes exactly what the model did until it is trained: see
    `keras_attn.insertion.InsertedAttention` for the scalar a that sees to that. A plain layer
    instead changes what the following layers were trained on: a fresh `SqueezeExcite` has a gate
    of about 1/2, and halves its map.

    Exactly, that is layer by layer: eagerly, compiled by XLA, and in a TensorFlow graph behind a
    block. Inside a block TensorFlow's graph optimizer reorders a BatchNormalization's sum and the
    block's where nothing stands between them; there float32 outputs may differ in the last digits,
    as either graph's do from its eager ones (in ResNet50 by 1e-6 of the greatest output).

    ```python
    model = keras.applications.ResNet50()
    model = keras_attn.insert_attention(model, "cbam", where="conv?_block?_out")
    ```

    | network | where, behind its blocks | on its branches |
    |---|---|---|
    | ResNet50 | `"conv?_block?_out"` | `"conv?_block?_3_bn"` |
    | MobileNetV2 | `"block_*_add"` | `"block_*_project_BN"` |
    | EfficientNetB0 | `"block??_add"` | `"block??_project_bn"` |
    | ConvNeXtTiny | `"add*"` (sums without a name of their own) | `"*_identity"` |
    | DenseNet121 | `"conv?_block*_concat"` | `"conv?_block*_2_conv"` |

    A layer that is called several times gets one attention, called as often. A model inside the
    model is one layer here: insert into it first, then build the outer one around it.

    Args:
        model: A functional or built Sequential model; with several inputs or outputs too.
        attention: The name of a kind (see `keras_attn.kinds.KINDS`); the name with options, such
            as `("se", {"ratio": 4})`; a layer, of which each place gets a copy with weights of
            its own; or a function of a layer's name and its output's shape, such as
            `("block1", (None, 7, 7, 64))`, that returns one of these or `None` for no attention
            there. Layers that only add positions are refused.
        where: Behind which layers: a glob pattern of names (`*`, `?`, `[abc]`; inserted layers
            don't count), a list of names, or a function of the layer that says whether.
        identity: Whether the new model starts as the old one; `False` puts the plain layers in
            (a = 1 for good), and those that compute a new map are added to their input.
        suffix: End of the names of the inserted layers, behind the name of the layer before
            them and `_`; by default the kind's name, or the class's.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If the model isn't functional; if there is no such attention; if `where` picks
            nothing, something that isn't one map (B, H, W, C), or a place that has such an
            attention already; or if the attention doesn't fit there, as with a ratio above C.

    Example:

    >>> image = keras.Input((8, 8, 3), name="image")
    >>> x = keras.layers.Conv2D(16, 3, activation="relu", name="conv1")(image)
    >>> model = keras.Model(image, keras.layers.Conv2D(16, 3, name="conv2")(x))
    >>> attending = keras_attn.insert_attention(model, "se", where="conv?")
    >>> [layer.name for layer in attending.layers]
    ['image', 'conv1', 'conv1_se', 'conv2', 'conv2_se']
    >>> x = np.ones((1, 8, 8, 3), "float32")
    >>> bool(np.all(attending(x) == model(x)))
    True
    """
    model = functional(model)
    check_attention(attention)
    chosen = chosen_places(model, where)
    data_format = model_data_format(model)
    inserted: dict[str, Any] = {}

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        x = operation(*args, **kwargs)
        name = operation.name
        if name not in chosen:
            return x
        if name not in inserted:
            inserted[name] = _insertion(x, operation, attention, identity, suffix, data_format)
            _check_new(inserted[name], taken)
        return x if inserted[name] is None else inserted[name](x)

    taken = {operation.name for operation in model.operations}
    result = rebuilt(model, call)
    if not any(inserted.values()):
        raise ValueError(
            "`attention` must give an attention for one of the layers that `where` picks. "
            f"Received: a function that returns None for {listed(sorted(chosen))}"
        )
    return result


def remove_attention(model: keras.Model) -> keras.Model:
    """Takes out what `insert_attention` put in.

    The result is a new model with copies of the other layers and their weights, as they are now:
    right behind the insertion, the model that there was before.

    Args:
        model: A functional model.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If the model isn't functional, or nothing was put in.

    Example:

    >>> image = keras.Input((8, 8, 3))
    >>> model = keras.Model(image, keras.layers.Conv2D(16, 3, name="conv")(image))
    >>> attending = keras_attn.insert_attention(model, "eca", where=["conv"])
    >>> [layer.name for layer in keras_attn.remove_attention(attending).layers[1:]]
    ['conv']
    """
    model = functional(model)
    _check_inserted(model)

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(operation, InsertedAttention):
            return args[0] if args else kwargs["inputs"]
        return operation(*args, **kwargs)

    return rebuilt(model, call)


def fold_attention(model: keras.Model, a: float | None = None) -> keras.Model:
    """Makes each scalar a of the inserted attention a constant: a weight no more.

    Args:
        model: A functional model with inserted attention.
        a: The constant; by default what each has learned. With 1 the gates are the plain layers.

    Returns:
        A functional `keras.Model` with copies of all other weights. Without `a` its outputs are
        those of the model.

    Raises:
        ValueError: If the model isn't functional, has no inserted attention, or `a` is no number.

    Example:

    >>> image = keras.Input((8, 8, 16))
    >>> model = keras.Model(image, keras.layers.Conv2D(16, 3, name="conv")(image))
    >>> attending = keras_attn.insert_attention(model, "se", where="conv")
    >>> plain = keras_attn.fold_attention(attending, a=1)
    >>> len(attending.weights) - len(plain.weights), plain.get_layer("conv_se").fixed
    (1, 1.0)
    """
    model = functional(model)
    _check_inserted(model)

    def copy(operation: Any) -> Any:
        if not isinstance(operation, InsertedAttention) or operation.a is None:
            return copy_operation(operation)
        value = float(keras.ops.convert_to_numpy(operation.a)) if a is None else a
        return type(operation).from_config({**operation.get_config(), "fixed": value})

    return rebuilt(model, lambda operation, *args, **kwargs: operation(*args, **kwargs), copy)


def _insertion(
    x: Any, operation: Any, attention: Any, identity: bool, suffix: str | None, data_format: str
) -> InsertedAttention | None:
    """The layer that stands behind `operation`, whose output is x."""
    name = operation.name
    if not isinstance(x, keras.KerasTensor) or len(x.shape) != 4:
        shapes = keras.tree.map_structure(lambda y: y.shape, x)
        raise ValueError(
            "`where` must pick layers whose output is one map (B, H, W, C). "
            f"Received: {name!r}, whose output is {shapes}"
        )
    named, _ = kind_and_options(attention)
    if not isinstance(named, (str, keras.layers.Layer)):
        attention = attention(name, tuple(x.shape))
        check_attention(attention, none=True)
        if attention is None:
            return None
    if getattr(attention, "data_format", data_format) != data_format:
        raise ValueError(
            f"`attention` must have the data format of the model, {data_format!r}. "
            f"Received: attention={attention.name!r} with {attention.data_format!r}"
        )
    kind = attention_name(attention)
    channels, *size = x.shape[1:] if data_format == "channels_first" else x.shape[:0:-1]
    size = tuple(size if data_format == "channels_first" else size[::-1])
    dtype = getattr(operation, "dtype_policy", None) or _POLICIES.get(x.dtype, x.dtype)
    try:
        layer = make_attention(
            attention, channels, size, data_format=data_format, dtype=dtype, name=kind
        )
        inserted = InsertedAttention(
            layer, fixed=None if identity else 1.0, name=f"{name}_{suffix or kind}", dtype=dtype
        )
        inserted.build(tuple(x.shape))
    except ValueError as error:
        raise ValueError(
            f"`attention` must fit behind {name!r}, whose output is {tuple(x.shape)}. Received: "
            f"{kind!r}, which says: {error} "
            "A layer with other arguments may fit, such as SqueezeExcite(ratio=4), or a function "
            "that returns None for this place"
        ) from error
    return inserted


def _check_new(inserted: InsertedAttention | None, taken: set[str]) -> None:
    if inserted is not None and inserted.name in taken:
        raise ValueError(
            "`suffix` must give names that are new in the model; remove_attention(model) takes "
            f"out what is there. Received: {inserted.name!r}, which the model has"
        )


def _check_inserted(model: keras.Model) -> None:
    if not any(isinstance(layer, InsertedAttention) for layer in model.layers):
        hint = nested_hint(model.layers).replace("insert into", "call this for")
        raise ValueError(
            f"`model` must have attention that insert_attention put in{hint}. "
            f"Received: model={model.name!r}"
        )
