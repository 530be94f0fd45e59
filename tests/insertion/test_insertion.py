"""Attention put into trained networks: the identity at first, trainable, saved, taken out again."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_attn
from keras_attn import fold_attention, insert_attention, remove_attention
from keras_attn.insertion import InsertedAttention
from keras_attn.kinds import KINDS, make_attention
from keras_attn.layers import (
    BAM,
    AttentionModule,
    BottleneckSelfAttention2D,
    EfficientChannelAttention,
    GatherExcite,
    SelectiveKernel,
    SqueezeExcite,
    attention_start,
)

# Weights that no loss can move, and why: a softmax doesn't see what all its logits have in common,
# and BatchNormalization subtracts in training what comes before it.
NO_GRADIENT = {
    "bam": ("channel_reduce/bias", "reduce/bias", "conv1/bias", "conv2/bias"),
    "gc": ("logit/bias",),
    "gc_scale": ("logit/bias",),
    "non_local": ("phi/bias", "g/bias", "z/bias"),
    "coordinate": ("reduce/bias",),
    "position_attention": ("key/bias",),
    "criss_cross": ("key/bias",),
    "double": ("gather/bias",),
    "split": ("reduce/bias",),
    "axial": ("logit_bn/beta", "height_output_bn/beta"),
    "cot": ("reduce/bias",),
}


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def trained(model, seed=1):
    """Gives all weights random values, as training would."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        positive = weight.path.endswith(("gamma", "variance"))
        draw = rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(0, 0.3, weight.shape)
        weight.assign(draw)
    return model


def tiny(side=8, channels=32, places=()):
    image = keras.Input((side, side, 3), name="picture")
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1")(image)
    x = keras.layers.Conv2D(channels, 3, padding="same", name="conv2")(x)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.Activation("relu", name="block")(x)
    for place in places:
        x = keras.layers.Identity(name=f"at_{place}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return trained(keras.Model(image, keras.layers.Dense(5, name="head")(x), name="tiny"))


@pytest.fixture(scope="module")
def model():
    return tiny()


def steps(model, number=3, inputs=None):
    """The weights that a gradient moved, step by step."""
    x = images(6, *model.input_shape[1:]) if inputs is None else inputs
    y = images(6, *model.output_shape[1:], seed=3)
    optimizer, moved = keras.optimizers.SGD(0.05), []
    for _ in range(number):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        gradients = tape.gradient(loss, [w.value for w in model.trainable_weights])
        pairs = list(zip(gradients, model.trainable_weights, strict=True))
        moved.append({w.path for g, w in pairs if g is not None and np.abs(g).max() > 1e-12})
        optimizer.apply(gradients, model.trainable_weights)
    return moved


def same_weights(model, other):
    assert [w.path for w in model.weights] == [w.path for w in other.weights]
    for mine, theirs in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


ONE_OF_EACH_FORM = ("cbam", "bot", "gc")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind in ONE_OF_EACH_FORM else pytest.mark.slow)
        for kind in KINDS
    ],
)
def test_every_kind(kind, model, tmp_path):
    """Exactly the old outputs, the new weights trained, and the old network back."""
    keras.utils.set_random_seed(1)  # some seeds kill all of a bottleneck's ReLUs
    x = images(3, 8, 8, 3)
    attending = insert_attention(model, kind, where="block")
    [new] = [layer for layer in attending.layers if isinstance(layer, InsertedAttention)]
    assert new.name == f"block_{kind}" and isinstance(new.layer, KINDS[kind].layer)
    names = [layer.name for layer in attending.layers]
    assert names.pop(names.index("block") + 1) == new.name
    assert names == [layer.name for layer in model.layers]
    assert attending.name == "tiny" and attending.inputs[0] is not model.inputs[0]
    np.testing.assert_array_equal(attending(x), model(x))
    same_weights(remove_attention(attending), model)

    own = {w.path for w in new.trainable_weights}
    first, *later = steps(attending, 3)
    if attention_start(new.layer) == "identity":
        assert new.a is None and first & own
    else:
        assert new.a.path in first and float(new.a) != 0
    never = {path for path in own if path.endswith(NO_GRADIENT.get(kind, ()))}
    assert own - never <= first.union(*later), own - never - first.union(*later)
    assert np.abs(attending(x) - model(x)).max() > 0

    attending.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), attending(x))
    back = remove_attention(loaded)
    assert [w.path for w in back.weights] == [w.path for w in model.weights]
    np.testing.assert_array_equal(
        back.get_layer("conv2").kernel, attending.get_layer("conv2").kernel
    )
    assert any(np.any(a != b) for a, b in zip(back.get_weights(), model.get_weights(), strict=True))


