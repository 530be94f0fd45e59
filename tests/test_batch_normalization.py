"""BatchNormalization is Keras's, in other operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.export.fold import fold_batch_norm
from keras_attn.layers import BatchNormalization

CHANNELS = 5


def layer_of(cls, kwargs, dtype="float32"):
    """With random weights, the same for both classes."""
    layer = cls(**kwargs, dtype=dtype)
    axis = kwargs.get("axis", -1)
    layer.build((None, CHANNELS, None, None) if axis == 1 else (None, None, None, CHANNELS))
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


def fused_operations(layer, x, training):
    graph = tf.function(lambda x: layer(x, training=training)).get_concrete_function(x).graph
    return sum(op.type == "FusedBatchNormV3" for op in graph.get_operations())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"epsilon": 1e-5, "momentum": 0.9},
        {"axis": 3, "scale": False},
        {"axis": 1, "center": False},
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


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_16_bits_are_normalized_in_float32(dtype):
    """Squares of 2,000 are over what float16 holds."""
    x = image(offset=2000.0)
    ours = results(layer_of(BatchNormalization, {}, dtype), x, training=True)
    keras_s = results(layer_of(keras.layers.BatchNormalization, {}, dtype), x, training=True)
    assert np.isfinite(ours[0]).all()
    step = 2.0**-10 if dtype == "mixed_float16" else 2.0**-7
    np.testing.assert_allclose(ours[0], keras_s[0], atol=step * np.abs(keras_s[0]).max())
    np.testing.assert_allclose(ours[-1], keras_s[-1], rtol=1e-4)


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
    np.testing.assert_allclose(ours(x, training=True), ours(x, training=False))
    for weight, old in zip(ours.get_weights(), before, strict=True):
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
    assert fused_operations(ours, x, training=True) == (what == "mask")  # asked without one
    for got, expected in zip(
        results(ours, x, True, **call), results(keras_s, x, True, **call), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


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
