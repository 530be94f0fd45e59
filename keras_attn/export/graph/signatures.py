"""The signatures of an exported network: what a server can be asked for, in which form.

| signature | takes | gives |
|---|---|---|
| `serving_default` | `image`, float32 (B, H, W, C), as the network takes it | `logits`, `probabilities`; or `outputs`; or what is in the dict that the network gives |
| `serve_uint8` | `image`, uint8 (B, h, w, C), pixels of any size | the same |
| `serve_bytes` | `image_bytes`, string (B,), files, see `decoding.py` | `labels`, `scores`, (B, k), the best first; of other networks what `answers.py` says |
| `serve_attention` | `image_bytes` | those, `image` (B, H, W, C) as the network sees it, 0..1, `attention_<layer>`, and `heads_<layer>` of several heads |
"""  # noqa: E501

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_attn.applications.inputs import box_decoder
from keras_attn.export.graph.answers import Boxes, Outputs, answer_of
from keras_attn.export.graph.attention import attention_endpoint
from keras_attn.export.graph.endpoint import (
    class_output,
    image_endpoint,
    with_constants,
    writes_captions,
)
from keras_attn.images import Preprocessing
from keras_attn.images.graph.pixels import decode, decode_with_places, normalise, resize
from keras_attn.typing import Tensor

DEFAULT = "serving_default"
UINT8 = "serve_uint8"
BYTES = "serve_bytes"
ATTENTION = "serve_attention"
TOP_K = 5
FILES = tf.TensorSpec((None,), tf.string, name="image_bytes")


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function of one tensor.

    Attributes:
        name: Name of the signature.
        spec: Shape and dtype of that tensor.
        read: Function of that tensor, which gives floats `(B, H, W, C)`: the network's image, or
            its pixel values. Where boxes are answered it gives the images' places as well.
        answer: Function of what is read, which gives the outputs.
    """

    name: str
    spec: tf.TensorSpec
    read: Callable[[Tensor], Any]
    answer: Callable[..., Outputs]

    def run(self, value: tf.Tensor) -> Outputs:
        """What a request gets; of no image, an empty answer."""
        images, *places = self.parts(value)
        # TensorFlow's convolutions of no image give the input's shape: one of zeros is cut off.
        # Concatenated and not padded, because then the converters see the other sides.
        count, *sides = tf.unstack(tf.shape(images))
        missing = tf.cast(tf.equal(count, 0), tf.int32)
        images = tf.concat([images, tf.zeros([missing, *sides])], axis=0)
        places = [tf.concat([each, tf.ones([missing, 3, 2])], axis=0) for each in places]
        outputs = self.answer(images, *places)
        return {name: output[:count] for name, output in outputs.items()}

    def parts(self, value: Tensor) -> list[tf.Tensor]:
        """The images that are read, and their places where those count."""
        read = self.read(value)
        return list(read) if isinstance(read, (tuple, list)) else [read]


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
        top = answer_of(model, class_names, top_k)
        decode = _decoder(preprocessing, shape[-1], isinstance(top, Boxes))
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
    if writes_captions(model) or box_decoder(model) is not None:
        return {}
    if (
        len(classes) not in (2, 4)
        or classes[-1] is None
        or (len(classes) == 4 and classes[-1] > 256)
    ):
        reason = f"outputs of shape {classes} are no classes"
        return dict.fromkeys(of_pixels[1:], reason)
    return {}


@functools.lru_cache(maxsize=4)
def _decoder(
    preprocessing: Preprocessing, channels: int, with_places: bool
) -> Callable[[tf.Tensor], Any]:
    """Files -> pixel values: one graph, which is large, for all who read files.

    A network that is folded has its signatures made twice, and a process may export several.
    """
    how = decode_with_places if with_places else decode
    read = functools.partial(how, preprocessing, channels=channels)
    graph: Callable[[tf.Tensor], Any] = tf.function(read, input_signature=[FILES], autograph=False)
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
    decode: Callable[[tf.Tensor], Any],
    top: Callable[..., Outputs],
) -> Signature:
    def answer(pixels: tf.Tensor, *places: tf.Tensor) -> Outputs:
        return top(predict(normalise(preprocessing, pixels)), *places)

    return Signature(BYTES, FILES, decode, answer)


def _of_attention(
    look: Callable[[tf.Tensor], tuple[Outputs, Outputs]],
    preprocessing: Preprocessing,
    decode: Callable[[tf.Tensor], Any],
    top: Callable[..., Outputs],
) -> Signature:
    def answer(pixels: tf.Tensor, *places: tf.Tensor) -> Outputs:
        outputs, attention = look(normalise(preprocessing, pixels))
        return {**top(outputs, *places), "image": pixels / 255.0, **attention}

    return Signature(ATTENTION, FILES, decode, answer)