@pytest.mark.parametrize(
    "kinds", [ONE_OF_EACH_FORM, pytest.param(tuple(KINDS), marks=pytest.mark.slow)], ids=len
)
@pytest.mark.thorough
def test_kinds_one_behind_another(kinds, tmp_path):
    """Exact in a graph, too; and saved, exported, loaded."""
    model = tiny(places=kinds)
    with_all = insert_attention(
        model, lambda name, shape: name.removeprefix("at_"), where="at_*", suffix="attention"
    )
    x = images(3, 8, 8, 3)
    assert sum(isinstance(layer, InsertedAttention) for layer in with_all.layers) == len(kinds)
    np.testing.assert_array_equal(with_all.predict(x, verbose=0), model.predict(x, verbose=0))
    for layer in with_all.layers:
        if isinstance(layer, InsertedAttention) and layer.a is not None:
            layer.a.assign(0.1)
    expected = with_all(x).numpy()
    assert np.abs(expected - model(x)).max() > 1e-3
    with_all.save(tmp_path / "all.keras")
    loaded = keras.saving.load_model(tmp_path / "all.keras")
    np.testing.assert_allclose(loaded(x), expected, rtol=1e-5, atol=1e-5)
    with_all.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(x), expected, rtol=1e-4, atol=1e-4)
    same_weights(remove_attention(loaded), model)


# ------------------------------------------------------------------------- the scalar a


def inserted(layer, shape=(2, 7, 5, 12), a=0.3, **kwargs):
    layer = InsertedAttention(layer, **kwargs)
    layer.build(shape)
    trained(layer)
    if layer.a is not None:
        layer.a.assign(a)
    return layer


def test_a_gates_formula():
    x = images(2, 7, 5, 12)
    layer = inserted(SqueezeExcite(4))
    y, gate = layer(x, return_attention=True)
    np.testing.assert_allclose(y, x * (1 + 0.3 * (gate - 1)), rtol=1e-5, atol=1e-6)


def test_bams_formula():
    x = images(2, 7, 5, 12)
    layer = inserted(BAM(4))
    y, mask = layer(x, return_attention=True)
    np.testing.assert_allclose(y, x + 0.3 * x * mask, rtol=1e-5, atol=1e-6)


def test_a_branchs_formula():
    x = images(2, 7, 5, 12)
    layer = inserted(BottleneckSelfAttention2D(num_heads=2, key_depth=6, value_depth=12))
    np.testing.assert_allclose(layer(x), x + 0.3 * layer.layer(x), rtol=1e-5, atol=1e-6)


def test_fixed_at_1_a_gate_is_the_plain_layer():
    x = images(2, 7, 5, 12)
    gate = inserted(GatherExcite(), fixed=1)
    assert gate.a is None and not gate.weights
    np.testing.assert_array_equal(gate(x), gate.layer(x))
    half = inserted(GatherExcite(), fixed=0.5)
    np.testing.assert_allclose(half(x), (x + gate(x)) / 2, rtol=1e-6, atol=1e-6)
    branch = inserted(SelectiveKernel(), fixed=1.0)
    np.testing.assert_array_equal(branch(x), x + branch.layer(x))


