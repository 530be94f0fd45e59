"""What a network is given, what answers for it, and what its outputs are called."""

from __future__ import annotations

import dataclasses

import keras

from keras_attn._keras import classified
from keras_attn.applications.captions import Captioner
from keras_attn.applications.common.preprocessing import Normalisation
from keras_attn.applications.detection import Detector, detector_of
from keras_attn.applications.detection.keras_hub import is_keras_hubs
from keras_attn.applications.imagenet import class_names_of_imagenet
from keras_attn.applications.segmentation.resizing import ResizeBy
from keras_attn.images import Preprocessing
from keras_attn.layers import BoxDecoder, CaptionSearch
from keras_attn.weights.markers import get_metadata

BEAM_WIDTH = 3


def answering(model: keras.Model) -> keras.Model:
    """The network from images to answers, of one that is trained as another.

    Args:
        model: Any network. A `Captioner`, which is trained with the captions as an input, gives its
            writer, of greedy and of beam search; and KerasHub's RetinaNet a `Detector`.
    """
    if isinstance(model, Captioner):
        return model.writer(beam_width=BEAM_WIDTH, greedy=True)
    return detector_of(model) if is_keras_hubs(model) else model


def scored(model: keras.Model) -> keras.KerasTensor:
    """What a network is asked for: its one output, or of a dict its scores or its tokens."""
    return classified(model, ("probabilities", "tokens"))


def box_decoder(model: keras.Model) -> BoxDecoder | None:
    """What makes a network's boxes, or `None` where it gives none."""
    found = (layer for layer in model.layers if isinstance(layer, BoxDecoder))
    return next(found, None)


def caption_search(model: keras.Model) -> CaptionSearch | None:
    """What writes a network's captions, or `None` where it writes none."""
    found = (layer for layer in model.layers if isinstance(layer, CaptionSearch))
    return next(found, None)


def find_preprocessing(model: keras.Model) -> Preprocessing | None:
    """What a network is given, as far as it can be known.

    A network that begins with `Rescaling` or `Normalization`, as `include_preprocessing=True` makes
    it, takes pixel values. Another takes what its weights ask for, if they say so; and so do crop
    and interpolation come from there. Without it, the whole image is resized; and so it is for
    masks and boxes, which are of all of the image.

    Args:
        model: A functional or Sequential network of one image input `(B, H, W, C)`.

    Returns:
        The preprocessing, or `None` where nothing is known.
    """
    metadata = get_metadata(model)
    takes_pixels = _begins_with_pixels(model)
    if metadata is None and not takes_pixels:
        return None
    sides = tuple(model.inputs[0].shape[1:3])
    size = None if None in sides else sides
    if metadata is None:
        return Preprocessing(size)
    is_of_places = box_decoder(model) is not None or len(scored(model).shape) == 4
    found = Preprocessing(
        size or (metadata.size, metadata.size),
        crop=None if is_of_places else metadata.crop,
        interpolation="bicubic" if metadata.interpolation == "bicubic" else "bilinear",
    )
    if takes_pixels:
        return found
    if model.inputs[0].shape[-1] != len(metadata.mean):
        return None  # of other channels nothing is known
    mean, std = Normalisation.of(metadata).in_pixels
    return dataclasses.replace(found, mean=tuple(mean), std=tuple(std))


def find_class_names(model: keras.Model) -> list[str] | None:
    """The names of a network's classes, if its weights have them and its head is theirs.

    Of a network that writes captions they are its words; a `Detector` has them itself.
    """
    if (search := caption_search(model)) is not None:
        return search.words
    if isinstance(model, Detector):
        return model.class_names
    metadata = get_metadata(model)
    if metadata is None or metadata.labels is None:
        return None
    names = list(class_names_of_imagenet() if metadata.labels == "imagenet" else metadata.labels)
    return names if len(names) == model.outputs[0].shape[-1] else None


def _begins_with_pixels(model: keras.Model) -> bool:
    kinds = (keras.layers.Rescaling, keras.layers.Normalization)
    before = (keras.layers.InputLayer, ResizeBy)
    first = [layer for layer in model.layers if not isinstance(layer, before)][0]
    if isinstance(first, keras.Model):
        return _begins_with_pixels(first)
    return isinstance(first, kinds)
