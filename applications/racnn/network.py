"""The graph of RA-CNN: a classifier for each scale, and between them what to enlarge."""

from __future__ import annotations

import keras
from keras import ops

from keras_attn._checks import check_int, check_pair
from keras_attn.applications.common.backbone import image_shape
from keras_attn.applications.racnn.classifier import ScaleClassifier
from keras_attn.applications.racnn.nested_boxes import NestedBoxes
from keras_attn.layers import AttentionProposal, AttentionZoom


def RACNN(
    backbone: keras.Model,
    classes: int,
    *,
    scales: int = 3,
    size: int | tuple[int, int] | None = None,
    input_shape: tuple[int, int, int] | None = None,
    shared: bool = False,
    units: int = 1024,
    pool_size: int = 2,
    min_half: float = 1 / 3,
    sharpness: float | None = None,
    sharpness_units: str = "pixels",
    margin: float = 0.05,
    name: str = "racnn",
) -> ScaleClassifier:
    """Recurrent attention CNN: classifies, enlarges the part that it proposes, classifies again.

    Fu et al., "Look Closer to See Better", CVPR 2017. At each scale the backbone's features are
    averaged and classified; all but the last give a box by `AttentionProposal`, and the next scale
    sees that part of what this one saw, enlarged by `AttentionZoom`. The fused classifier takes the
    scales' features, each of length 1; it teaches itself alone. The model trains by plain `fit`,
    for which `compile` needs no loss, or in the paper's turns by `keras_attn.finetune.alternate`.
    No port reaches the paper's accuracies, and neither is that claimed here.

    Args:
        backbone: Functional model from images (B, H, W, C) to features (B, h, w, C'), without a
            classifier: ours and those of keras.applications with `include_top=False`. Each scale
            gets a copy of it, with its weights; it isn't changed.
        classes: Number of classes.
        scales: Number of scales, 2 or more.
        size: Height and width of the enlarged parts; by default the images'.
        input_shape: (H, W, C) of the images, where the backbone takes any size.
        shared: Whether the scales have one backbone in common.
        units: See `AttentionProposal`, as for `min_half`.
        pool_size: See `AttentionProposal`; the first scale's. The others have none, as in the
            paper, unless `size` is the images'.
        min_half: The least half side of a box, as a part of what the scale sees.
        sharpness: See `AttentionZoom`, as for `sharpness_units`; the paper has 10.
        sharpness_units: `"pixels"` or `"boxes"`.
        margin: By how much the loss asks each scale to be surer than the one before it.
        name: The model's name.

    Returns:
        A functional model from images, as the backbone takes them, to a dict: `"scale1"`, ... and
        `"probabilities"` (B, classes), the fused ones; `"boxes"` (B, scales - 1, 4), in
        `BoxCrop2D`'s normalized units of the whole image.

    Raises:
        ValueError: If an argument is wrong, the backbone doesn't give one map of features, or the
            images' size isn't known.

    Example:

    >>> backbone = keras_attn.applications.CIFARResNet(8, include_top=False)
    >>> model = keras_attn.applications.RACNN(
    ...     backbone, 10, scales=2, input_shape=(32, 32, 3), units=16)
    >>> model.compile("adam", metrics=["accuracy"])
    >>> images, labels = np.zeros((4, 32, 32, 3)), np.arange(4)
    >>> sorted(model.fit(images, labels, verbose=0).history)
    ['accuracy', 'loss']
    >>> {name: tuple(x.shape) for name, x in model(images).items()}
    {'scale1': (4, 10), 'scale2': (4, 10), 'probabilities': (4, 10), 'boxes': (4, 1, 4)}
    """
    check_int("scales", scales, "an integer of at least 2", least=2)
    check_int("classes", classes, "an integer of at least 2", least=2)
    shape = image_shape(backbone, input_shape)
    image = keras.Input(shape, name="image")
    sides = shape[:2] if size is None else check_pair("size", size)
    if None not in backbone.inputs[0].shape[1:3] and sides != shape[:2]:
        raise ValueError(
            "`size` must be the images' where the backbone takes no other. "
            f"Received: size={size}, backbone of {shape}"
        )
    networks = [_copy(backbone, "features")] * scales if shared else None
    seen, outputs, descriptors, boxes = image, {}, [], []
    for number in range(1, scales + 1):
        network = networks[0] if networks else _copy(backbone, f"features{number}")
        features = network(seen)
        descriptor = keras.layers.GlobalAveragePooling2D(name=f"average{number}")(features)
        descriptors.append(descriptor)
        head = keras.layers.Dense(
            classes, activation="softmax", dtype="float32", name=f"predictions{number}"
        )
        outputs[f"scale{number}"] = head(descriptor)
        if number == scales:
            break
        zoom = AttentionZoom(
            sides,
            sharpness,
            sharpness_units=sharpness_units,
            data_format="channels_last",
            name=f"zoom{number}",
        )
        is_large = number == 1 or sides == shape[:2]
        proposal = AttentionProposal(
            units,
            pool_size if is_large else 1,
            min_half=min_half,
            data_format="channels_last",
            name=f"proposal{number}",
        )
        boxes.append(proposal(features))
        seen = zoom(seen, boxes[-1])
    fused = [
        keras.layers.UnitNormalization(name=f"unit{number}")(ops.stop_gradient(descriptor))
        for number, descriptor in enumerate(descriptors, 1)
    ]
    head = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="predictions")
    outputs["probabilities"] = head(keras.layers.Concatenate(name="fused")(fused))
    outputs["boxes"] = NestedBoxes(name="boxes")(boxes)
    return ScaleClassifier(image, outputs, margin=margin, name=name)


def _copy(backbone: keras.Model, name: str) -> keras.Model:
    """A backbone of the same weights, whose layers have names of their own.

    On PyTorch, Keras sets back only one of the gradients of weights that have the same path.
    """

    def renamed(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = {**layer.get_config(), "name": f"{name}_{layer.name}"}
        copied: keras.layers.Layer = type(layer).from_config(config)
        return copied

    copy = keras.models.clone_model(backbone, clone_function=renamed, recursive=True)
    copy.set_weights(backbone.get_weights())
    return keras.Model(copy.inputs[0], copy.outputs[0], name=name)
