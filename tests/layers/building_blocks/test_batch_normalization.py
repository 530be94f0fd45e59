"""BatchNormalization is Keras's, in other operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.export.graph.fold import fold_batch_norm
from keras_attn.layers import BatchNormalization

CHANNELS = 5


def layer_of(cls, kwargs, dtype="float32"):
    """With random weights, the same for both classes."""
    layer = cls(**kwargs, dtype=dtype)
    channels_first = kwargs.get("axis") in (1, -3)
    layer.build((None, CHANNELS, None, None) if channels_first else (None, None, None, CHANNELS))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    return layer


def results(layer, x, training, **kwargs):
    """Outputs, moving statistics and all gradients."""
    upstream = np.random.default_rng(2).normal(size=x.shape)
    x = tf.constant(x, layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=training, **kwargs)
        loss = tf.reduce_sum(outputs * tf.cast(upstream, outputs.dtype))
    variables = [x, *[w.value for w in layer.trainable_weights]]
    gradients = tape.gradient(loss, variables)
    statistics = [layer.moving_mean.value, layer.moving_variance.value]
    return [np.asarray(tf.cast(t, "float64")) for t in [outputs, *gradients, *statistics]]


def image(axis=-1, shape=(3, 7, 11), offset=2.0):
    x = np.random.default_rng(1).normal(offset, 1.5, size=(*shape, CHANNELS))
    return np.moveaxis(x, -1, axis).astype("float32")


def fused_operations(layer, x, training, **kwargs):
    function = tf.function(lambda x: layer(x, training=training, **kwargs))
    graph = function.get_concrete_function(x).graph
    return sum(op.type == "FusedBatchNormV3" for op in graph.get_operations())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"epsilon": 1e-5, "momentum": 0.9},
        {"axis": 3, "scale": False},
        {"axis": 1, "center": False},
        {"axis": -3},
    ],
    ids=str,
)
def test_numbers_are_keras_s(kwargs, training):
    x = image(kwargs.get("axis", -1))
    exact = results(layer_of(keras.layers.BatchNormalization, kwargs, "float64"), x, training)
    ours = layer_of(BatchNormalization, kwargs)
    assert fused_operations(ours, x, training) == 1
    for got, expected in zip(results(ours, x, training), exact, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
def test_16_bits_are_normalized_in_float32(dtype, training):
    """Squares of 2,000 are over what float16 holds; a bfloat16 has 8 bits."""
    x = image(offset=2000.0 if training and dtype.endswith("_float16") else 20.0)
    ours = layer_of(BatchNormalization, {}, dtype)
    assert fused_operations(ours, tf.constant(x, ours.compute_dtype), training) == 1
    ours = results(ours, x, training)
    keras_s = results(layer_of(keras.layers.BatchNormalization, {}, dtype), x, training)
    step = 2.0**-7 if "bfloat16" in dtype else 2.0**-10
    for got, expected in zip(ours, keras_s, strict=True):
        assert np.isfinite(got).all()
        np.testing.assert_allclose(got, expected, atol=step * np.abs(expected).max())


@pytest.mark.parametrize("inner", [False, True], ids=["outright", "in a function inside"])
def test_xla_gets_keras_s_form(inner):
    """XLA takes E[x^2] - E[x]^2 for the fused one's variance: NaN for a constant channel."""
    x = tf.constant(np.concatenate([np.full((3, 7, 11, 1), 333.3), image()[..., 1:]], axis=-1))
    layer, keras_s = (
        layer_of(cls, {"epsilon": 1e-5, "momentum": 0.0})
        for cls in (BatchNormalization, keras.layers.BatchNormalization)
    )

    def step(x):
        return layer(x, training=True)

    outputs = tf.function(tf.function(step) if inner else step, jit_compile=True)(x)
    np.testing.assert_allclose(outputs, keras_s(x, training=True), atol=0.05)  # 333.3 is rounded
    np.testing.assert_allclose(layer.moving_variance, keras_s.moving_variance, rtol=1e-5, atol=1e-6)


def test_another_device_gets_keras_s_form(monkeypatch):
    devices = [tf.config.PhysicalDevice(f"/physical_device:{k}:0", k) for k in ("CPU", "GPU")]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda: devices)
    layer = layer_of(BatchNormalization, {})
    assert fused_operations(layer, image(), training=True) == 0
    devices.pop()
    assert fused_operations(layer, image(), training=True) == 1


