import json
import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from helpers.marks import rest_thorough
from keras_attn.applications import RACNN, RecurrentAttention
from keras_attn.explain import attention_maps
from keras_attn.export import export_saved_model, find_versions, saved_model
from keras_attn.images import Preprocessing
from keras_attn.layers import SelfAttention2D


def classifier(size=(None, None), *, classes=3, dtype=None, end="dense"):
    """A network whose one conv sees the image, so that sizes and positions matter."""
    image = keras.Input((*size, 2))
    x = keras.layers.Conv2D(5, 3, padding="same", activation="relu", dtype=dtype)(image)
    x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(x)
    if end == "dense":
        x = keras.layers.Dense(classes, activation="softmax", dtype=dtype)(x)
    elif end == "activation":
        x = keras.layers.Activation("softmax")(keras.layers.Dense(classes)(x))
    elif end == "softmax":
        x = keras.layers.Softmax()(keras.layers.Dense(classes)(x))
    elif end == "linear":
        x = keras.layers.Dense(classes, dtype=dtype)(x)
    elif end == "no bias":
        x = keras.layers.Dense(classes, activation="softmax", use_bias=False)(x)
    return keras.Model(image, x)


def load(folder, signature="serving_default"):
    return tf.saved_model.load(str(folder)).signatures[signature]


def images(batch=2, height=7, width=11, channels=2):
    return np.random.default_rng(1).random((batch, height, width, channels), np.float32)


def everything_in(path):
    return sorted(str(entry.relative_to(path)) for entry in path.rglob("*"))


def test_a_hand_made_answer(tmp_path):
    image = keras.Input((2, 2, 2))
    x = keras.layers.GlobalAveragePooling2D()(image)
    outputs = keras.layers.Dense(2, activation="softmax")(x)
    model = keras.Model(image, outputs)
    model.set_weights([np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([10.0, 20.0])])
    serve = load(export_saved_model(model, tmp_path / "m"))
    batch = np.zeros((1, 2, 2, 2), np.float32)
    batch[0, 0, 0] = [4.0, 8.0]  # means 1 and 2
    result = serve(image=tf.constant(batch))
    # 1*1 + 2*3 + 10 and 1*2 + 2*5 + 20
    np.testing.assert_array_equal(result["logits"], [[17.0, 32.0]])
    np.testing.assert_allclose(
        result["probabilities"], [[1 / (1 + np.exp(15)), 1 / (1 + np.exp(-15))]], rtol=1e-5
    )


def test_signature_has_names_dtypes_and_open_sizes(tmp_path):
    serve = load(export_saved_model(classifier(), tmp_path / "m"))
    (_, inputs) = serve.structured_input_signature
    assert inputs == {"image": tf.TensorSpec((None, None, None, 2), tf.float32, name="image")}
    outputs = {name: (s.shape.as_list(), s.dtype) for name, s in serve.structured_outputs.items()}
    assert outputs == {
        "logits": ([None, 3], tf.float32),
        "probabilities": ([None, 3], tf.float32),
    }


@pytest.mark.parametrize("size", [(7, 11), (None, None), (7, None), (None, 11)])
def test_equals_the_model_at_sizes_it_takes(tmp_path, size):
    model = classifier(size)
    serve = load(export_saved_model(model, tmp_path / "m"))
    assert serve.structured_input_signature[1]["image"].shape.as_list() == [None, *size, 2]
    for batch in (1, 2, 5):
        x = images(batch)
        np.testing.assert_allclose(
            serve(image=tf.constant(x))["probabilities"], model(x), rtol=0, atol=1e-6
        )


def variables_read_by(folder, signature):
    """How many variables a signature's graph reads, with all functions that it calls."""
    graph = load(folder, signature).graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    return sum(node.op == "ReadVariableOp" for node in nodes)


