"""The signatures of an exported network: what a server can be asked for, in which form.

| signature | takes | gives |
|---|---|---|
| `serving_default` | `image`, float32 (B, H, W, C), as the network takes it | `logits`, `probabilities`; or `outputs`; or what is in the dict that the network gives |
| `serve_uint8` | `image`, uint8 (B, h, w, C), pixels of any size | the same |
| `serve_bytes` | `image_bytes`, string (B,), files, see `decoding.py` | `labels`, `scores`, (B, k), the best first; of a network that gives classes of pixels, `mask_bytes` (B,), see `_Masks` |
| `serve_attention` | `image_bytes` | those, `image` (B, H, W, C) as the network sees it, 0..1, `attention_<layer>`, and `heads_<layer>` of several heads |
"""  # noqa: E501

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import keras
import tensorflow as tf

from keras_attn.export.graph.attention import attention_endpoint
from keras_attn.export.graph.endpoint import class_output, image_endpoint, with_constants
from keras_attn.images import Preprocessing
from keras_attn.images.graph.pixels import decode, normalise, resize
from keras_attn.typing import Tensor

DEFAULT = "serving_default"
UINT8 = "serve_uint8"
BYTES = "serve_bytes"
ATTENTION = "serve_attention"
MASK = "mask_bytes"  # TF Serving's REST interface writes base64 of what is named so
TOP_K = 5
FILES = tf.TensorSpec((None,), tf.string, name="image_bytes")

Outputs = dict[str, tf.Tensor]
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function of one tensor.

    Attributes:
        name: Name of the signature.
        spec: Shape and dtype of that tensor.
        read: Function of that tensor, which gives floats `(B, H, W, C)`: the network's image, or
            its pixel values.
        answer: Function of those floats, which gives the outputs.
    """

    name: str
    spec: tf.TensorSpec
    read: Callable[[Tensor], tf.Tensor]
    answer: Callable[[tf.Tensor], Outputs]

    def run(self, value: tf.Tensor) -> Outputs:
        """What a request gets; of no image, an empty answer."""
        images = self.read(value)
        # TensorFlow's convolutions of no image give the input's shape: one of zeros is cut off.
        # Concatenated and not padded, because then the converters see the other sides.
        count, *sides = tf.unstack(tf.shape(images))
        missing = tf.cast(tf.equal(count, 0), tf.int32)
        outputs = self.answer(tf.concat([images, tf.zeros([missing, *sides])], axis=0))
        return {name: output[:count] for name, output in outputs.items()}


def make_signatures(
    model: keras.Model,
    preprocessing: Preprocessing | None,
    class_names: Sequence[str] | None,
    top_k: int = TOP_K,
    *,
    constants: bool = False,
) -> tuple[dict[str, Signature], dict[str, str]]:
    """Makes what a network can be asked for.

    Args:
        model: A network that `check_image_model` accepts.
        preprocessing: The steps between pixels and the network; `None` where they aren't known.
        class_names: The names of the classes; their numbers where there are none.
        top_k: How many labels `serve_bytes` gives.
        constants: Whether the network's variables are constants in all but `serve_attention`.

    Returns:
        The signatures by their names, and for each that can't be, the reason.
    """
    shape = tuple(model.inputs[0].shape[1:])
    predict = image_endpoint(model)
    if constants:
        predict = with_constants(predict, shape)
    image = tf.TensorSpec((None, *shape), tf.float32, name="image")
    made = [Signature(DEFAULT, image, tf.convert_to_tensor, predict)]
    missing = _missing(model, preprocessing)
    if preprocessing is not None and UINT8 not in missing:
        made.append(_of_pixels(predict, preprocessing, shape))
    if preprocessing is not None and BYTES not in missing:
        classes = class_output(model).shape
        top = _TopClasses(classes[-1], class_names, top_k) if len(classes) == 2 else _Masks()
        decode = _decoder(preprocessing, shape[-1])
        made.append(_of_bytes(predict, preprocessing, decode, top))
        look = attention_endpoint(model)
        if look is None:
            missing[ATTENTION] = "the network has no layer that returns its attention"
        else:
            made.append(_of_attention(look, preprocessing, decode, top))
    return {signature.name: signature for signature in made}, missing


def _missing(model: keras.Model, preprocessing: Preprocessing | None) -> dict[str, str]:
    shape = tuple(model.inputs[0].shape[1:])
    of_pixels = (UINT8, BYTES, ATTENTION)
    if preprocessing is None:
        reason = (
            "it is not known what range of values the network takes: give `preprocessing`, or "
            "build it with include_preprocessing=True"
        )
        return dict.fromkeys(of_pixels, reason)
    if keras.config.image_data_format() == "channels_first" or shape[-1] not in (1, 3):
        reason = f"images of shape {shape} are no grey or RGB files"
        return dict.fromkeys(of_pixels, reason)
    if preprocessing.size is None:
        reason = "the network takes any size, so that files need one: give `preprocessing.size`"
        return dict.fromkeys(of_pixels[1:], reason)
    classes = tuple(class_output(model).shape)
    if (
        len(classes) not in (2, 4)
        or classes[-1] is None
        or (len(classes) == 4 and classes[-1] > 256)
    ):
        reason = f"outputs of shape {classes} are no classes"
        return dict.fromkeys(of_pixels[1:], reason)
    return {}


class _TopClasses:
    """Scores (B, classes) -> `labels` and `scores`, (B, k)."""

    def __init__(self, classes: int, names: Sequence[str] | None, top_k: int) -> None:
        self.names = list(names) if names is not None else [str(i) for i in range(classes)]
        self.k = min(top_k, classes)

    def __call__(self, outputs: Outputs) -> Outputs:
        scores, classes = tf.math.top_k(main_output(outputs), self.k)
        return {"labels": tf.gather(tf.constant(self.names), classes), "scores": scores}


class _Masks:
    """Scores (B, H, W, K) -> `mask_bytes`, a PNG of each image: grey, the class of each pixel.

    It has the size that the network gives, not the file's. Of a single score a pixel is 1 where it
    is above a half.
    """

    def __call__(self, outputs: Outputs) -> Outputs:
        scores = main_output(outputs)
        if scores.shape[-1] == 1:
            masks = tf.cast(scores > 0.5, tf.uint8)
        else:
            masks = tf.cast(tf.expand_dims(tf.argmax(scores, axis=-1), -1), tf.uint8)
        # One by one: TF Serving's older versions encode no batch.
        files = tf.map_fn(tf.io.encode_png, masks, fn_output_signature=tf.string)
        return {MASK: files}


def main_output(outputs: Mapping[str, T]) -> T:
    """What classes are ranked by."""
    return outputs["probabilities"] if "probabilities" in outputs else outputs["outputs"]


@functools.lru_cache(maxsize=4)
def _decoder(preprocessing: Preprocessing, channels: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Files -> pixel values: one graph, which is large, for all who read files.

    A network that is folded has its signatures made twice, and a process may export several.
    """
    read = functools.partial(decode, preprocessing, channels=channels)
    graph: Callable[[tf.Tensor], tf.Tensor] = tf.function(
        read, input_signature=[FILES], autograph=False
    )
    return graph


