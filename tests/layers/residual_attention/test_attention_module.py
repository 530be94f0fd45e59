"""AttentionModule: the mask by hand, the papers' counts, and what the arguments do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.layer_contract import assert_close
from keras_attn.layers import AttentionModule, AugmentedConv2D, PreActivationBottleneck
from keras_attn.layers.residual_attention.attention_module import mask_activation


@keras.saving.register_keras_serializable(package="tests")
def bias_unit(filters, **kwargs):
    """A unit that adds a constant: the least that a factory can make."""
    return keras.layers.DepthwiseConv2D(
        1, depthwise_initializer="ones", bias_initializer="ones", **kwargs
    )


@keras.saving.register_keras_serializable(package="tests")
def augmented_unit(filters, **kwargs):
    return AugmentedConv2D(filters, 3, num_heads=2, key_depth=4, value_depth=4, **kwargs)


@keras.saving.register_keras_serializable(package="tests")
def widening_unit(filters, **kwargs):
    return keras.layers.Conv2D(2 * filters, 1, **kwargs)


def image(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# Section 1.2 of the spec: convolutions' weights, and BatchNormalization's gamma and beta.
@pytest.mark.parametrize(
    "channels, mask_depth, convolutions, norms",
    [(256, 3, 966_656, 9_728 + 512), (512, 2, 3_031_040, 15_872), (1024, 1, 8_781_824, 22_528)],
)
def test_parameters_of_modules_a_b_and_c(channels, mask_depth, convolutions, norms):
    module = AttentionModule(mask_depth=mask_depth)
    module.build((None, None, None, channels))
    counts = {"kernel": 0, "gamma": 0, "beta": 0}
    for weight in module.trainable_weights:
        counts[weight.path.rsplit("/", 1)[-1]] += int(np.prod(weight.shape))
    assert counts["kernel"] == convolutions
    assert counts["gamma"] + counts["beta"] == norms


@pytest.mark.parametrize(
    "channels, mask_depth, convolutions, norms",
    [
        (256, 3, 70_144 * 2 + 140_288 + 692_224, 1_024 * 2 + 2_048 + 8_704),
        (512, 2, 280_576 * 2 + 561_152 + 1_927_168, 2_048 * 2 + 4_096 + 11_264),
        (1024, 1, 1_122_304 * 2 + 2_244_608 + 4_341_760, 4_096 * 2 + 8_192 + 10_240),
    ],
)
def test_parameters_of_the_resnext_modules(channels, mask_depth, convolutions, norms):
    module = AttentionModule(mask_depth=mask_depth, unit="resnext")
    module.build((None, None, None, channels))
    trainable = sum(int(np.prod(weight.shape)) for weight in module.trainable_weights)
    assert trainable == convolutions + norms


@pytest.mark.parametrize("mask_depth, units", [(0, 2), (1, 2), (2, 2 + 3), (3, 2 + 6)])
def test_units_of_the_mask(mask_depth, units):
    """A mask 3 deep has 8 units, one 2 deep 5, one 1 deep 2, as in the prototxts."""
    module = AttentionModule(mask_depth=mask_depth)
    module.build((None, 56, 56, 8))
    of_the_mask = [
        layer
        for layer in module._flatten_layers(include_self=False)
        if isinstance(layer, PreActivationBottleneck) and layer.name.startswith("mask_")
    ]
    assert len(of_the_mask) == units


def test_mask_by_hand():
    """With units that add 1, on a 4x4 ramp: every step of the mask can be followed."""
    module = AttentionModule(mask_depth=1, unit=bias_unit, mask_pre_activation=False)
    ramp = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    module.build(ramp.shape)
    for kernel in (module.mask_conv1.kernel, module.mask_conv2.kernel):
        kernel.assign([[[[0.1]]]])
    outputs, mask = module(ramp, return_attention=True)

    p = ramp[0, :, :, 0] + 1  # one unit before the split
    # 3x3 windows from rows and columns 0 and 2; the last hang over the edge.
    pooled = np.array(
        [[p[0:3, 0:3].max(), p[0:3, 2:4].max()], [p[2:4, 0:3].max(), p[2:4, 2:].max()]]
    )
    np.testing.assert_array_equal(pooled, [[11, 12], [15, 16]])
    bottom = pooled + 2
    rows = np.linspace(0, 1, 4)[:, None]
    columns = np.linspace(0, 1, 4)[None]
    resized = (  # corners stay where they are
        bottom[0, 0] * (1 - rows) * (1 - columns)
        + bottom[0, 1] * (1 - rows) * columns
        + bottom[1, 0] * rows * (1 - columns)
        + bottom[1, 1] * rows * columns
    )
    logits = 0.1 * np.maximum(0.1 * resized / np.sqrt(1 + 1e-5), 0)
    expected_mask = 1 / (1 + np.exp(-logits))
    assert_close(mask.numpy()[0, :, :, 0], expected_mask, 1e-6)
    trunk = p + 2
    assert_close(outputs.numpy()[0, :, :, 0], (1 + expected_mask) * trunk + 1, 1e-6)


def test_naive_learning_multiplies_by_the_mask_alone():
    arguments = {"mask_depth": 1, "p": 0, "unit": bias_unit}
    x = image(1, 5, 3, 4)
    residual = AttentionModule(learning="residual", **arguments)
    naive = AttentionModule(learning="naive", **arguments)
    for module in (residual, naive):
        module.build(x.shape)
    naive.set_weights(residual.get_weights())
    trunk = x + 2
    y, mask = residual(x, return_attention=True)
    assert_close(y.numpy(), (1 + mask.numpy()) * trunk, 1e-6)
    y, mask = naive(x, return_attention=True)
    assert_close(y.numpy(), mask.numpy() * trunk, 1e-6)


def test_a_mask_of_zero_leaves_the_trunk_as_it_was():
    module = AttentionModule(mask_depth=2, attention="channel")
    x = image(2, 7, 5, 8)
    module.build(x.shape)
    module.mask_conv2.kernel.assign(np.zeros((1, 1, 8, 8)))  # the norm of nothing is 0 / epsilon
    y, mask = module(x, return_attention=True)
    assert np.abs(mask).max() == 0
    expected = x
    for unit in [*module.pre_units, *module.trunk_units, *module.post_units]:
        expected = unit(expected)
    np.testing.assert_array_equal(y, expected)


def test_mixed_attention_is_a_sigmoid():
    x = image(2, 3, 5, 7)
    assert_close(np.asarray(mask_activation(x, "mixed")), 1 / (1 + np.exp(-x)))


def test_channel_attention_has_norm_one_at_each_place():
    x = image(2, 3, 5, 7)
    mask = np.asarray(mask_activation(x, "channel"))
    np.testing.assert_allclose(np.linalg.norm(mask, axis=-1), 1, rtol=1e-5)
    assert_close(mask, x / np.linalg.norm(x, axis=-1, keepdims=True))


def test_spatial_attention_standardises_each_map():
    x = image(2, 3, 5, 7)
    z = (x - x.mean(axis=(1, 2), keepdims=True)) / x.std(axis=(1, 2), keepdims=True)
    assert_close(np.asarray(mask_activation(x, "spatial")), 1 / (1 + np.exp(-z)), 1e-4)


@pytest.mark.parametrize("attention", ["mixed", "channel", "spatial"])
def test_activations_have_finite_gradients_everywhere(attention):
    for x in (np.zeros((1, 2, 2, 3), "float32"), np.full((1, 1, 1, 3), 5.0, "float32")):
        x = tf.Variable(x)
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(mask_activation(x, attention))
        assert np.isfinite(tape.gradient(y, x)).all()


@pytest.mark.parametrize("mask_depth", [1, 3])
def test_any_size(mask_depth):
    module = AttentionModule(mask_depth=mask_depth)
    for size in ((1, 1), (1, 5), (2, 3), (3, 2), (7, 7), (9, 14)):
        y, mask = module(image(1, *size, 4), return_attention=True)
        assert y.shape == mask.shape == (1, *size, 4)
        assert np.isfinite(y).all()


def test_batch_statistics_in_training_only():
    module = AttentionModule(mask_depth=1)
    x = image(4, 5, 7, 8)
    module(x)
    before = [w.numpy() for w in module.non_trainable_weights]
    module(x, training=False)
    for old, weight in zip(before, module.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(old, weight)
    module(x, training=True)
    for old, weight in zip(before, module.non_trainable_weights, strict=True):
        assert not np.array_equal(old, weight), weight.path


def test_a_factory_is_called_afresh_for_every_place():
    module = AttentionModule(mask_depth=1, unit=bias_unit)
    module.build((None, 4, 4, 2))
    units = [*module.pre_units, *module.trunk_units, *module.mask_bottom_units, *module.post_units]
    assert len({id(unit) for unit in units}) == 1 + 2 + 2 + 1
    assert [unit.name for unit in module.trunk_units] == ["trunk_unit1", "trunk_unit2"]


def test_a_factorys_module_saves_and_loads(tmp_path):
    x = image(1, 6, 5, 8)
    model = keras.Sequential([keras.Input((6, 5, 8)), AttentionModule(unit=augmented_unit)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].unit is augmented_unit
    assert_close(loaded(x).numpy(), model(x).numpy(), 1e-6)


def test_p_t_and_r():
    module = AttentionModule(mask_depth=2, p=2, t=3, r=2)
    module.build((None, 8, 8, 4))
    assert len(module.pre_units) == len(module.post_units) == 2
    assert len(module.trunk_units) == 3
    assert len(module.mask_bottom_units) == 4
    assert len(module.mask_down_units) == len(module.mask_up_units) == 2
    assert len(module.mask_skip_units) == 1


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"mask_depth": -1}, "`mask_depth` must be an integer of at least 0"),
        ({"t": 0}, "`t` must be a positive integer. Received: t=0"),
        ({"r": 0}, "`r` must be a positive integer"),
        ({"p": 1.5}, "`p` must be an integer of at least 0. Received: p=1.5"),
        ({"attention": "sigmoid"}, "`attention` must be one of 'mixed', 'channel', 'spatial'"),
        (
            {"learning": None},
            "`learning` must be one of 'residual', 'naive'. Received: learning=No",
        ),
        ({"unit": "bottleneck"}, "`unit` must be one of 'pre_activation', 'resnext', "),
        ({"unit": 3}, "`unit` must be a name or a callable"),
        ({"unit": lambda filters: None}, "`unit` must be registered"),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError) as error:
        AttentionModule(**kwargs)
    assert message in str(error.value)


def test_a_unit_that_changes_the_shape():
    with pytest.raises(ValueError, match="`unit` must make layers that keep the shape"):
        AttentionModule(unit=widening_unit).build((None, 4, 4, 2))


def test_channels_that_no_unit_suits():
    with pytest.raises(ValueError, match="`filters` must be divisible by 4. Received: filters=6"):
        AttentionModule().build((None, 8, 8, 6))