def test_constants(tmp_path, one_loader):
    """They answer for the variables, which stay, in what takes images and what takes pixels."""
    image = keras.Input((7, 11, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", use_bias=False)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = SelfAttention2D(num_heads=2, key_depth=4, value_depth=6, implementation="chunked")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
    folder = export_saved_model(
        model, tmp_path / "m", preprocessing=Preprocessing(size=(7, 11)), constants=True
    )
    for signature in ("serving_default", "serve_uint8"):
        assert variables_read_by(folder, signature) == 0
    assert variables_read_by(folder, "serve_attention") > 0
    for count in (0, 5):
        batch = images(count, channels=3)
        given = load(folder)(image=tf.constant(batch))
        assert given["logits"].shape == (count, 3)
        if count:
            np.testing.assert_allclose(given["probabilities"], model(batch), rtol=0, atol=1e-5)
    kept = tf.saved_model.load(str(folder)).network
    assert any(np.array_equal(each, model.layers[-1].kernel) for each in kept)
    report = (folder / saved_model.REPORT_FILE).read_text(encoding="utf-8")
    assert json.loads(report)["constants"] is True


def test_constants_that_no_graph_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_model, "MOST_CONSTANTS", 100)
    with pytest.raises(ValueError, match="`constants` must be False where .* Received: const"):
        export_saved_model(classifier(), tmp_path / "m", constants=True)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("end", ["dense", "no bias", "activation", "softmax"])
def test_every_softmax_end_gives_logits(tmp_path, end, one_loader):
    model = classifier((7, 11), end=end)
    result = load(export_saved_model(model, tmp_path / "m"))(image=tf.constant(images()))
    assert set(result) == {"logits", "probabilities"}
    np.testing.assert_allclose(tf.nn.softmax(result["logits"]), model(images()), atol=1e-6)
    assert not np.allclose(result["logits"], result["probabilities"])


@pytest.mark.parametrize("end", ["linear", "features"])
def test_another_end_gives_outputs(tmp_path, end, one_loader):
    model = classifier((7, 11), end=end)
    result = load(export_saved_model(model, tmp_path / "m"))(image=tf.constant(images()))
    assert set(result) == {"outputs"}
    np.testing.assert_allclose(result["outputs"], model(images()), atol=1e-6)


def nested_sequential():
    return keras.Sequential(
        [keras.Input((7, 11, 2)), keras.layers.Rescaling(2.0), classifier((7, 11))]
    )


def nested_alone():
    return keras.Sequential([keras.Input((7, 11, 2)), classifier((7, 11))])


def input_in_a_list():
    inner = classifier((7, 11))
    return keras.Model([inner.inputs[0]], [inner.outputs[0]])


def input_and_output_in_dicts():
    picture = keras.Input((7, 11, 2), name="picture")
    x = keras.layers.Flatten()(picture)
    scores = keras.layers.Dense(3, "softmax")(x)
    return keras.Model({"picture": picture}, {"scores": scores})


def plain_sequential():
    return keras.Sequential(
        [keras.Input((7, 11, 2)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    )


@pytest.mark.parametrize(
    "make",
    rest_thorough(
        [
            nested_alone,
            input_and_output_in_dicts,
            nested_sequential,
            input_in_a_list,
            plain_sequential,
        ],
        fast=2,
    ),
)
def test_structures(tmp_path, make):
    model = make()
    result = load(export_saved_model(model, tmp_path / "m"))(image=tf.constant(images()))
    inputs = {input_in_a_list: [images()], input_and_output_in_dicts: {"picture": images()}}
    expected = keras.tree.flatten(model(inputs.get(make, images())))[0]
    assert set(result) == {"logits", "probabilities"}
    np.testing.assert_allclose(result["probabilities"], expected, atol=1e-6)


@pytest.mark.thorough
def test_a_dict_of_outputs(tmp_path, one_loader):
    """What is in it keeps its name; `probabilities` are what files are classified by."""
    model = RecurrentAttention((12, 12, 3), 4, num_glimpses=3, num_scales=2, glimpse_size=4)
    folder = export_saved_model(model, tmp_path / "m", class_names=list("abcd"))
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 12, 12, 3)).astype("float32")
    found = load(folder)(image=tf.constant(pixels))
    expected = model(pixels)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-6)
    files = tf.stack([tf.io.encode_png(image.astype("uint8")) for image in pixels])
    answer = load(folder, "serve_attention")(image_bytes=files)
    boxes = attention_maps(model, pixels.astype("uint8"), ["glimpses"])["glimpses"]
    np.testing.assert_allclose(answer["attention_glimpses"], boxes, atol=1e-5)
    best = keras.ops.argmax(model(pixels.astype("uint8"))["probabilities"], -1)
    assert [x.decode() for x in answer["labels"].numpy()[:, 0]] == ["abcd"[i] for i in best]


def test_boxes_are_an_output(tmp_path, one_loader):
    backbone = keras.Sequential([keras.Input((16, 16, 2)), keras.layers.Conv2D(3, 3, strides=2)])
    model = RACNN(backbone, 3, scales=2, units=4, sharpness=5.0, sharpness_units="boxes")
    found = load(export_saved_model(model, tmp_path / "m"))(image=tf.constant(images(2, 16, 16)))
    expected = model(images(2, 16, 16))
    assert set(found) == {"scale1", "scale2", "probabilities", "boxes"}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5)


