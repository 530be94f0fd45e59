"""Boxes of anchors by hand, and greedy suppression by NumPy; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import BoxDecoder


def made(boxes, probabilities, **options):
    """A decoder of N anchors that are the boxes, and what it gives of them."""
    decoder = BoxDecoder(**options)
    boxes = np.asarray(boxes, "float32")
    probabilities = np.asarray(probabilities, "float64")
    logits = np.log(probabilities) - np.log1p(-probabilities)
    decoder.build((None, len(boxes), 4), (None, *probabilities.shape))
    decoder.anchors.assign(np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1))
    return decoder, decoder(np.zeros((1, *boxes.shape)), logits[None])


def selected(decoder, found):
    return {name: ops.convert_to_numpy(x)[0] for name, x in decoder.select(found).items()}


def test_boxes_by_hand():
    decoder = BoxDecoder()
    decoder.build((None, 2, 4), (None, 2, 3))
    decoder.anchors.assign([[0, 0, 4, 8], [10, 20, 20, 22]])
    deltas = np.array([[[0, 0, 0, 0], [0.5, -1, np.log(2), np.log(3)]]])
    found = decoder(deltas, np.array([[[0, -np.log(3), 0]] * 2]))
    # The second's centre goes from (15, 21) to (20, 19); its sides from 10 and 2 to 20 and 6.
    np.testing.assert_allclose(found["boxes"], [[[0, 0, 4, 8], [10, 16, 20, 6]]], rtol=1e-6)
    np.testing.assert_allclose(found["probabilities"], [[[0.5, 0.25, 0.5]] * 2], rtol=1e-6)


def test_the_likeliest_box_of_a_place_is_told():
    boxes = [[0, 0, 10, 10], [1, 0, 10, 10], [0, 0, 10, 4], [50, 50, 5, 5], [80, 80, 5, 5]]
    probabilities = [[0.6, 0.1], [0.2, 0.9], [0.7, 0.1], [0.1, 0.8], [0.4, 0.3]]
    decoder, found = made(boxes, probabilities, max_boxes=4)
    told = selected(decoder, found)
    # The first shares 9/11 with the second, which is likelier and of another class; the third
    # shares less than half with either; the last is too unlikely.
    np.testing.assert_allclose(told["scores"], [0.9, 0.8, 0.7, 0], rtol=1e-5)
    np.testing.assert_allclose(told["boxes"], [boxes[1], boxes[3], boxes[2], [0] * 4], rtol=1e-5)
    assert told["classes"].tolist() == [1, 1, 0, -1]


def iou(one, other):
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    shared = np.prod(np.maximum(high - low, 0))
    return shared / (np.prod(one[2:]) + np.prod(other[2:]) - shared)


@pytest.mark.parametrize(("threshold", "most"), [(0.3, 40), (0.6, 40), (0.6, 3)])
def test_greedy_suppression_by_numpy(threshold, most):
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(0, 30, (40, 2)), rng.uniform(5, 20, (40, 2))], axis=1)
    probabilities = rng.uniform(0.05, 0.95, (40, 3))
    decoder, found = made(
        boxes, probabilities, score_threshold=0.4, iou_threshold=threshold, max_boxes=most
    )
    told, kept = selected(decoder, found), []
    best = probabilities.max(-1)
    for number in np.argsort(-best):
        if best[number] > 0.4 and all(iou(boxes[number], boxes[k]) <= threshold for k in kept):
            kept.append(number)
    kept = kept[:most]
    assert (told["classes"] >= 0).sum() == len(kept)
    np.testing.assert_allclose(told["boxes"][: len(kept)], boxes[kept], rtol=1e-4)
    np.testing.assert_array_equal(told["classes"][: len(kept)], probabilities[kept].argmax(-1))


def test_of_no_likely_box_none_is_told():
    decoder, found = made([[0, 0, 4, 4]] * 3, [[0.1, 0.2]] * 3, max_boxes=2)
    told = selected(decoder, found)
    assert not told["boxes"].any() and not told["scores"].any()
    assert told["classes"].tolist() == [-1, -1]


def test_it_is_saved_with_its_anchors(tmp_path):
    deltas, logits = keras.Input((3, 4)), keras.Input((3, 2))
    decoder = BoxDecoder(0.3, 0.4, 5, name="boxes")
    model = keras.Model([deltas, logits], decoder(deltas, logits))
    decoder.anchors.assign(np.arange(12).reshape(3, 4))
    assert not model.trainable_weights
    model.save(tmp_path / "boxes.keras")
    again = keras.models.load_model(tmp_path / "boxes.keras").get_layer("boxes")
    np.testing.assert_array_equal(again.anchors, np.arange(12).reshape(3, 4))
    assert again.get_config() == decoder.get_config()


def test_sixteen_bits_are_not_for_pixels():
    decoder = BoxDecoder(dtype="mixed_bfloat16")
    found = decoder(ops.zeros((1, 3, 4), "bfloat16"), ops.zeros((1, 3, 2), "bfloat16"))
    assert {keras.backend.standardize_dtype(x.dtype) for x in found.values()} == {"float32"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_threshold": -0.1}, "`score_threshold` must be from 0 to 1. .*-0.1"),
        ({"iou_threshold": 1.1}, "`iou_threshold` must be from 0 to 1. .*1.1"),
        ({"max_boxes": 0}, "`max_boxes` must be a positive integer. .*0"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        BoxDecoder(**options)


@pytest.mark.parametrize("shapes", [((3, 4), (3, 2)), ((1, 3, 4), (1, 2, 2)), ((1, 3, 5),) * 2])
def test_wrong_shapes(shapes):
    with pytest.raises(ValueError, match=r"`deltas` must be \(B, N, 4\) and `logits` \(B, N, K\)"):
        BoxDecoder()(*(np.zeros(shape, "float32") for shape in shapes))
