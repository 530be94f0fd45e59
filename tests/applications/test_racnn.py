"""RA-CNN's graph, loss and gradients; it trains, saves and is exported, on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import applications, layers
from keras_attn.applications import RACNN, NestedBoxes, ScaleClassifier
from keras_attn.backend import value_and_gradient

LABELS = np.arange(6) % 3


def small_backbone(side=12):
    image = keras.Input((side, side, 1))
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="elu")(image)
    return keras.Model(image, x, name="small")


def make(**options):
    keras.utils.set_random_seed(0)
    return RACNN(small_backbone(), 3, **{"units": 8, "min_half": 0.2, **options})


@pytest.fixture(scope="module")
def images():
    """Noise on a ground whose brightness is the class."""
    noise = np.random.default_rng(0).uniform(0, 0.5, (6, 12, 12, 1))
    return (noise + LABELS[:, None, None, None]).astype("float32")


@pytest.mark.parametrize("sample_weight", [None, np.array([0.0, 2.0])])
def test_the_loss_by_hand(sample_weight):
    outputs = {
        "scale1": np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2]], "float32"),
        "scale2": np.array([[0.2, 0.6, 0.2], [0.1, 0.8, 0.1]], "float32"),
        "probabilities": np.array([[0.1, 0.9, 0.0], [0.4, 0.5, 0.1]], "float32"),
        "boxes": np.zeros((2, 1, 4), "float32"),
    }
    given = {name: ops.convert_to_tensor(value) for name, value in outputs.items()}
    classes = np.array([-np.log(0.7 * 0.6 * 0.9), -np.log(0.3 * 0.8 * 0.5)])
    ranking = np.array([0.7 - 0.6 + 0.05, 0])
    weights = np.ones(2) if sample_weight is None else sample_weight
    model = make(scales=2)
    for terms, expected in (
        (("classification", "ranking"), classes + ranking),
        (("classification",), classes),
        (("ranking",), ranking),
    ):
        model.terms = terms
        loss = model.compute_loss(y=np.array([1, 1]), y_pred=given, sample_weight=sample_weight)
        assert float(loss) == pytest.approx((weights * expected).mean(), rel=1e-5)
        one_hot = model.compute_loss(y=np.eye(3)[[1, 1]], y_pred=given, sample_weight=sample_weight)
        assert float(one_hot) == float(loss)


def test_its_graph_in_numpy(images):
    model = make(scales=3)
    found = {name: ops.convert_to_numpy(x) for name, x in model(images).items()}
    seen, descriptors, placed = images, [], None
    for number in (1, 2, 3):
        features = ops.convert_to_numpy(model.get_layer(f"features{number}")(seen))
        descriptors.append(features.mean(axis=(1, 2)))
        kernel, bias = model.get_layer(f"predictions{number}").get_weights()
        np.testing.assert_allclose(
            found[f"scale{number}"], softmax(descriptors[-1] @ kernel + bias), atol=1e-5
        )
        if number == 3:
            break
        box = ops.convert_to_numpy(model.get_layer(f"proposal{number}")(features))
        seen = ops.convert_to_numpy(model.get_layer(f"zoom{number}")(seen, box))
        if placed is None:
            placed = box
        else:  # corners of the inner box, in the outer's half sides
            low, high = (box[:, :2] + sign * box[:, 2:] for sign in (-1, 1))
            low, high = (placed[:, :2] + corner * placed[:, 2:] for corner in (low, high))
            placed = np.concatenate([(low + high) / 2, (high - low) / 2], axis=-1)
        np.testing.assert_allclose(found["boxes"][:, number - 1], placed, atol=1e-5)
    units = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in descriptors]
    kernel, bias = model.get_layer("predictions").get_weights()
    expected = softmax(np.concatenate(units, axis=-1) @ kernel + bias)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    assert (np.abs(found["boxes"][..., :2]) + found["boxes"][..., 2:]).max() <= 1 + 1e-6


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def gradient_of(model, layer, images, value):
    """The gradient of `value`, a function of the outputs, for a layer's last kernel."""
    weights = model.trainable_variables
    kernel = [w for w in model.get_layer(layer).trainable_weights if w.path.endswith("kernel")][-1]
    index = next(i for i, w in enumerate(weights) if w is kernel)

    def run(weight):
        given = [w.value for w in weights]
        given[index] = weight
        others = [w.value for w in model.non_trainable_variables]
        return value(model.stateless_call(given, others, images)[0]), None

    return ops.convert_to_numpy(value_and_gradient(run, ops.convert_to_tensor(kernel.value))[1])


