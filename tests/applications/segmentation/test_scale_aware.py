"""Segmentation at several scales: its graph in NumPy, its loss by hand; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from helpers.oracles.dense import resized, softmax
from keras_attn.applications import ScaleAwareSegmentation, ScaleSegmenter
from keras_attn.backend import value_and_gradient


def to_numpy(x):
    return ops.convert_to_numpy(x)


def make(backbone, **options):
    return ScaleAwareSegmentation(backbone, 3, **{"units": 5, "filters": 4, **options})


@pytest.mark.parametrize("mode", ["attention", "average", "max"])
def test_its_graph_in_numpy(backbone, bright, randomized, mode):
    model, images = randomized(make(backbone, mode=mode)), bright[0][:2]
    shared, fuse = model.get_layer("shared"), model.get_layer("scale_attention")
    each = [
        [to_numpy(x) for x in shared(resized(images, size).astype("float32"))]
        for size in ((12, 16), (9, 12), (6, 8))
    ]
    fused = to_numpy(fuse([x for x, _ in each], [y for _, y in each]))
    found = model(images)
    expected = {"probabilities": fused, "scale_1.0": each[0][1]}
    expected |= {"scale_0.75": each[1][1], "scale_0.5": each[2][1]}
    assert set(found) == set(expected)
    for name, scores in expected.items():
        np.testing.assert_allclose(
            to_numpy(found[name]), softmax(resized(scores, (12, 16))), atol=1e-5
        )


def test_the_scales_share_the_backbone(backbone):
    two, three = make(backbone, scales=(1, 0.5)), make(backbone)
    assert three.get_layer("shared").get_layer("backbone_conv") is backbone.layers[-1]
    assert three.count_params() - two.count_params() == 9 * 4 * 5 + 5 + 1  # of the attention


@pytest.mark.parametrize("sample_weight", [None, np.array([0.0, 2.0], "float32")])
@pytest.mark.parametrize("loss", [None, "sparse_categorical_crossentropy"])
def test_the_loss_by_hand(backbone, bright, loss, sample_weight):
    images, masks = (x[:2] for x in bright)
    model = make(backbone, scales=(1.0, 0.5))
    model.compile("sgd", loss)
    outputs = model(images)
    weights = np.ones(2) if sample_weight is None else sample_weight
    expected = 0.0
    for y in map(to_numpy, outputs.values()):
        right = np.take_along_axis(y, masks[..., None].astype("int64"), axis=-1)[..., 0]
        expected += (weights[:, None, None] * -np.log(right)).mean()
    found = model.compute_loss(
        y=ops.convert_to_tensor(masks), y_pred=outputs, sample_weight=sample_weight
    )
    assert float(to_numpy(found)) == pytest.approx(expected, rel=1e-5)


def test_extra_supervision_reaches_a_scale_that_is_not_believed(backbone, bright):
    """Its own loss teaches the head, though its weight in the fused scores is nothing."""
    images, masks = bright
    for supervised in (True, False):
        options = {"extra_supervision": supervised, "classifier_activation": None}
        model = make(backbone, scales=(1.0, 0.5), **options)
        kernel, _ = model.get_layer("scale_attention").logits.get_weights()
        bias = np.array([40.0, -40.0])
        model.get_layer("scale_attention").logits.set_weights([0 * kernel, bias])
        name = "image_0.5"
        inner = model.get_layer(name)

        def run(x, inner=inner, model=model):
            original = inner.call
            object.__setattr__(inner, "call", lambda *args: x)
            try:
                y = model(images)
            finally:
                object.__setattr__(inner, "call", original)
            outputs = y.values() if isinstance(y, dict) else [y]
            losses = [
                ops.mean(
                    keras.losses.sparse_categorical_crossentropy(masks, each, from_logits=True)
                )
                for each in outputs
            ]
            return sum(losses), None

        small = ops.convert_to_tensor(resized(images, (6, 8)), "float32")
        gradient = to_numpy(value_and_gradient(run, small)[1])
        assert bool(np.abs(gradient).max() > 1e-6) == supervised


# Keras's MeanIoU asks JAX for 64 bits.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
@pytest.mark.thorough
def test_it_trains_and_is_saved(backbone, bright, tmp_path, no_xla):
    images, masks = bright
    model = make(backbone, scales=(1.0, 0.5), dropout=0.0)
    metric = keras.metrics.MeanIoU(3, sparse_y_pred=False, name="iou")
    model.compile(keras.optimizers.Adam(0.03), metrics=[metric])
    many = np.tile(images, (30, 1, 1, 1)), np.tile(masks, (30, 1, 1))
    history = model.fit(*many, batch_size=12, epochs=1, verbose=0).history
    assert sorted(history) == ["iou", "loss"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, ScaleSegmenter)
    found, expected = loaded(images), model(images)
    for name, value in expected.items():
        np.testing.assert_allclose(to_numpy(found[name]), to_numpy(value), atol=1e-5)
    iou = loaded.evaluate(images, masks, verbose=0, return_dict=True)["iou"]
    classes = to_numpy(expected["probabilities"]).argmax(-1)
    shares = [
        ((masks == c) & (classes == c)).sum() / ((masks == c) | (classes == c)).sum()
        for c in range(3)
    ]
    assert iou == pytest.approx(np.mean(shares), abs=1e-5) and iou > 0.5


def test_logits(backbone, bright):
    images, masks = (x[:2] for x in bright)
    model = make(backbone, scales=(1.0, 0.5), classifier_activation=None)
    model.compile("sgd")
    outputs = model(images)
    assert set(outputs) == {"logits", "scale_1.0", "scale_0.5"}
    plain = make(backbone, scales=(1.0, 0.5))
    plain.set_weights(model.get_weights())
    plain.compile("sgd")
    losses = [
        float(to_numpy(each.compute_loss(y=ops.convert_to_tensor(masks), y_pred=each(images))))
        for each in (model, plain)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_explain_draws_the_scales(backbone, tmp_path):
    from keras_attn.explain import attention_maps, explain

    model = make(backbone, scales=(1.0, 0.5))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 12, 16, 3)).astype("float32")
    attention = attention_maps(model, pixels[..., :2])["scale_attention"]
    assert attention.shape == (1, 6, 8, 2)
    path = explain(model, pixels[..., :2], tmp_path / "scales.png", pixels=pixels)
    assert path.stat().st_size > 1000


def test_a_known_size(backbone):
    model = make(backbone, input_shape=(12, 16, 2))
    assert model.get_layer("image_0.75").output.shape == (None, 9, 12, 2)
    fixed = keras.Sequential([keras.Input((12, 16, 2)), keras.layers.Conv2D(4, 1)])
    with pytest.raises(ValueError, match=r"`backbone` must take images of any size.*\(12, 16, 2\)"):
        make(fixed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (12, 16)}, r"`input_shape` be \(H, W, C\)"),
        ({"scales": (1.0,)}, "`scales` must be two or more, from 1 downwards"),
        ({"scales": (0.5, 1.0)}, "`scales` must be two or more, from 1 downwards"),
        ({"scales": (1.0, 0.5, 0.5)}, r"from 1 downwards. Received: scales=\(1.0, 0.5, 0.5\)"),
        ({"scales": (1.0, 0.0)}, "from 1 downwards"),
        ({"classes": 1}, "`classes` must be an integer of at least 2"),
        ({"mode": "sum"}, "`mode` must be one of"),
        ({"filters": 0}, "`filters` must be a positive integer"),
    ],
)
def test_wrong_arguments(backbone, options, message):
    with pytest.raises(ValueError, match=message):
        ScaleAwareSegmentation(**{"backbone": backbone, "classes": 3, **options})