def _of_pixels(
    predict: Callable[[tf.Tensor], Outputs],
    preprocessing: Preprocessing,
    shape: tuple[int | None, ...],
) -> Signature:
    spec = tf.TensorSpec((None, None, None, shape[-1]), tf.uint8, name="image")

    def answer(pixels: tf.Tensor) -> Outputs:
        return predict(normalise(preprocessing, pixels))

    return Signature(UINT8, spec, functools.partial(resize, preprocessing), answer)


def _of_bytes(
    predict: Callable[[tf.Tensor], Outputs],
    preprocessing: Preprocessing,
    decode: Callable[[tf.Tensor], tf.Tensor],
    top: Callable[[Outputs], Outputs],
) -> Signature:
    def answer(pixels: tf.Tensor) -> Outputs:
        return top(predict(normalise(preprocessing, pixels)))

    return Signature(BYTES, FILES, decode, answer)


def _of_attention(
    look: Callable[[tf.Tensor], tuple[tf.Tensor, Outputs]],
    preprocessing: Preprocessing,
    decode: Callable[[tf.Tensor], tf.Tensor],
    top: Callable[[Outputs], Outputs],
) -> Signature:
    def answer(pixels: tf.Tensor) -> Outputs:
        scores, attention = look(normalise(preprocessing, pixels))
        scores = tf.cast(scores, tf.float32)
        return {**top({"outputs": scores}), "image": pixels / 255.0, **attention}

    return Signature(ATTENTION, FILES, decode, answer)
