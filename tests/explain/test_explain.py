"""Attention maps against direct calls of the layers, and pictures pixel by pixel."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_attn.applications import RecurrentAttention
from keras_attn.explain import (
    attention_layers,
    attention_maps,
    attention_stages,
    blend,
    colourise,
    explain,
    heat_maps,
    map_heat,
    mask_heat,
    overlay,
    read_image,
)
from keras_attn.explain.drawing.pictures import OPACITY, PANEL, RAMP, panel_of
from keras_attn.layers import (
    AttentionModule,
    AugmentedConv2D,
    CaptionDecoder,
    CaptionSearch,
    SelfAttention2D,
    SqueezeExcite,
)

HEIGHT, WIDTH = 7, 5


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = SqueezeExcite(ratio=4, name="gate")(x)
    x = AttentionModule(mask_depth=1, name="mask")(x)
    x = SelfAttention2D(num_heads=2, key_depth=4, value_depth=6, name="map")(x)
    x = AugmentedConv2D(
        11, 3, strides=2, num_heads=2, key_depth=4, value_depth=4, name="strided_map"
    )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x), name="net")


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (2, HEIGHT, WIDTH, 3)).astype("float32")


def test_maps_equal_a_direct_call(model, images):
    maps = attention_maps(model, images)
    assert list(maps) == ["gate", "mask", "map", "strided_map"] == attention_layers(model)
    x = images
    for layer in model.layers[1:6]:
        if layer.name in maps:
            x, expected = layer(x, return_attention=True, training=False)
            np.testing.assert_allclose(maps[layer.name], expected, atol=1e-6)
        else:
            x = layer(x)
    places = HEIGHT * WIDTH
    assert maps["gate"].shape == (2, 1, 1, 8)
    assert maps["mask"].shape == (2, HEIGHT, WIDTH, 8)
    assert maps["map"].shape == (2, 2, places, places)
    assert maps["strided_map"].shape == (2, 2, 4 * 3, 4 * 3)
    assert all(attention.dtype == np.float32 for attention in maps.values())
    np.testing.assert_allclose(maps["map"].sum(axis=-1), 1, atol=1e-5)


def test_maps_of_chosen_layers_in_their_order(model, images):
    chosen = attention_maps(model, images.astype("uint8"), layers=["mask", "gate"])
    assert list(chosen) == ["mask", "gate"]
    np.testing.assert_allclose(chosen["gate"], attention_maps(model, images)["gate"], atol=1e-6)


def test_maps_leave_the_model_as_it_was(model, images, tmp_path):
    before, config = model(images), model.to_json()
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    attention_maps(model, images)
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
    assert model.to_json() == config
    np.testing.assert_array_equal(model(images), before)


def test_maps_of_a_sequential_and_of_a_loaded_model(images, tmp_path):
    layers = [keras.Input((HEIGHT, WIDTH, 3)), SqueezeExcite(ratio=1, name="se")]
    sequential = keras.Sequential(layers)
    gate = attention_maps(sequential, images)["se"]
    np.testing.assert_allclose(images * gate, sequential(images), rtol=1e-6)
    sequential.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(attention_maps(loaded, images)["se"], gate)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def plain():
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    return keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs), name="plain")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: 3, "must be a functional or a built Sequential keras.Model.* Received: model=3"),
        (Subclassed, "must be a functional or a built Sequential keras.Model"),
        (lambda: keras.Sequential([SqueezeExcite()]), "must be a functional or a built Sequential"),
        (plain, "such as AttentionModule. Received: model 'plain' with layers Conv2D, InputLayer"),
    ],
)
def test_models_without_maps(images, make, message):
    with pytest.raises(ValueError, match=message):
        attention_maps(make(), images)


@pytest.mark.parametrize("layers", [["stem"], ["mask", "nowhere"], [], "mask"])
def test_wrong_layers_lists_what_there_is(model, images, layers):
    with pytest.raises(ValueError) as caught:
        attention_maps(model, images, layers=layers)
    assert str(caught.value) == (
        "`layers` must be names of the model's attention layers, gate, mask, map, strided_map. "
        f"Received: layers={layers!r}"
    )


@pytest.mark.parametrize(
    "shape", [(HEIGHT, WIDTH, 3), (1, HEIGHT, WIDTH, 1), (0, HEIGHT, WIDTH, 3)]
)
def test_wrong_images(model, shape):
    with pytest.raises(ValueError, match=r"`images` must be .* \(None, 7, 5, 3\). Received"):
        attention_maps(model, np.zeros(shape))


def test_two_inputs(images):
    image, other = keras.Input((16, 16, 3)), keras.Input((3,), name="other")
    x = SqueezeExcite(1, name="se")(image)
    model = keras.Model([image, other], keras.layers.Add()([x, other[:, None, None]]))
    with pytest.raises(ValueError, match="`model` must have one input, the image.*other"):
        attention_maps(model, images)


def test_heat_by_hand():
    mask = np.array([[[0.0, 1.0], [0.5, 1.0], [1.0, 1.0]]])  # (1, 3, 2)
    np.testing.assert_array_equal(mask_heat(mask), [[0.5, 0.75, 1.0]])
    attention = np.zeros((2, 6, 6))  # two heads, 2 x 3 places
    attention[0, :, 4] = 1.0  # every query looks at place (1, 1)
    attention[1] = np.eye(6)  # every query looks at itself
    received = np.array([[1, 1, 1], [1, 7, 1]]) / 12
    np.testing.assert_allclose(map_heat(attention, (2, 3)), received, rtol=1e-12)
    paid = np.array([[0, 0, 0.5], [0, 0.5, 0]])
    np.testing.assert_array_equal(map_heat(attention, (2, 3), query=(0, 2)), paid)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mask_heat(np.zeros((2, 3))), r"`mask` must be \(H, W, C\). .*shape \(2, 3\)"),
        (lambda: map_heat(np.zeros((1, 6, 6)), (2, 2)), r"`attention` must be \(num_heads, 4, 4\)"),
        (lambda: map_heat(np.zeros((1, 6, 6)), (2, 3), (2, 0)), r"Received: query=\(2, 0\)"),
        (lambda: blend(np.zeros((2, 2, 4)), np.zeros((2, 2))), r"`image` must be .*\(2, 2, 4\)"),
        (lambda: blend(np.zeros((2, 2)), np.zeros((2, 2, 1))), r"`heat` must be \(h, w\), finite"),
        (lambda: blend(np.zeros((2, 2)), np.full((2, 2), np.nan)), "`heat` must be"),
    ],
)
def test_wrong_heat(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_colours_by_hand():
    # At the five stops the ramp's own colours, half-way between two stops their mean.
    np.testing.assert_array_equal(colourise(np.linspace(0, 1, 5)), RAMP)
    np.testing.assert_array_equal(colourise(np.array([[0.125]])), [[[32, 53, 111]]])
    np.testing.assert_array_equal(colourise(np.array([-3.0, 3.0])), RAMP[[0, -1]])
    luminance = colourise(np.linspace(0, 1, 50)) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()


def test_blend_by_hand():
    # A black and a white half under the least and the greatest heat.
    image = np.zeros((2, 2, 3))
    image[:, 1] = 255
    pixels = np.asarray(blend(image, np.array([[2.0, 6.0], [2.0, 6.0]])))
    assert pixels.shape == (PANEL, PANEL, 3)
    left, right = pixels[PANEL // 2, 0], pixels[PANEL // 2, -1]
    np.testing.assert_allclose(left, OPACITY * RAMP[0], atol=1)
    np.testing.assert_allclose(right, OPACITY * RAMP[-1] + (1 - OPACITY) * 255, atol=1)


@pytest.mark.parametrize(
    ("shape", "panel"),
    [
        ((32, 32, 3), (288, 288)),
        ((28, 28), (308, 308)),
        ((7, 5, 1), (294, 210)),  # 42 times: the least whole number that reaches 288
        ((300, 200, 3), (300, 200)),
    ],
)
def test_overlay_sizes_and_panels(shape, panel):
    image = np.random.default_rng(0).integers(0, 256, shape)
    heat = np.array([[0.25, 0.5, 0.75]])
    picture = overlay(image, heat, title="a" * 200, subtitle="b")
    height, width = panel
    assert picture.mode == "RGB"
    assert picture.height == 52 + height + 32
    pixels = np.asarray(picture)
    first = pixels[52 : 52 + height, 16 : 16 + width]
    expected = np.broadcast_to(image.reshape(*shape[:2], -1), (*shape[:2], 3))
    times = height // shape[0]
    np.testing.assert_array_equal(first, expected.repeat(times, axis=0).repeat(times, axis=1))
    second = pixels[52 : 52 + height, 32 + width : 32 + 2 * width]
    np.testing.assert_array_equal(second[height // 2, [0, width // 2, -1]], RAMP[[0, 2, 4]])
    bar = pixels[52 : 52 + height, 16 + 3 * (width + 16)]
    np.testing.assert_array_equal(bar[[0, -1]], RAMP[[-1, 0]])


def test_overlay_frames_the_query_and_takes_a_constant_heat():
    picture = np.asarray(overlay(np.zeros((32, 32)), np.ones((4, 4)), mark=(1, 2)))
    panel = picture[52 : 52 + 288, 16 + 288 + 16 :][:, :288]
    assert (panel[72, 144:216] == 255).all() and (panel[143, 144:216] == 255).all()
    assert (panel[100, 180] == RAMP[2]).all() and (panel[0, 0] == RAMP[2]).all()


@pytest.mark.parametrize("layer", ["mask", "map", "strided_map"])
def test_explain_writes_a_png_on_a_fixed_scale(model, images, tmp_path, layer):
    path = explain(model, images[0], tmp_path / "new" / "picture.png", layer)
    assert path == tmp_path / "new" / "picture.png"
    assert list(path.parent.iterdir()) == [path]
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture)
    attention = attention_maps(model, images[:1])[layer][0]
    if layer == "mask":
        shown = mask_heat(attention)
    else:
        heat = map_heat(attention, (7, 5) if layer == "map" else (4, 3))
        shown = heat / heat.mean() / 4
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    panel = pixels[52 : 52 + 294, 16 + 210 + 16 :][:, :210]
    centre = int((row + 0.5) * 294 / shown.shape[0]), int((column + 0.5) * 210 / shown.shape[1])
    np.testing.assert_array_equal(panel[centre], colourise(shown[row, column]))


def test_explain_draws_all_stages_of_several_images(model, images, tmp_path):
    with Image.open(explain(model, images, tmp_path / "a.png")) as picture:
        columns = 1 + len(attention_stages(model))
        assert attention_stages(model) == ["mask", "map", "strided_map"]
        assert picture.size == (16 + columns * (210 + 16) + 18 + 64, 52 + 2 * (294 + 32) + 30)


def test_explain_a_query(model, images, tmp_path):
    received = explain(model, images[0], tmp_path / "a.png", "map").read_bytes()
    paid = explain(model, images[0], tmp_path / "b.png", "map", query=(3, 2)).read_bytes()
    assert received != paid


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": "gate", "query": (0, 0)}, "`query` must be None for a channel gate"),
        ({"layer": "nowhere"}, r"attention layers, gate, mask, map, strided_map. Received"),
        ({"layer": "mask", "query": (0, 0)}, "`query` must be None for a mask"),
        ({"layer": "map", "query": (7, 0)}, r"`query` must be a place within \(7, 5\)"),
        ({"image": np.zeros((HEIGHT, WIDTH))}, "`images` must be a batch of what the model takes"),
    ],
)
def test_explain_refuses_and_writes_nothing(model, images, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        explain(model, **{"image": images[0], "out_png": tmp_path / "x.png", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_read_image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3)).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", (7, 5, 3)), pixels)
    assert read_image(tmp_path / "a.png", (9, 4, 1)).shape == (9, 4, 1)
    grey = np.full((4, 4), 77, "uint8")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert (read_image(tmp_path / "grey.png", (8, 8, 3)) == 77).all()


def test_read_image_refuses(tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must be an image file. .*nowhere.png"):
        read_image(tmp_path / "nowhere.png", (7, 5, 3))
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(ValueError, match="`path` must be an image that Pillow reads. .*text.png"):
        read_image(tmp_path / "text.png", (7, 5, 3))
    Image.fromarray(np.zeros((64, 64), "uint8")).save(tmp_path / "cut.png")
    data = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[:60])
    with pytest.raises(ValueError, match="`path` must be an image that Pillow reads. .*cut.png"):
        read_image(tmp_path / "cut.png", (7, 5, 3))
    with pytest.raises(ValueError, match="`image_shape` must be .H, W, C. with C 1 or 3"):
        read_image(tmp_path / "cut.png", (7, 5, 2))


def test_explain_draws_what_was_looked_at(tmp_path):
    model = RecurrentAttention((12, 12, 1), 3, num_glimpses=2, glimpse_size=6)
    mean = model.get_layer("glimpses").mean
    mean.kernel.assign(np.zeros(mean.kernel.shape))
    mean.bias.assign(np.arctanh([-0.5, 0.5]))  # up and to the right
    explain(model, np.zeros((12, 12, 1)), tmp_path / "boxes.png")
    with Image.open(tmp_path / "boxes.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert attention_maps(model, np.zeros((1, 12, 12, 1)))["glimpses"].shape == (1, 2, 1, 4)
    left, top = 16 + 288 + 16, 52  # of the second panel
    for colour, (y, x) in ((RAMP[0], (0.25, 0.25)), (RAMP[-1], (0, 0.5))):  # their top left corners
        place = pixels[top + round(y * 287) + 1, left + round(x * 287) + 1]
        np.testing.assert_array_equal(place, colour)
    with pytest.raises(ValueError, match="boxes are drawn by `explain`"):
        heat_maps(model, np.zeros((1, 12, 12, 1)), "attention", layer="glimpses")


def test_one_look_is_the_last_one(tmp_path):
    """Yellow, which is seen on dark images, too."""
    model = RecurrentAttention((12, 12, 1), 3, num_glimpses=1, glimpse_size=6)
    explain(model, np.zeros((12, 12, 1)), tmp_path / "box.png")
    with Image.open(tmp_path / "box.png") as picture:
        place = np.asarray(picture.convert("RGB"))[52 + 72 + 1, 16 + 288 + 16 + 72 + 1]
    np.testing.assert_array_equal(place, RAMP[-1])


def test_explain_draws_a_panel_for_each_word(tmp_path):
    image = keras.Input((2, 3, 3))
    decoder = CaptionDecoder(5, 2, 3, 2)
    model = keras.Model(image, CaptionSearch(decoder, 4, name="search")(image))
    words = ["", "unknown", "red", "green", "disc"]
    for weight in decoder.trainable_weights:
        weight.assign(np.zeros(weight.shape))
    decoder.head.bias.assign([0, 0, 1, 0, 0])  # "red" four times, looking everywhere alike
    explain(model, np.zeros((2, 3, 3)), tmp_path / "red.png", class_names=words)
    decoder.head.bias.assign([1, 0, 0, 0, 0])  # no words: one panel
    explain(model, np.zeros((2, 3, 3)), tmp_path / "none.png", class_names=words)
    sizes = []
    for name in ("red.png", "none.png"):
        with Image.open(tmp_path / name) as picture:
            sizes.append(picture.size)
    panel = panel_of(np.zeros((2, 3, 3))).size[0]
    assert sizes[0][0] - sizes[1][0] == 3 * (panel + 16)
    maps = attention_maps(model, np.zeros((1, 2, 3, 3)))["search"]
    np.testing.assert_array_equal(maps[:, 1:], 0)  # after the end nothing is looked at
