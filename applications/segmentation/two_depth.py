"""A deep network that says where, and a shallow one that says exactly: Lin et al., GRSL 2017."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_attn._checks import check_int, check_positive_int
from keras_attn.applications.common.backbone import image_and_features
from keras_attn.applications.common.blocks import channel_axis
from keras_attn.applications.common.construction import at_least_float32
from keras_attn.applications.segmentation.parts import convolved, scores
from keras_attn.layers import AttentionGate
from keras_attn.losses import GatedCrossentropy
from keras_attn.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class TwoDepthSegmenter(keras.Model):
    """A functional model of a coarse map and a fine one, and the loss that trains both.

    `fit` takes images and a dict of labels: `"coarse"` (B, h, w), the class of each place of the
    coarse map, and `"fine"` (B, H, W), 0 or 1 for each pixel. The loss is the crossentropy of the
    coarse map, and `GatedCrossentropy` of the fine one, whose gate is the coarse map's: while that
    gives no place, as at the start, the fine network doesn't learn. `compile` needs no loss;
    metrics are of `"coarse"` and of `"probabilities"`.

    Attributes:
        guided: Whether the fine network learns behind the gate alone, or everywhere; compile the
            model after a change. It isn't saved.
    """

    guided: bool = True

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The loss of a batch; raises a ValueError where `y` doesn't fit the maps."""
        found = self.loss_terms(y, y_pred)
        loss = found["coarse"] + found["fine"]
        if sample_weight is not None:
            loss = loss * ops.cast(sample_weight, loss.dtype)
        return sum(self.losses, ops.mean(loss))

    def loss_terms(self, y: Any, y_pred: Any) -> dict[str, Tensor]:
        """The losses of the coarse and the fine map, each (B,)."""
        labels = {name: _without_channel(y, name, y_pred[name]) for name in ("coarse", "fine")}
        coarse = keras.losses.sparse_categorical_crossentropy(
            labels["coarse"], y_pred["coarse"], from_logits=True
        )
        gate = y_pred["gate"][..., 0]
        gate = gate if self.guided else ops.ones_like(gate)
        fine = ops.stack([ops.cast(labels["fine"], gate.dtype), gate], axis=-1)
        return {
            "coarse": ops.mean(coarse, axis=(1, 2)),
            "fine": GatedCrossentropy().call(fine, y_pred["fine"]),
        }

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Those of the coarse classes and of the gated probabilities."""
        given = {"coarse": y["coarse"], "probabilities": y["fine"]}
        found = {name: y_pred[name] for name in given}
        return super().compute_metrics(x, given, found, sample_weight)


def _without_channel(y: Any, name: str, predicted: Tensor) -> Tensor:
    """Labels as (B, h, w)."""
    if not isinstance(y, dict) or name not in y:
        raise ValueError(f"`y` must be a dict with {name!r}. Received: y={type(y).__name__}")
    labels: Tensor = y[name]
    if len(labels.shape) == 4 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    wanted, sides = tuple(predicted.shape[1:3]), tuple(labels.shape[1:])
    fits = len(sides) == 2 and all(
        None in (a, b) or a == b for a, b in zip(sides, wanted, strict=True)
    )
    if not fits:
        raise ValueError(
            f"`y` must have {name!r} of the map's size, (B, {wanted[0]}, {wanted[1]}). "
            f"Received: shape {tuple(labels.shape)}"
        )
    return labels


def TwoDepthFCN(
    backbone: keras.Model,
    classes: int = 4,
    *,
    gate_classes: int | Sequence[int] = 0,
    filters: Sequence[int] = (32, 32, 32),
    mode: str = "hard",
    name: str = "two_depth_fcn",
) -> TwoDepthSegmenter:
    """A deep network's coarse classes gate a shallow network's exact places.

    Lin, Shi and Zou, "Fully Convolutional Network With Task Partitioning for Inshore Ship
    Detection in Optical Remote Sensing Images", IEEE GRSL 2017: deep layers classify well and
    localise badly, shallow ones the reverse. The abstract alone is public; the shallow network's
    layers, the gate's form and that both learn at once are ours, and no number is reproduced.

    Args:
        backbone: See `FCN`; the deep network, whose last map is the coarse one.
        classes: Number of its classes; the paper's are bow or stern, hull, sea and land.
        gate_classes: Those whose places the shallow network is for, see `AttentionGate`.
        filters: Filters of the shallow network's 3x3 convolutions, each on all of the image's
            pixels.
        mode: `"hard"` or `"soft"`, see `AttentionGate`.
        name: The model's name.

    Returns:
        A functional model from images to a dict: `"coarse"` (B, h, w, classes) and `"fine"`
        (B, H, W, 1), logits; `"gate"` (B, H, W, 1); and `"probabilities"` (B, H, W, 1), of the
        fine map where the gate is open, and 0 elsewhere.

    Raises:
        ValueError: If an argument is wrong, or the backbone doesn't give maps.

    Example:

    >>> backbone = keras_attn.applications.CIFARResNet(8, include_top=False)
    >>> model = keras_attn.applications.TwoDepthFCN(backbone, filters=(8, 8))
    >>> model.compile("adam")
    >>> images = np.zeros((2, 24, 24, 3))
    >>> labels = {"coarse": np.zeros((2, 6, 6), "uint8"), "fine": np.zeros((2, 24, 24), "uint8")}
    >>> history = model.fit(images, labels, verbose=0)
    >>> {name: tuple(y.shape) for name, y in model(images).items()}
    {'coarse': (2, 6, 6, 4), 'fine': (2, 24, 24, 1), 'gate': (2, 24, 24, 1), 'probabilities': (2, 24, 24, 1)}
    """  # noqa: E501
    check_int("classes", classes, "an integer of at least 2", least=2)
    if isinstance(filters, int) or not filters:
        raise ValueError(f"`filters` must be a sequence of them. Received: filters={filters!r}")
    image, features = image_and_features(backbone)
    coarse = scores(features, classes, "coarse")
    x = image
    for number, width in enumerate(filters, start=1):
        x = convolved(x, check_positive_int("filters", width), 3, name=f"shallow{number}")
    fine = scores(x, 1, "fine")
    dtype = at_least_float32()
    where = keras.layers.Softmax(axis=channel_axis(), dtype=dtype, name="coarse_probabilities")
    what = keras.layers.Activation("sigmoid", dtype=dtype, name="fine_probabilities")
    gate = AttentionGate(gate_classes, mode, dtype=dtype, name="gate")
    gated, is_open = gate(what(fine), where(coarse), return_attention=True)
    outputs = {"coarse": coarse, "fine": fine, "gate": is_open, "probabilities": gated}
    if channel_axis() == 1:
        outputs = {
            key: keras.layers.Permute((2, 3, 1), name=f"{key}_last", dtype=dtype)(y)
            for key, y in outputs.items()
        }
    return TwoDepthSegmenter(image, outputs, name=name)