def test_a_dict_without_probabilities(tmp_path):
    image = keras.Input((7, 11, 2))
    model = keras.Model(image, {"a": keras.layers.ReLU()(image), "b": image})
    with pytest.raises(ValueError, match="one output, or a dict of tensors with 'probabilities'"):
        export_saved_model(model, tmp_path / "m")
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    ("policy", "end"), [("mixed_float16", "dense"), ("mixed_bfloat16", "linear")]
)
def test_16_bit_policies_give_float32(tmp_path, policy, end, one_loader):
    model = classifier((7, 11), dtype=policy, end=end)
    assert model.outputs[0].dtype == policy.removeprefix("mixed_")
    result = load(export_saved_model(model, tmp_path / "m"))(image=tf.constant(images()))
    assert {value.dtype for value in result.values()} == {tf.float32}
    main = result["probabilities" if end == "dense" else "outputs"]
    np.testing.assert_allclose(main, keras.ops.cast(model(images()), "float32"), atol=0.02)


def test_versions_count_up_and_are_not_overwritten(tmp_path, one_loader):
    model = classifier((7, 11))
    base = tmp_path / "exports" / "m"
    assert export_saved_model(model, base) == base / "1"
    assert export_saved_model(model, str(base)) == base / "2"
    assert export_saved_model(model, base, version=7) == base / "7"
    (base / "notes.txt").write_text("not a version")
    (base / "0012").mkdir()
    before = (base / "2" / "saved_model.pb").read_bytes()
    with pytest.raises(ValueError, match=r"`version` must be a new one.*version=2"):
        export_saved_model(model, base, version=2)
    with pytest.raises(ValueError, match="version=12"):
        export_saved_model(model, base, version=12)
    assert (base / "2" / "saved_model.pb").read_bytes() == before
    assert export_saved_model(model, base) == base / "13"
    assert list(find_versions(base)) == [1, 2, 7, 12, 13]
    assert not [name for name in os.listdir(base) if name.startswith(".")]


def test_the_loser_of_two_at_once_takes_the_next_number(tmp_path, monkeypatch, one_loader):
    """The other one's versions come while this one is being checked, by another spelling."""
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "m")
    base, there, check = tmp_path / "link", tmp_path / "disk" / "m", saved_model.check_saved_model

    def slow(*args):
        for version in ("1", "02"):  # the second of them is 2, for a server
            (there / version).mkdir()
            (there / version / "saved_model.pb").write_bytes(b"the other's")
        return check(*args)

    monkeypatch.setattr(saved_model, "check_saved_model", slow)
    assert export_saved_model(classifier((7, 11)), base) == base / "3"
    monkeypatch.setattr(
        saved_model, "check_saved_model", lambda *args: (there / "7").touch() or check(*args)
    )
    with pytest.raises(ValueError, match="`version` must be a new one.*version=7"):
        export_saved_model(classifier((7, 11)), base, version=7)
    assert sorted(os.listdir(there)) == ["02", "1", "3", "7"]
    assert (base / "1" / "saved_model.pb").read_bytes() == b"the other's"


def test_versions_end_where_tf_serving_s_integers_do(tmp_path):
    model, base = classifier((7, 11)), tmp_path / "m"
    (base / ("9" * 20)).mkdir(parents=True)
    with pytest.raises(ValueError, match="`version` must be at most 9223372036854775807, .*808"):
        export_saved_model(model, base, version=2**63)
    (base / str(2**63 - 1)).mkdir()
    with pytest.raises(ValueError, match="`version` must be given where the highest possible"):
        export_saved_model(model, base)


def test_no_versions_where_there_is_no_folder(tmp_path):
    assert find_versions(tmp_path / "nothing") == {}


@pytest.mark.parametrize("version", [0, -1, True, 1.0, "1"])
def test_wrong_version(tmp_path, version):
    with pytest.raises(ValueError, match="`version` must be a positive integer. Received: version"):
        export_saved_model(classifier((7, 11)), tmp_path / "m", version=version)
    assert everything_in(tmp_path) == []


def test_labels_are_a_tracked_asset(tmp_path, one_loader):
    names = ["crane", "crane", "Å b"]
    folder = export_saved_model(classifier((7, 11)), tmp_path / "m", class_names=names)
    labels = folder / "assets" / "labels.txt"
    assert labels.read_text(encoding="utf-8") == "crane\ncrane\nÅ b\n"
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((folder / "saved_model.pb").read_bytes())
    assert {asset.filename for asset in proto.meta_graphs[0].asset_file_def} == {
        "labels.txt",
        "model_card.md",
    }
    assert set(load(folder)(image=tf.constant(images()))) == {"logits", "probabilities"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b"], r"one name for each of the model's 3 outputs. Received: 2 names"),
        ("abc", "`class_names` must be a sequence of non-empty strings"),
        (["a", "b", 3], "`class_names` must be a sequence of non-empty strings"),
        (["a", "", "c"], "`class_names` must be a sequence of non-empty strings"),
        (["a", "b\nc", "d"], "`class_names` must be a sequence of non-empty strings"),
        (["a", "b\n", "d"], "`class_names` must be a sequence of non-empty strings"),
        ([], "`class_names` must be a sequence of non-empty strings"),
    ],
)
def test_wrong_class_names(tmp_path, names, message):
    with pytest.raises(ValueError, match=message):
        export_saved_model(classifier((7, 11)), tmp_path / "m", class_names=names)
    assert everything_in(tmp_path) == []


