"""What attention layers say of themselves, and that pictures, servers and costs listen to it.

The accounts of what each place gets are NumPy's, written without the layers' own.
"""

import keras
import numpy as np
import pytest
from PIL import Image

import keras_attn
from helpers.layer_contract import CASES
from keras_attn import layers
from keras_attn.cost import count_cost
from keras_attn.explain import attention_maps, explain
from keras_attn.export.graph.attention import attention_endpoint

ATTENTION = [case for case in CASES if case.has_attention]
# Form and start by class; where they depend on the arguments, by the case's name.
SAID = {
    layers.SqueezeExcite: ("channel_gate", "gate"),
    layers.EfficientChannelAttention: ("channel_gate", "gate"),
    layers.ChannelGate: ("channel_gate", "gate"),
    layers.SpatialGate: ("place_gate", "gate"),
    layers.CBAM: ("mask", "gate"),
    layers.BAM: ("mask", "gate"),
    layers.CoordinateAttention: ("mask", "gate"),
    layers.SimpleCoordinateAttention: ("mask", "gate"),
    layers.StyleRecalibration: ("channel_gate", "gate"),
    layers.GatedChannelTransformation: ("channel_gate", "identity"),
    layers.EfficientLocalAttention: ("mask", "gate"),
    layers.StripAttention: ("mask", "gate"),
    layers.GatherExcite: ("place_gate", "gate"),
    "gather_excite_theta_minus": ("channel_gate", "gate"),
    "gather_excite_theta_global": ("channel_gate", "gate"),
    "gather_excite_theta_plus": ("channel_gate", "gate"),
    layers.GlobalContext: ("place_gate", "identity"),
    "global_context_scale": ("place_gate", "gate"),
    layers.SpatialChannelSqueezeExcite: ("mask", "gate"),
    "spatial_channel_squeeze_excite_channel": ("channel_gate", "gate"),
    "spatial_channel_squeeze_excite_spatial": ("place_gate", "gate"),
    layers.NonLocal2D: ("map", "identity"),
    layers.SelfAttention2D: ("map", "new_map"),
    layers.AugmentedConv2D: ("map", "new_map"),
    layers.BottleneckSelfAttention2D: ("map", "new_map"),
    layers.HaloAttention2D: ("map", "new_map"),
    layers.AttentionModule: ("mask", "new_map"),
    layers.SelectiveKernel: ("channel_gate", "new_map"),
    layers.EffectiveSE: ("channel_gate", "gate"),
    layers.SimAM: ("mask", "gate"),
    layers.LightCBAM: ("mask", "gate"),
    layers.GlobalResponseNormalization: ("channel_gate", "identity"),
    layers.TripletAttention: ("mask", "gate"),
    layers.ShuffleAttention: ("mask", "new_map"),
    layers.SpatialGroupEnhance: ("mask", "gate"),
    layers.PolarizedSelfAttention: ("mask", "gate"),
    layers.EfficientMultiScaleAttention: ("mask", "gate"),
    layers.LargeSeparableKernelAttention: ("mask", "identity"),
    layers.PositionAttention: ("map", "identity"),
    layers.ChannelAttention: ("channel_gate", "identity"),
    layers.DoubleAttention: ("place_gate", "identity"),
    layers.CrissCrossAttention: ("map", "identity"),
    layers.LambdaLayer: ("place_gate", "new_map"),
    layers.SplitAttention: ("channel_gate", "new_map"),
    layers.PyramidSqueezeAttention: ("channel_gate", "new_map"),
    layers.AxialAttention: ("map", "new_map"),
    layers.OutlookAttention: ("map", "new_map"),
    layers.ContextualTransformer: ("channel_gate", "new_map"),
    layers.ClassSpecificResidualAttention: ("place_gate", "new_map"),
    layers.BilinearAttention: ("map", "new_map"),
}


def said(case):
    form, start = SAID.get(case.name) or SAID[case.layer]
    if case.layer is layers.AugmentedConv2D and case.kwargs["value_depth"] == 0:
        form = None  # a plain convolution
    return form, start