def not_clamped(model):
    """Proposals of half side 0.3 near the centre."""
    for layer in model.layers:
        if isinstance(layer, layers.AttentionProposal):
            layer.proposal.bias.assign([0.1, -0.2, np.log(0.3 / 0.7)])
            layer.proposal.kernel.assign(0.1 * ops.convert_to_numpy(layer.proposal.kernel))
    return model


@pytest.mark.parametrize(
    ("output", "reached"),
    [
        ("scale1", {"features1", "predictions1"}),
        ("scale2", {"features1", "features2", "proposal1", "predictions2"}),
        ("probabilities", {"predictions"}),
        ("boxes", {"features1", "proposal1"}),
    ],
)
def test_what_learns_from_what(images, output, reached):
    model = not_clamped(make(scales=2))
    weight = np.random.default_rng(1).normal(size=model(images)[output].shape)
    for layer in model.layers:
        if layer.trainable_weights:
            gradient = gradient_of(
                model,
                layer.name,
                images,
                lambda found: ops.sum(found[output] * ops.convert_to_tensor(weight, "float32")),
            )
            assert bool(gradient.any()) == (layer.name in reached), layer.name


def test_it_trains_and_is_saved(images, tmp_path):
    model = not_clamped(make(scales=2, sharpness=4.0, sharpness_units="boxes", margin=0.1))
    model.compile(keras.optimizers.Adam(1e-2), metrics=["accuracy"])
    before = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    many = np.tile(images, (50, 1, 1, 1)), np.tile(LABELS, 50)
    history = model.fit(*many, epochs=4, batch_size=6, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.abs(ops.convert_to_numpy(weight) - old).max() > 0, weight.path
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, ScaleClassifier) and loaded.margin == 0.1
    expected = model.predict(images, verbose=0)
    for scale in ("scale1", "scale2"):
        assert (expected[scale].argmax(-1) == LABELS).all()
    for name, value in loaded.predict(images, verbose=0).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)
    found = loaded.evaluate(images, LABELS, verbose=0, return_dict=True)
    right = (expected["probabilities"].argmax(-1) == LABELS).mean()
    assert found["accuracy"] == pytest.approx(right)


def test_scales_have_copies_or_share(images):
    backbone = small_backbone()
    kernel = ops.convert_to_numpy(backbone.layers[1].kernel)
    each = RACNN(backbone, 3, scales=3, units=8)
    for number in (1, 2, 3):
        features = each.get_layer(f"features{number}")
        np.testing.assert_array_equal(ops.convert_to_numpy(features.layers[1].kernel), kernel)
    assert each.get_layer("features1").layers[1] is not backbone.layers[1]
    shared = RACNN(backbone, 3, scales=3, units=8, shared=True)
    assert each.count_params() - shared.count_params() == 2 * backbone.count_params()
    assert shared(images)["boxes"].shape == (6, 2, 4)


def nested_backbone():
    """A model within a model, as in some backbones."""
    inner, image = small_backbone(), keras.Input((12, 12, 1))
    y = keras.layers.ReLU()(inner(image))
    return keras.Model(image, keras.Sequential([keras.layers.Conv2D(3, 1)])(y))


@pytest.mark.parametrize("backbone", [small_backbone, nested_backbone])
def test_no_two_weights_have_one_path(images, backbone):
    """On PyTorch, Keras knows gradients by it: those of the others would add up."""
    model = RACNN(backbone(), 3, scales=3, units=8)
    paths = [weight.path for weight in model.weights]
    assert len(set(paths)) == len(paths)
    if keras.backend.backend() == "torch":
        model.compile("sgd")
        model.fit(images, LABELS, verbose=0)
        model.zero_grad()
        assert all(w.value.grad is None for w in model.trainable_weights)


