"""A new classifier on the features of a network."""

import dataclasses
from typing import Any

import keras

from keras_attn._checks import check_int
from keras_attn._keras import made_by
from keras_attn.insertion.rebuild import functional
from keras_attn.weights import get_metadata, set_metadata

DROPOUT = "head_dropout"


def replace_head(
    model: keras.Model, classes: int, *, dropout: float = 0.0, kernel_initializer: Any = "zeros"
) -> keras.Model:
    """Puts a new softmax classifier in the place of a network's last layer.

    All other layers are shared with `model`: training one trains both. The new layer has the old
    one's name, and replaces a dropout that an earlier call put before it. Its kernel begins at zero
    by default, so that the first gradients that reach the features come from a head that already
    has learnt something. The labels that belong to the weights are forgotten, in `model`, too.

    Args:
        model: Functional or Sequential model that ends in `Dense`.
        classes: Number of classes of the new layer, at least 2.
        dropout: Rate of the dropout before it.
        kernel_initializer: Initializer of its kernel.

    Returns:
        A functional model.

    Raises:
        ValueError: If the model isn't functional or doesn't end in one `Dense`, or `classes` is no
            integer of at least 2.

    Example:

    >>> network = keras_attn.applications.CIFARResNet(20)
    >>> keras_attn.finetune.replace_head(network, 3).output_shape
    (None, 3)
    """
    rule = "an integer of at least 2: a softmax over one class is always 1"
    classes = check_int("classes", classes, rule, least=2)
    graph = functional(model)
    ends = [made_by(output) for output in graph.outputs]
    last = ends[0]
    if not isinstance(last, keras.layers.Dense) or len(ends) != 1:
        listed = ", ".join(f"{type(end).__name__} {end.name!r}" for end in ends)
        raise ValueError(
            "`model` must end in one Dense layer, the classifier. Received: model "
            f"{model.name!r}, which ends in {listed}"
        )
    x = last.input
    before = made_by(x)
    if before.name == DROPOUT:
        x = before.input
    if dropout:
        x = keras.layers.Dropout(dropout, name=DROPOUT)(x)
    x = keras.layers.Dense(
        classes,
        activation="softmax",
        kernel_initializer=kernel_initializer,
        dtype=last.dtype_policy,
        name=last.name,
    )(x)
    metadata = get_metadata(model)
    if metadata is not None:
        set_metadata(model, dataclasses.replace(metadata, labels=None))
    return keras.Model(graph.input, x, name=model.name)
