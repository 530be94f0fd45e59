"""Masks cut to boxes: by hand, and as `BoxCrop2D` cuts them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_attn.data.synthetic import ShapeScenes, mask_crops, shape_scenes
from keras_attn.layers import BoxCrop2D


def test_by_hand():
    """An object on rows 2 and 3, columns 0 to 3, of which another covers a corner."""
    instances = np.zeros((1, 8, 8), "uint8")
    instances[0, 2:4, :4] = 1
    instances[0, 3, 2:4] = 2
    boxes = np.array([[[-0.25, -0.5, 0.25, 0.5], [0, 0, 0, 0]]], "float32")
    labels = np.array([[0, -1]])
    scenes = ShapeScenes(np.zeros((1, 8, 8, 3), "uint8"), labels, boxes, instances, instances)
    crops = mask_crops(scenes, 4)
    assert crops.dtype == "uint8" and crops.shape == (1, 2, 4, 4)
    # Its two rows are four of the crop: the first and the last on their centres' far side.
    assert crops[0, 0].tolist() == [[1] * 4, [1] * 4, [1, 1, 0, 0], [1, 1, 0, 0]]
    assert not crops[0, 1].any()


def test_as_box_crop_2d_cuts():
    scenes = shape_scenes(6, size=64, objects=(3, 3), sides=(16, 36), seed=4)
    crops = mask_crops(scenes, 28)
    for number in range(3):
        masks = (scenes.instances == number + 1)[..., None].astype("float32")
        layer = BoxCrop2D(28, units="normalized")
        cut = keras.ops.convert_to_numpy(layer(masks, scenes.boxes[:, number]))[..., 0]
        cut = np.where(scenes.labels[:, number, None, None] < 0, 0, cut)
        # Outside the image `BoxCrop2D` has zeros; and 1/2 may be rounded either way.
        differs = (cut >= 0.5) != crops[:, number]
        assert differs.mean() < 0.01
        assert (np.abs(cut[:, 1:-1, 1:-1] - 0.5)[differs[:, 1:-1, 1:-1]] < 1e-5).all()
    assert 0.4 < crops[scenes.labels >= 0].mean() < 1


def test_a_size_that_makes_no_sense():
    with pytest.raises(ValueError, match="`size` must be a positive integer. Received: size=0"):
        mask_crops(shape_scenes(1, size=16), 0)