def test_parts_of_another_size():
    """As in the paper, the second scale sees fewer pixels, and its proposal has no pool."""
    image = keras.Input((None, None, 1))
    backbone = keras.Model(image, keras.layers.Conv2D(4, 3, 2, padding="same")(image))
    model = RACNN(backbone, 3, scales=3, units=8, size=8, input_shape=(16, 16, 1))
    first, second = (model.get_layer(f"proposal{number}") for number in (1, 2))
    assert [first.pool_size, second.pool_size] == [2, 1]
    assert model.get_layer("zoom1").output.shape == (None, 8, 8, 1)
    assert first.hidden.kernel.shape == second.hidden.kernel.shape == (64, 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone",
    [
        lambda: applications.CIFARResNet(8, attention="se", include_top=False),
        lambda: applications.SEResNet18(include_top=False),
        lambda: keras.applications.MobileNetV2((32, 32, 3), include_top=False, weights=None),
        lambda: keras.applications.VGG16(include_top=False, weights=None),
    ],
)
def test_any_backbone(backbone):
    model = RACNN(backbone(), 3, scales=2, units=8, pool_size=1, input_shape=(32, 32, 3))
    model.compile("sgd")
    images = np.random.default_rng(0).uniform(0, 1, (3, 32, 32, 3)).astype("float32")
    history = model.fit(images, np.arange(3), verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": 0}, "`scales` must be an integer of at least 2. Received: scales=0"),
        ({"scales": 1}, "`scales` must be an integer of at least 2. Received: scales=1"),
        ({"classes": 1}, "`classes` must be an integer of at least 2. Received: classes=1"),
        ({"size": 8}, "`size` must be the images' where the backbone takes no other.*size=8"),
        ({"size": 0}, "`size` must be a positive integer. Received: size=0"),
        ({"input_shape": (16, 16, 1)}, r"`input_shape` must be .*\(16, 16, 1\), backbone of"),
        ({"input_shape": (12, 12)}, r"`input_shape` must be \(H, W, C\)"),
        ({"min_half": 0.7}, "`min_half` must be above 0 and at most 0.5"),
        ({"sharpness": -1}, "`sharpness` must be None or positive"),
        ({"pool_size": 7}, "`inputs` must be .* pool_size=7"),
        ({"backbone": keras.Sequential()}, "`backbone` must be a functional or a built"),
    ],
)
def test_wrong_arguments(options, message):
    arguments = {"backbone": small_backbone(), "classes": 3, **options}
    with pytest.raises(ValueError, match=message):
        RACNN(**arguments)


def test_wrong_backbones_and_labels(images):
    image = keras.Input((None, None, 1))
    dynamic = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    with pytest.raises(ValueError, match=r"`input_shape` must be \(H, W, C\), all known"):
        RACNN(dynamic, 3)
    pooled = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    with pytest.raises(ValueError, match="`backbone` must give features .* include_top=False"):
        RACNN(pooled, 3)
    model = make(scales=2)
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"`y` must be the numbers of the classes.*shape \(6, 4\)"):
        model.fit(images, np.eye(4)[LABELS], batch_size=6, verbose=0)


def test_boxes_within_boxes_by_hand():
    outer = ops.convert_to_tensor([[0.5, -0.5, 0.5, 0.5]])  # the lower left quarter
    inner = ops.convert_to_tensor([[-0.5, 0.5, 0.5, 0.25]])
    boxes, attention = NestedBoxes()([outer, inner, inner], return_attention=True)
    expected = [
        [0.5, -0.5, 0.5, 0.5],
        [0.25, -0.25, 0.25, 0.125],
        [0.125, -0.1875, 0.125, 0.03125],
    ]
    np.testing.assert_allclose(ops.convert_to_numpy(boxes)[0], expected)
    assert attention.shape == (1, 3, 1, 4)
    assert layers.attention_form(NestedBoxes()) == "boxes"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is TensorFlow's")
def test_a_saved_model_gives_its_boxes(images, tmp_path):
    import tensorflow as tf

    model = make(scales=3)
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    found = loaded.serve(images)
    for name, value in model(images).items():
        np.testing.assert_allclose(found[name], value, atol=1e-5)


def test_explain_draws_its_boxes(images, tmp_path):
    from PIL import Image

    from keras_attn.explain import attention_maps, explain

    model = make(scales=3)
    found = attention_maps(model, images)["boxes"]
    expected = ops.convert_to_numpy(model(images)["boxes"])
    np.testing.assert_allclose(found[:, :, 0], expected, atol=1e-5)
    explain(model, images[:1], tmp_path / "boxes.png", pixels=255 * images[:1] / 3)
    with Image.open(tmp_path / "boxes.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 16)) > 3