def halo_received(attention, size, block, halo, strides):
    """Adds each weight of each real query to the place that it goes to."""
    height, width = (side * strides for side in size)
    across = -(-width // block)
    received = np.zeros((len(attention), height, width))
    for number in range(attention.shape[2]):
        top, left = number // across * block, number % across * block
        for query in range((block // strides) ** 2):
            row = top + query // (block // strides) * strides
            column = left + query % (block // strides) * strides
            if row >= height or column >= width:
                continue
            for key in range(attention.shape[4]):
                y = top - halo + key // (block + 2 * halo)
                x = left - halo + key % (block + 2 * halo)
                if 0 <= y < height and 0 <= x < width:
                    received[:, y, x] += attention[:, :, number, query, key].mean(1)
    return received / (size[0] * size[1])


def cross_received(attention, size):
    """Adds each weight of each query to the place of its column or its row that it goes to."""
    height, width = size
    received = np.zeros((len(attention), height, width))
    for y in range(height):
        for x in range(width):
            received[:, :, x] += attention[:, 0, y, x, :height]
            received[:, y, :] += attention[:, 0, y, x, height:]
    return received / (height * width)


def axial_received(attention, size, axis):
    """What goes through the row, and then through the column, from each place to each."""
    height, width = size
    attention = attention.mean(1)
    received = np.zeros((len(attention), height, width))
    for y in range(height):
        for x in range(width):
            if axis == "width":
                received[:, y] += attention[:, y, x]
                continue
            for passed in range(width):
                by_row = attention[:, y, x, height + passed, None]
                received[:, :, passed] += by_row * attention[:, y, passed, :height]
    return received / (height * width)


def outlook_received(attention, size, side, strides):
    """Adds each weight of each place on the map to the place on the map that it goes to."""
    height, width = size
    attention, asking = attention.mean(1), 0
    received = np.zeros((len(attention), height, width))

    def place(window, number):
        y = window[0] * strides + number // side - side // 2
        x = window[1] * strides + number % side - side // 2
        return (y, x) if 0 <= y < height and 0 <= x < width else None

    for window in np.ndindex(attention.shape[1:3]):
        for asker in filter(lambda number: place(window, number), range(side * side)):
            asking += 1
            for key in range(side * side):
                if place(window, key) is not None:
                    received[:, *place(window, key)] += attention[:, *window, asker, key]
    return received / asking


def received(case, attention, output_shape):
    """What each place gets of a layer's attention; None where it has no places."""
    form, _ = said(case)
    if form == "channel_gate":
        return None
    if form != "map":
        return attention.mean(-1)
    size = output_shape[1:3]
    if case.layer is layers.HaloAttention2D:
        defaults = {"block_size": 8, "halo_size": 3, "query_strides": 1}
        sides = [{**defaults, **case.kwargs}[key] for key in defaults]
        return halo_received(attention, size, *sides)
    if case.layer is layers.AxialAttention:
        return axial_received(attention, size, case.kwargs.get("along"))
    if case.layer is layers.OutlookAttention:
        return outlook_received(attention, size, 3, case.kwargs.get("window_strides", 1))
    if case.layer is layers.BilinearAttention:
        size = [case.kwargs["block_number"]] * 2
    if case.layer is layers.CrissCrossAttention:
        return cross_received(attention, size)
    if case.kwargs.get("sub_sample"):
        size = [-(-side // 2) for side in size]
    strides = case.kwargs.get("attention_strides", 1)
    size = [-(-side // strides) for side in size]
    return attention.mean((1, 2)).reshape(len(attention), *size)


@pytest.mark.parametrize("case", ATTENTION, ids=lambda case: case.name)
def test_form_start_and_places(case):
    layer = case.make_built()
    form, start = said(case)
    assert layers.attention_form(layer) == form
    assert layers.attention_start(layer) == start
    if form is None:
        return
    x = case.inputs()
    y, attention = (np.asarray(a) for a in layer(x, return_attention=True))
    places = layers.attention_by_place(layer, attention, y.shape)
    expected = received(case, attention, y.shape)
    if expected is None:
        assert places is None
        by_channel = np.asarray(layers.attention_by_channel(layer, attention))
        assert by_channel.ravel().tolist() == attention.ravel().tolist()
        assert by_channel.shape[-1] == y.shape[-1]
    else:
        np.testing.assert_allclose(places, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", ATTENTION, ids=lambda case: case.name)
def test_what_a_fresh_layer_computes(case):
    _, start = said(case)
    layer, x = case.make(), case.inputs()
    x[:, 1, 2] = 0
    if start == "identity":
        np.testing.assert_array_equal(layer(x), x)
    elif start == "gate":
        y = np.asarray(layer(x))
        assert not y[:, 1, 2].any() and y.any()


# In the fast suite one case of each layer and form.
DRAWN = {(case.layer, said(case)[0]): case for case in reversed(ATTENTION)}.values()


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[] if c in DRAWN else pytest.mark.slow) for c in ATTENTION],
    ids=lambda case: case.name,
)
def test_drawn_and_served(case, tmp_path):
    form, _ = said(case)
    size = case.shape[1:3]
    image = keras.Input((*size, 3))
    x = keras.layers.Conv2D(case.shape[-1], 1, kernel_initializer="he_normal")(image)
    x = keras.layers.LayerNormalization()(x)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(case.make()(x)))
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype("float32")
    if form is None:
        assert attention_endpoint(model) is None
        with pytest.raises(ValueError, match="must have a layer that says its `attention_form`"):
            attention_maps(model, pixels)
        return
    attention = attention_maps(model, pixels)["layer"]
    expected = received(case, attention, model.get_layer("layer").output.shape)
    _, served = attention_endpoint(model)(pixels)
    if expected is None:
        expected = attention if attention.ndim < 4 else attention[:, 0, 0]
    np.testing.assert_allclose(served["attention_layer"], expected, rtol=0, atol=1e-6)
    with Image.open(explain(model, pixels[0], tmp_path / "a.png")) as picture:
        assert len(picture.getcolors(10**6)) > 20


@pytest.mark.parametrize("sub_sample", [False, True])
def test_what_one_place_pays(sub_sample):
    layer = layers.NonLocal2D(sub_sample=sub_sample)
    x = np.random.default_rng(0).normal(size=(2, 7, 5, 4)).astype("float32")
    y, attention = layer(x, return_attention=True)
    attention = np.asarray(attention).reshape(2, 7, 5, -1)
    window = attention[:, 4:6, 2:4] if sub_sample else attention[:, 2:3, 1:2]
    expected = window.mean((1, 2)).reshape((2, 4, 3) if sub_sample else (2, 7, 5))
    places = layers.attention_by_place(layer, attention.reshape(2, 1, 35, -1), y.shape, (2, 1))
    np.testing.assert_allclose(places, expected, atol=1e-6)
    with pytest.raises(ValueError, match="`query` must be a place within"):
        layers.attention_by_place(layer, attention.reshape(2, 1, 35, -1), y.shape, (7, 0))


class Rows(keras.layers.Layer):
    """A user's own: each row is weighed by a softmax over the rows. It knows nothing of ours."""

    attention_form = "place_gate"

    def build(self, input_shape):
        self.score = keras.layers.Conv2D(1, 1, name="score")
        self.score.build(input_shape)

    def call(self, inputs, return_attention=False):
        score = keras.ops.mean(self.score(inputs), axis=2)  # (B, H, 1)
        gate = keras.ops.softmax(score, axis=1)
        outputs = inputs * gate[:, :, None]
        return (outputs, gate) if return_attention else outputs

    def attention_by_place(self, attention, output_shape):
        return keras.ops.broadcast_to(
            attention, (output_shape[0], output_shape[1], output_shape[2])
        )


def test_a_users_own_layer(tmp_path):
    image = keras.Input((7, 5, 3))
    x = keras.layers.Conv2D(4, 1, name="conv")(image)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 7, 5, 3)).astype("float32")
    attending = keras_attn.insert_attention(model, Rows(), where="conv")
    np.testing.assert_array_equal(attending(pixels), model(pixels))
    [layer] = layers.attention_layers(attending)
    gate = attention_maps(attending, pixels)[layer.name]
    expected = np.repeat(gate, 5, axis=2)
    _, served = attention_endpoint(attending)(pixels)
    np.testing.assert_allclose(served[f"attention_{layer.name}"], expected, atol=1e-6)
    assert explain(attending, pixels[0], tmp_path / "a.png").exists()
    added = count_cost(attending).macs - count_cost(model).macs
    assert added == 7 * 5 * 4  # its convolution


@pytest.mark.parametrize(("name", "value"), [("attention_form", "gate"), ("starts_as", "zero")])
def test_what_is_no_form_or_start(name, value):
    layer = type("Own", (keras.layers.Layer,), {name: value})()
    ask = {"attention_form": layers.attention_form, "starts_as": layers.attention_start}[name]
    with pytest.raises(ValueError, match=f"`{name}` of a layer must be one of .*='{value}'"):
        ask(layer)
    with pytest.raises(ValueError, match=r"`layer` must say its `attention_form`|must be one of"):
        layers.attention_by_place(layer, np.ones((1, 1, 1, 1)), (1, 1, 1, 1))