def test_identity_false_is_the_plain_layer(model):
    x = images(3, 8, 8, 3)
    plain = insert_attention(model, "se", where="block", identity=False)
    at = keras.Model(model.input, model.get_layer("block").output)(x)
    by_hand = model.get_layer("head")(
        model.get_layer("pool")(plain.get_layer("block_se").layer(at))
    )
    np.testing.assert_allclose(plain(x), by_hand, rtol=1e-6, atol=1e-6)


def test_folding(model):
    x = images(3, 8, 8, 3)
    attending = insert_attention(insert_attention(model, "se", where="block"), "gc", where="conv1")
    trained(attending)
    folded = fold_attention(attending)
    assert folded.get_layer("block_se").a is None and folded.get_layer("block_se").fixed != 0
    np.testing.assert_array_equal(folded(x), attending(x))
    assert len(folded.weights) == len(attending.weights) - 1  # GC that adds has no a
    again = fold_attention(folded)  # nothing left to fold
    same_weights(again, folded)
    plain = fold_attention(attending, a=1)
    assert plain.get_layer("block_se").fixed == 1
    same_weights(remove_attention(plain), remove_attention(attending))


SHARES = {
    **dict.fromkeys(
        ("se", "cse", "eca", "ge", "ge_theta", "ge_theta_plus", "ese", "ceca"), (0.48, 0.52)
    ),
    "coordinate": (0.23, 0.27),
    **dict.fromkeys(("simple_coordinate", "strip"), (0.49, 0.53)),
    "efficient_local": (0.29, 0.33),
    **dict.fromkeys(("sse", "gc_scale"), (0.53, 0.6)),
    "channel_gate": (0.6, 0.7),
    **dict.fromkeys(("cbam", "light_cbam"), (0.04, 0.6)),
    "triplet": (0.15, 0.9),
    "simam": (0.74, 0.79),
    **dict.fromkeys(("shuffle", "sge"), (0.73, 0.735)),
    "polarized": (0.98, 1.03),
    "polarized_sequential": (0.23, 0.31),
    "ema": (0.49, 0.55),
    "scse": (1.0, 1.1),
    "bam": (1.3, 1.6),
    **dict.fromkeys(("sk", "split"), (0.6, 0.7)),
    "pyramid_squeeze": (0.29, 0.35),
    **dict.fromkeys(("lambda", "cot"), (1.4, 2.0)),
    "axial": (0.45, 0.65),
    "outlook": (1.6, 2.2),
    "bat": (1.0, 1.3),
    **dict.fromkeys(("bot", "halo", "self_attention"), (0.05, 0.14)),
    "aa": (1.2, 1.4),
    "attention_module": (4, 9),
    "srm": (0.49, 0.51),
    **dict.fromkeys(("non_local", "sagan", "gc", "grn", "lska", "gct"), (1.0, 1.0)),
    **dict.fromkeys(
        ("position_attention", "channel_attention", "criss_cross", "double"), (1.0, 1.0)
    ),
}


@pytest.mark.thorough
def test_what_a_fresh_layer_does_to_its_map():
    """The table of `keras_attn.insertion`, and the scalar that makes all of them 1."""
    keras.utils.set_random_seed(0)
    x = images(8, 14, 14, 256)
    for kind, (least, most) in SHARES.items():
        layer = make_attention(kind, 256, (14, 14))
        assert least <= np.std(layer(x)) / np.std(x) <= most, kind
    zero_gamma = make_attention("cbam", 256, zero_gamma=True)
    assert 0.28 <= np.std(zero_gamma(x)) / np.std(x) <= 0.38
    np.testing.assert_array_equal(InsertedAttention(make_attention("cbam", 256))(x), x)


def test_a_gate_that_is_open_has_no_gradient():
    """Why the scalar, and not a bias: sigmoid(20) is 1 in float32, and its gradient is 0."""
    x = tf.Variable(20.0)
    with tf.GradientTape() as tape:
        gate = tf.sigmoid(x)
    assert float(gate) == 1.0
    assert float(tape.gradient(gate, x)) < 1e-8