def test_one_place_has_no_variance():
    x = image(shape=(1, 1, 1))
    ours = results(layer_of(BatchNormalization, {}), x, training=True)
    keras_s = results(layer_of(keras.layers.BatchNormalization, {}), x, training=True)
    for got, expected in zip(ours, keras_s, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_frozen_layer_stays_as_it_is():
    ours = layer_of(BatchNormalization, {})
    ours.trainable = False
    before = ours.get_weights()
    x = image()
    keras_s = layer_of(keras.layers.BatchNormalization, {})
    keras_s.trainable = False
    for got, expected in zip(results(ours, x, True), results(keras_s, x, True), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    for weight, old in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_stateless():
    """A call in a scope takes its values and leaves the layer's alone."""
    ours = layer_of(BatchNormalization, {"momentum": 0.9})
    before, x = ours.get_weights(), image()
    new = [tf.constant(2 * w) for w in before]
    outputs, statistics = ours.stateless_call(new[:2], new[2:], x, training=True)
    for weight, old in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    ours.set_weights(new)
    np.testing.assert_allclose(outputs, ours(x, training=True))
    np.testing.assert_allclose(statistics[0], ours.moving_mean)


def test_an_empty_batch():
    ours = layer_of(BatchNormalization, {})
    assert ours(image()[:0], training=False).shape == (0, 7, 11, CHANNELS)
    before = [w.numpy() for w in ours.weights]
    assert ours(image()[:0], training=True).shape == (0, 7, 11, CHANNELS)
    for weight, old in zip(ours.weights, before, strict=True):  # Keras's statistics are NaN then
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize("what", ["mask", "renorm", "synchronized", "float64", "three axes"])
def test_the_rest_is_keras_s_own(what):
    kwargs = {what: True} if what in ("renorm", "synchronized") else {}
    dtype = "float64" if what == "float64" else "float32"
    x = image().astype(dtype)
    call = {"mask": tf.constant(x[..., 0] > 2)} if what == "mask" else {}
    if what == "three axes":
        x = x[:, 0]
    classes = BatchNormalization, keras.layers.BatchNormalization
    ours, keras_s = (cls(**kwargs, dtype=dtype) for cls in classes)
    for layer in (ours, keras_s):
        layer.build(x.shape)
    assert fused_operations(ours, x, training=True, **call) == 0
    for got, expected in zip(
        results(ours, x, True, **call), results(keras_s, x, True, **call), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_synchronized_matters_in_training_alone():
    ours = layer_of(BatchNormalization, {"synchronized": True})
    assert fused_operations(ours, image(), training=False) == 1


def test_a_mask_of_another_rank():
    with pytest.raises(ValueError, match="mask"):
        BatchNormalization()(image(), mask=np.ones((3, 7)), training=True)


def test_it_is_a_batch_normalization_to_everyone(tmp_path):
    """The same weights in the same files, the same config, folded as Keras's."""

    def network(cls):
        image = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(CHANNELS, 3, use_bias=False)(image)
        x = keras.layers.ReLU()(cls(epsilon=1e-5)(x))
        return keras.Model(image, x)

    ours, keras_s = network(BatchNormalization), network(keras.layers.BatchNormalization)
    rng = np.random.default_rng(0)
    keras_s.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in keras_s.weights])
    path = tmp_path / "net.weights.h5"
    keras_s.save_weights(path)
    ours.load_weights(path)
    x = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(ours(x), keras_s(x), atol=1e-5)
    config = {**ours.layers[2].get_config(), "name": None}
    assert config == {**keras_s.layers[2].get_config(), "name": None}
    assert isinstance(ours.layers[2], keras.layers.BatchNormalization)

    ours.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    assert type(again.layers[2]) is BatchNormalization
    np.testing.assert_array_equal(again(x), ours(x))

    folded, gone = fold_batch_norm(ours)
    assert gone
    np.testing.assert_allclose(folded(x), ours(x), atol=1e-5)


def test_the_graph_optimizer_puts_it_into_the_convolution(tmp_path):
    """With the ReLU behind it: one operation is left of three."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    model = keras.Model(image, keras.layers.ReLU()(BatchNormalization()(x)))
    model.export(tmp_path, verbose=False)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path)).signature_def
        signature = signatures["serving_default"]
        [fed], [fetched] = signature.inputs.values(), signature.outputs.values()
        options = tf.compat.v1.RunOptions(output_partition_graphs=True)
        metadata = tf.compat.v1.RunMetadata()
        session.run(fetched.name, {fed.name: np.zeros((1, 8, 8, 3))}, options, metadata)
    [convolution] = [
        node for graph in metadata.partition_graphs for node in graph.node if "Conv2D" in node.op
    ]
    assert list(convolution.attr["fused_ops"].list.s) == [b"FusedBatchNorm", b"Relu"]