class Subclassed(keras.Model):
    def call(self, x):
        return x


def two_inputs():
    a, b = keras.Input((7, 11, 2)), keras.Input((7, 11, 2))
    return keras.Model([a, b], keras.layers.Add()([a, b]))


def two_outputs():
    a = keras.Input((7, 11, 2))
    return keras.Model(a, [keras.layers.ReLU()(a), keras.layers.Rescaling(2.0)(a)])


def vectors():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


def integers():
    return keras.Sequential([keras.Input((7, 11, 2), dtype="uint8"), keras.layers.Rescaling(1.0)])


def open_channels():
    return keras.Sequential([keras.Input((None, None, None)), keras.layers.ReLU()])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "model.keras", "`model` must be a functional or built Sequential"),
        (Subclassed, "`model` must be a functional or built Sequential"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "`model` must be a functional"),
        (two_inputs, r"`model` must have one input.*\(None, 7, 11, 2\), \(None, 7, 11, 2\)"),
        (vectors, r"`model` must have one input.*rank 4. Received: input shapes=\[\(None, 3\)\]"),
        (two_outputs, "`model` must have one output"),
        (integers, "`model` must take floating images. Received: input dtype=uint8"),
        (open_channels, "`model` must know its number of channels"),
    ],
)
def test_wrong_model(tmp_path, make, message):
    with pytest.raises(ValueError, match=message):
        export_saved_model(make(), tmp_path / "m")
    assert everything_in(tmp_path) == []


def test_path_is_a_file(tmp_path):
    (tmp_path / "m").write_text("here")
    with pytest.raises(ValueError, match="`path` must be a folder"):
        export_saved_model(classifier((7, 11)), tmp_path / "m")
    assert (tmp_path / "m").read_text() == "here"


class Noise(keras.layers.Layer):
    """Gives other numbers each time, so that no two runs agree."""

    def call(self, x):
        return x + tf.random.normal(tf.shape(x))


def noisy():
    return keras.Sequential([keras.Input((7, 11, 2)), Noise()])


def not_a_number():
    model = classifier((7, 11))
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    return model


def grouped_convolution():
    return keras.Sequential([keras.Input((7, 11, 2)), keras.layers.Conv2D(4, 3, groups=2)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (noisy, "must give the same `outputs` for the same images"),
        (not_a_number, "max abs difference=nan for input of shape"),
        (grouped_convolution, "_XlaMustCompile"),
    ],
)
def test_a_failed_check_leaves_nothing(tmp_path, make, message):
    with pytest.raises(RuntimeError, match=message):
        export_saved_model(make(), tmp_path / "a" / "b" / "m", class_names=None)
    assert everything_in(tmp_path) == []


def test_a_failed_check_leaves_what_was_there(tmp_path, one_loader):
    export_saved_model(classifier((7, 11)), tmp_path / "m")
    before = everything_in(tmp_path)
    with pytest.raises(RuntimeError):
        export_saved_model(noisy(), tmp_path / "m")
    assert everything_in(tmp_path) == before


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch, one_loader):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_saved_model(classifier((7, 11)), tmp_path / "a" / "m")
    assert everything_in(tmp_path) == []


def test_others_may_read_it_and_nothing_is_printed(tmp_path, capsys, one_loader):
    mask = os.umask(0o022)
    try:
        folder = export_saved_model(classifier((7, 11)), tmp_path / "m")
    finally:
        os.umask(mask)
    assert isinstance(folder, pathlib.Path)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert capsys.readouterr().out == ""


def test_other_backends_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match=r"backend\(\)='jax'"):
        export_saved_model(None, tmp_path / "m")


def test_not_inside_a_strategy_scope(tmp_path, one_loader):
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = classifier((7, 11))
        with pytest.raises(RuntimeError, match=r"outside of `strategy.scope\(\)`"):
            export_saved_model(model, tmp_path / "m")
    assert everything_in(tmp_path) == []
    folder = export_saved_model(model, tmp_path / "m")
    result = load(folder)(image=tf.constant(images()))
    np.testing.assert_allclose(result["probabilities"], model(images()), atol=1e-6)