def test_sums_of_16_bits():
    """An operation has no policy of its own."""
    image = keras.Input((6, 6, 3))
    conv = keras.layers.Conv2D(16, 1, dtype="mixed_float16")
    model = keras.Model(image, conv(image) + 1)
    attending = insert_attention(model, "se", where="add*")
    assert attending.output.dtype == model.output.dtype == "float16"
    assert attending.layers[-1].compute_dtype == "float16"


def test_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = tiny()
    finally:
        keras.config.set_dtype_policy(policy)
    for kind in ("cbam", "bot", "gc"):
        attending = insert_attention(model, kind, where="block")
        new = attending.get_layer(f"block_{kind}")
        assert new.compute_dtype == new.layer.compute_dtype == "float16"
        assert {w.dtype for w in new.weights} == {"float32"}
        x = images(3, 8, 8, 3)
        np.testing.assert_array_equal(attending(x), model(x))


# ------------------------------------------------------------------- what is put in, and where


def test_where_and_what(model):
    se = SqueezeExcite(4, kernel_initializer=keras.initializers.HeNormal(), name="mine")
    attending = insert_attention(model, se, where=lambda layer: layer.name.startswith("conv"))
    new = [layer for layer in attending.layers if isinstance(layer, InsertedAttention)]
    assert [layer.name for layer in new] == ["conv1_squeeze_excite", "conv2_squeeze_excite"]
    assert [layer.layer.ratio for layer in new] == [4, 4] and se not in [x.layer for x in new]
    assert not se.built

    two = insert_attention(model, se, where=["conv2", "bn"], suffix="gate")
    one, other = (two.get_layer(f"{name}_gate").layer for name in ("conv2", "bn"))
    assert np.any(one.reduce_kernel != other.reduce_kernel)  # an initializer each

    def choose(name, shape):
        return {"conv1": "eca", "conv2": SqueezeExcite(shape[-1] // 2)}.get(name)

    chosen = insert_attention(model, choose, where="*[12n]")
    assert [x.name for x in chosen.layers if isinstance(x, InsertedAttention)] == [
        "conv1_eca",
        "conv2_squeeze_excite",
    ]
    assert chosen.get_layer("conv2_squeeze_excite").layer.ratio == 16


def test_a_pattern_leaves_what_is_put_in(model):
    once = insert_attention(model, "se", where="block*")
    twice = insert_attention(once, "eca", where="block*")
    names = [layer.name for layer in twice.layers]
    assert names[names.index("block") :][:3] == ["block", "block_eca", "block_se"]
    third = insert_attention(once, "gc", where=["block_se"])  # by its name, it counts
    assert "block_se_gc" in [layer.name for layer in third.layers]
    with pytest.raises(ValueError, match="`suffix` must give names that are new.*'block_se'"):
        insert_attention(once, "se", where="block")
    insert_attention(once, "se", where="block", suffix="se2")


def test_the_old_model_stays_as_it_was(model):
    before, weights = model.to_json(), [w.numpy() for w in model.weights]
    attending = insert_attention(model, "se", where="block")
    steps(attending, 1)
    assert model.to_json() == before
    for weight, value in zip(model.weights, weights, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert model.get_layer("block").output.shape == (None, 8, 8, 32)


def test_frozen_layers_stay_frozen():
    model = tiny()
    model.trainable = False
    attending = insert_attention(model, "se", where="block")
    assert {w.path.split("/")[0] for w in attending.trainable_weights} == {"block_se"}
    same_weights(remove_attention(attending), model)


def test_shared_layers_and_several_inputs_and_outputs():
    one, two = keras.Input((6, 6, 3), name="one"), keras.Input((6, 6, 3), name="two")
    conv = keras.layers.Conv2D(16, 3, name="conv")
    both = {"sum": conv(one) + conv(two), "second": keras.ops.relu(conv(two))}
    model = trained(keras.Model({"one": one, "two": two}, both))
    attending = insert_attention(model, "se", where="conv")
    x = {"one": images(2, 6, 6, 3), "two": images(2, 6, 6, 3, seed=1)}
    assert set(attending.output) == {"sum", "second"}
    assert {layer.name for layer in attending.layers[:2]} == {"one", "two"}
    assert sum(isinstance(layer, InsertedAttention) for layer in attending.layers) == 1
    for name, y in attending(x).items():
        np.testing.assert_array_equal(y, model(x)[name])
    attending.get_layer("conv_se").a.assign(1.0)
    gate = attending.get_layer("conv_se").layer
    np.testing.assert_allclose(
        attending(x)["second"], np.maximum(gate(conv(x["two"])), 0), rtol=1e-5, atol=1e-6
    )
    same_weights(remove_attention(attending), model)


def test_operations_and_call_arguments():
    """Sums written with + are places too, and `training=False` at a call stays."""
    image = keras.Input((6, 6, 3))
    y = keras.layers.BatchNormalization(name="bn")(image, training=False)
    total = y + image
    model = trained(keras.Model(image, keras.layers.Conv2D(8, 3)(total)))
    name = next(x.name for x in model.operations if "add" in x.name)
    attending = insert_attention(model, "eca", where=name)
    x = images(2, 6, 6, 3)
    np.testing.assert_array_equal(attending(x, training=True), model(x, training=True))


def test_nested_models_stay_one_layer():
    inner = tiny()
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(3, 1, name="stem")(image)
    outer = trained(keras.Model(image, inner(x)))
    attending = insert_attention(outer, SqueezeExcite(1), where="stem")
    x = images(2, 8, 8, 3)
    np.testing.assert_array_equal(attending(x), outer(x))
    assert attending.get_layer("tiny").layers[0].name == "picture"
    with pytest.raises(ValueError, match=r"insert into model.get_layer\('tiny'\)"):
        insert_attention(outer, "se", where="conv2")
    with pytest.raises(ValueError, match=r"call this for model.get_layer\('tiny'\)"):
        remove_attention(keras.Model(image, insert_attention(inner, "se", where="bn")(image)))


def test_sequential_and_normalization():
    """`Normalization` computes with constants that its weights must be turned into."""
    normalise = keras.layers.Normalization(name="normalise")
    model = keras.Sequential([keras.Input((8, 8, 3), name="picture"), normalise, tiny()])
    normalise.adapt(5 + 3 * images(4, 8, 8, 3))
    attending = insert_attention(model, SqueezeExcite(1), where="normalise")
    x = images(2, 8, 8, 3)
    np.testing.assert_array_equal(attending(x), model(x))
    assert attending.layers[0].name == "picture"


@pytest.mark.thorough
def test_channels_first():
    """The layers follow the model's format; TensorFlow has no such convolutions on the CPU."""
    image = keras.Input((16, 6, 5))
    x = keras.layers.Conv2D(16, 1, data_format="channels_first", name="conv")(image)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    model = keras.Model(image, x)
    for kind in KINDS:
        layer = insert_attention(model, kind, where="conv").get_layer(f"conv_{kind}").layer
        assert layer.data_format == "channels_first"
    with pytest.raises(ValueError, match="`attention` must have the data format of the model"):
        insert_attention(model, SqueezeExcite(data_format="channels_last"), where="conv")


def test_unknown_sizes():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(16, 3, name="conv")(image))
    x = images(2, 9, 7, 3)
    for kind in ("se", "ge", "halo", "non_local", "sk", "attention_module"):
        np.testing.assert_array_equal(insert_attention(model, kind, where="conv")(x), model(x))
    with pytest.raises(ValueError, match="must fit behind 'conv'.*`table_size` must be given"):
        insert_attention(model, "bot", where="conv")
    with pytest.raises(ValueError, match="must fit behind 'conv'.*`extent` must be 2, 4 or 8"):
        insert_attention(model, "ge_theta", where="conv")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.thorough
def test_maps_smaller_than_a_window(kind):
    image = keras.Input((1, 2, 3))
    model = keras.Model(image, keras.layers.Conv2D(16, 1, name="conv")(image))
    x = images(2, 1, 2, 3)
    np.testing.assert_array_equal(insert_attention(model, kind, where="conv")(x), model(x))


@pytest.mark.parametrize("mode", ["theta", "theta_plus"])
def test_a_map_as_small_as_the_extent(mode):
    image = keras.Input((2, 2, 3))
    model = keras.Model(image, keras.layers.Conv2D(16, 1, name="conv")(image))
    x = images(2, 2, 2, 3)
    attending = insert_attention(model, GatherExcite(mode, extent=2), where="conv")
    np.testing.assert_array_equal(attending(x), model(x))


def test_the_layers_attention_in_a_model():
    layer = InsertedAttention(SqueezeExcite(4))
    image = keras.Input((8, 8, 32))
    y, gate = layer(image, return_attention=True)
    assert gate.shape == (None, 1, 1, 32)
    values = keras.Model(image, [y, gate])(images(2, 8, 8, 32))
    assert values[1].shape == (2, 1, 1, 32)
    with pytest.raises(ValueError, match="`return_attention` needs a layer that has it"):
        InsertedAttention(keras.layers.ReLU())(images(2, 8, 8, 3), return_attention=True)


def test_a_layer_of_another_class():
    model = tiny()
    attending = insert_attention(model, keras.layers.SpatialDropout2D(0.5), where="block")
    x = images(2, 8, 8, 3)
    np.testing.assert_array_equal(attending(x, training=True), model(x, training=True))


def test_our_own_networks():
    model = trained(keras_attn.applications.CIFARResNet(8, attention="se"))
    attending = insert_attention(model, "eca", where="stage?_block?_add")
    x = images(2, 32, 32, 3)
    np.testing.assert_array_equal(attending(x), model(x))
    levels = keras_attn.applications.pyramid_outputs(attending)
    maps = keras.Model(attending.input, levels)(x)
    assert {name: y.shape[1] for name, y in maps.items()} == {"P0": 32, "P1": 16, "P2": 8}


# --------------------------------------------------------------------------------- bad input


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    "attention, where, message",
    [
        ("sse2", "block", "one of 'se', .*Did you mean 'sse'. Received: attention='sse2'"),
        (None, "block", "`attention` must be one of 'se', 'channel_gate', .*Received: .*=None"),
        (SqueezeExcite, "block", "`attention` must be one of 'se', .* a layer, or a function"),
        (keras_attn.layers.AddCoordinates(), "block", "only adds positions"),
        (keras_attn.layers.SinusoidalPositionEncoding2D(), "block", "only adds positions"),
        (keras_attn.layers.CoordConv2D(32, 3), "block", "only adds positions"),
        ("se", "blocks", "`where` must pick a layer.*'conv1', 'conv2', 'bn', 'block'"),
        ("se", lambda layer: False, "`where` must pick a layer"),
        ("se", [], "`where` must pick a layer"),
        ("se", ["block", "blok"], "`where` must hold names of .*'conv1'.*no 'blok'"),
        ("se", "*", "`where` must pick layers whose output is one map .*'pool'.*None, 32"),
        (SqueezeExcite(33), "block", "must fit behind 'block'.*`ratio` must not be greater"),
        (GatherExcite(extent=8), "conv?", "must fit behind 'small'.*`extent` must not be greater"),
        (SelectiveKernel(7), "block", "must fit behind 'block'.*keep the shape.*, 7"),
        (AttentionModule(), "odd", "must fit behind 'odd'.*divisible by 4"),
        (lambda name, shape: None, "block", "`attention` must give an attention for one.*'block'"),
        (lambda name, shape: "so", "block", "`attention` must be one of None, 'se'"),
    ],
)
def test_bad_input(attention, where, message, model):
    if isinstance(attention, GatherExcite):
        model, where = tiny(4), "block"
        message = message.replace("small", "block")
    if where == "odd":
        model, where = tiny(8, 30), "block"
        message = message.replace("odd", "block")
    with pytest.raises(ValueError, match="(?s)" + message):
        insert_attention(model, attention, where=where)


def test_models_that_are_not_functional(model):
    for wrong in (Subclassed(), keras.Sequential([keras.layers.Dense(2)]), "model"):
        with pytest.raises(ValueError, match="`model` must be a functional or a built Sequential"):
            insert_attention(wrong, "se", where="*")
    with pytest.raises(ValueError, match="`model` must have attention that insert_attention put"):
        remove_attention(model)
    with pytest.raises(ValueError, match="`model` must have attention that insert_attention put"):
        fold_attention(model)
    with pytest.raises(ValueError, match="`fixed` must be a number or None. Received: fixed='1'"):
        InsertedAttention(EfficientChannelAttention(), fixed="1")


def test_config():
    layer = InsertedAttention(SqueezeExcite(4, name="se"), fixed=0.5, name="behind")
    again = InsertedAttention.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.layer.ratio == 4 and again.fixed == 0.5


ELSEWHERE = """
import keras, numpy as np
from keras_attn import insert_attention, remove_attention
from keras_attn.kinds import KINDS
image = keras.Input((8, 8, 3), name="picture")
x = keras.layers.Conv2D(32, 3, padding="same", activation="relu", name="block")(image)
model = keras.Model(image, keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(x)))
x = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("float32")
y = keras.ops.convert_to_numpy(model(x))
for kind in KINDS:
    attending = insert_attention(model, kind, where="block")
    assert np.array_equal(keras.ops.convert_to_numpy(attending(x)), y), kind
    assert np.array_equal(attending.predict(x, verbose=0), model.predict(x, verbose=0)), kind
    before = [keras.ops.convert_to_numpy(w) for w in attending.trainable_weights]
    attending.compile("sgd", "mse")
    attending.fit(x, y + 1, epochs=3, verbose=0)
    after = [keras.ops.convert_to_numpy(w) for w in attending.trainable_weights]
    assert all(np.all(np.isfinite(w)) for w in after), kind
    changed = [np.any(a != b) for a, b in zip(before, after)]
    assert sum(changed) > 4, kind  # theta-minus has but its scalar
    assert len(remove_attention(attending).weights) == len(model.weights)
"""


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends(backend):
    run = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        env={**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]


def test_the_inserted_layer_is_in_training_by_hand():
    inserted = InsertedAttention(keras_attn.layers.CBAM(2))
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 4)).astype("float32")
    inserted(x)
    trainable, others = inserted.trainable_variables, inserted.non_trainable_variables
    _, after = inserted.stateless_call(trainable, others, x, training=True)
    assert len(others) == 2
    for before, now in zip(others, after, strict=True):
        assert not np.array_equal(before, now)


@pytest.mark.parametrize("extension", ["keras", pytest.param("h5", marks=pytest.mark.slow)])
def test_files_of_frozen_and_quantized_insertions(tmp_path, extension):
    image = keras.Input((5, 4, 32))
    model = keras.Model(image, keras.layers.Conv2D(32, 1, name="conv")(image))
    model = keras_attn.insert_attention(model, "cbam", where="conv", identity=False)
    model.get_layer("conv_cbam").trainable = False
    model.quantize("int8", filters=lambda part: isinstance(part, keras.layers.Dense))
    model.save(tmp_path / f"model.{extension}")
    loaded = keras.saving.load_model(tmp_path / f"model.{extension}", compile=False)
    x = np.random.default_rng(0).normal(size=(3, 5, 4, 32)).astype("float32")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert [w.path for w in loaded.trainable_weights] == ["conv/kernel", "conv/bias"]
