"""The mask head against the paper's numbers and NumPy; the layer contract has the rest."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from keras_attn.layers import BoxCrop2D, MaskHead, select_class


def test_the_papers_number_of_weights():
    layer = MaskHead(80)
    layer.build((None, 14, 14, 256))
    assert layer.count_params() == 2_643_280
    agnostic = MaskHead(80, class_agnostic=True)
    agnostic.build((None, 14, 14, 256))
    assert layer.count_params() - agnostic.count_params() == 79 * 257


def test_a_head_without_convolutions_in_numpy():
    """Each pixel makes four: relu(x . k) . w + b, as the deconvolution's windows don't overlap."""
    layer = MaskHead(3, 5, depth=0)
    x = np.random.default_rng(0).normal(size=(2, 7, 11, 4)).astype("float32")
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    kernel, bias, last, last_bias = layer.get_weights()
    hidden = np.maximum(np.einsum("nhwc,yxoc->nhywxo", x, kernel) + bias, 0)
    expected = hidden.reshape(2, 14, 22, 5) @ last[0, 0] + last_bias
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), expected, atol=1e-4)


def test_the_own_class_is_selected():
    maps = np.random.default_rng(0).normal(size=(4, 3, 5, 7)).astype("float32")
    maps[0, 0, 0, 1] = np.inf
    found = ops.convert_to_numpy(select_class(maps, np.array([2, 6, -1, 0])))
    for number, own in ((0, 2), (1, 6), (3, 0)):
        np.testing.assert_array_equal(found[number], maps[number, :, :, own])
    assert not found[2].any()
    agnostic = select_class(maps[..., :1], np.array([2, 6, -1, 0]))
    np.testing.assert_array_equal(ops.convert_to_numpy(agnostic), maps[..., 0])
    with pytest.raises(ValueError, match=r"`maps` must be .* shapes \(3, 5, 7\) and \(2,\)"):
        select_class(maps[0], np.array([1, 2]))


def test_a_crop_twice_as_fine_and_a_mean_is_roi_align():
    """The paper's four samples of each bin, at a quarter and three quarters of its sides."""
    image = np.random.default_rng(0).normal(size=(1, 13, 11, 2)).astype("float32")
    y, x, half_y, half_x, bins = 6.3, 5.1, 3.7, 2.9, 4
    box = np.array([[[y, x, half_y, half_x]]], "float32")
    crop = ops.convert_to_numpy(BoxCrop2D(2 * bins)(image, box))[0, 0]
    found = crop.reshape(bins, 2, bins, 2, 2).mean(axis=(1, 3))

    def sample(row, column):
        rows = np.maximum(0, 1 - np.abs(row - 0.5 - np.arange(13)))
        columns = np.maximum(0, 1 - np.abs(column - 0.5 - np.arange(11)))
        return np.einsum("h,hwc,w->c", rows, image[0], columns)

    side_y, side_x = 2 * half_y / bins, 2 * half_x / bins
    for i, j in np.ndindex(bins, bins):
        four = [
            sample(y - half_y + (i + a) * side_y, x - half_x + (j + b) * side_x)
            for a in (0.25, 0.75)
            for b in (0.25, 0.75)
        ]
        np.testing.assert_allclose(found[i, j], np.mean(four, axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "`num_classes` must be a positive integer. Received: num_classes=0"),
        ({"num_classes": 2, "filters": 0}, "`filters` must be a positive integer"),
        ({"num_classes": 2, "depth": -1}, "`depth` must be an integer of at least 0"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        MaskHead(**options)
