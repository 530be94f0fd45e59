"""ONNX and TFLite: the same numbers in another runtime, or an error and no file."""

import json
from functools import partial

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

import keras_attn
from keras_attn.export import (
    export_onnx,
    export_saved_model,
    export_tflite,
    export_tflite_int8,
)
from keras_attn.export import onnx as onnx_export
from keras_attn.export import tflite as tflite_export
from keras_attn.export.checks.loaders import LOADERS, SESSION


def attentive(size=(None, None)):
    """The operations that attention adds to a network: gates, masks, maps, grouped ones."""
    image = keras.Input((*size, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras_attn.layers.SqueezeExcite(ratio=2)(x)
    x = keras_attn.layers.CBAM(ratio=2)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, "softmax")(x), name="attentive")


@pytest.fixture(scope="module")
def conversions():
    """(SavedModel, opset) -> what tf2onnx made of it."""
    return {}


@pytest.fixture(autouse=True)
def converted_once(conversions, monkeypatch):
    """tf2onnx, in a process of its own that takes seconds, is asked once for each."""
    convert = onnx_export._convert

    def convert_once(folder, path, opset):
        if (folder, opset) not in conversions:
            convert(folder, path, opset)
            conversions[folder, opset] = path.read_bytes()
        path.write_bytes(conversions[folder, opset])

    monkeypatch.setattr(onnx_export, "_convert", convert_once)


@pytest.fixture(scope="module")
def one_loader():
    """What the SavedModels of this module are run by: all have theirs in test_signatures."""
    with pytest.MonkeyPatch.context() as patch:
        for name in set(LOADERS) - {SESSION}:
            patch.delitem(LOADERS, name)
        yield


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory, one_loader):
    keras.utils.set_random_seed(0)
    return export_saved_model(attentive(), tmp_path_factory.mktemp("e") / "attentive")


@pytest.fixture(scope="module")
def fixed(tmp_path_factory, one_loader):
    """With relative positions, at one size."""
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 10, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras_attn.layers.AugmentedConv2D(8, 3, num_heads=2, key_depth=4, value_depth=4)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, "softmax")(x))
    return export_saved_model(model, tmp_path_factory.mktemp("e") / "fixed")


def chunked(size, queries):
    """Attention in chunks of `queries`, which do not divide the places."""
    image = keras.Input((*size, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras_attn.layers.AugmentedConv2D(
        8, 3, num_heads=2, key_depth=8, value_depth=4, table_size=16, implementation="chunked",
        max_logits_bytes=4 * 2 * queries * (size[0] or 128) * (size[1] or 96),
    )(x)  # fmt: skip
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, "softmax")(x), name="chunked")


@pytest.mark.parametrize(
    "size, queries",
    [
        pytest.param((12, 10), 50, marks=pytest.mark.slow),
        pytest.param((12, 10), 120, marks=pytest.mark.slow),
        pytest.param((None, None), 100, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_chunks(size, queries, tmp_path):
    """Batch, height and width unknown, and loops within loops."""
    keras.utils.set_random_seed(0)
    saved_model = export_saved_model(chunked(size, queries), tmp_path / "chunked")
    assert report_of(export_onnx(saved_model, tmp_path / "net.onnx"))["checks"]
    assert report_of(export_tflite(saved_model, tmp_path / "net.tflite"))["checks"]


def report_of(path):
    return json.loads(path.with_name(path.name + ".report.json").read_text())


def test_onnx_keeps_names_and_names_axes(saved_model, tmp_path):
    path = export_onnx(saved_model, tmp_path / "a" / "net.onnx", opset=18)
    network = onnx.load(str(path))
    [image] = network.graph.input
    dims = [dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim]
    assert (image.name, dims) == ("image", ["batch", "height", "width", 3])
    outputs = {output.name: output.type.tensor_type.shape for output in network.graph.output}
    assert set(outputs) == {"logits", "probabilities"}
    assert [d.dim_param or d.dim_value for d in outputs["logits"].dim] == ["batch", 3]
    assert [entry.version for entry in network.opset_import if not entry.domain] == [18]
    report = report_of(path)
    sizes = {tuple(check["input_shape"]) for check in report["checks"]}
    assert len(sizes) == 4  # two batch sizes, two image sizes
    assert all(check["max_difference"] <= check["bound"] for check in report["checks"])
    assert sorted(file.name for file in path.parent.iterdir()) == [
        path.name,
        path.name + ".report.json",
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("export", [export_onnx, export_tflite])
def test_relative_positions(fixed, tmp_path, export):
    suffix = {export_onnx: "onnx", export_tflite: "tflite"}[export]
    path = export(fixed, tmp_path / f"net.{suffix}")
    checks = report_of(path)["checks"]
    assert {tuple(check["input_shape"]) for check in checks} == {(1, 12, 10, 3), (3, 12, 10, 3)}


def test_tflite_has_built_in_operators_only(saved_model, tmp_path):
    path = export_tflite(saved_model, tmp_path / "net.tflite")
    report = report_of(path)
    assert report["refused_by_xnnpack"] is None
    assert len(report["checks"]) == 8


@pytest.mark.thorough
def test_int8(fixed, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 10, 3)).astype("float32")
    path = export_tflite_int8(fixed, tmp_path / "net.tflite", images, least_agreement=0.5)
    report = report_of(path)
    assert (report["calibrated_on"], report["compared_on"]) == (20, 20)
    assert 0.5 <= report["top1_agreement"] <= 1
    assert 0 < report["max_difference"] < 0.1  # int8, so not the same numbers
    float_path = export_tflite(fixed, tmp_path / "float.tflite")
    assert path.stat().st_size < float_path.stat().st_size


@pytest.mark.thorough
def test_what_xnnpack_refuses_is_said(fixed, tmp_path, monkeypatch):
    right = tflite_export._runner
    monkeypatch.setattr(tflite_export, "_runner", lambda *args: (right(*args)[0], "node 7"))
    images = np.random.default_rng(0).integers(0, 256, (8, 12, 10, 3)).astype("float32")
    path = export_tflite_int8(fixed, tmp_path / "net.tflite", images, least_agreement=0.1)
    assert path == tmp_path / "net.tflite"
    assert "XNNPACK" in path.notes[0] and path.notes[0].endswith(": node 7")


@pytest.mark.thorough
def test_the_checker_s_reason_is_one_line(fixed, tmp_path, monkeypatch):
    def refuses(*_, **__):
        raise onnx.checker.ValidationError("Nodes in a graph\n\n==> Context: ...")

    monkeypatch.setattr(onnx.checker, "check_model", refuses)
    with pytest.raises(RuntimeError, match="ONNX's checker refuses the network: Nodes in a graph$"):
        export_onnx(fixed, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_too_little_agreement_leaves_nothing(fixed, tmp_path, monkeypatch):
    def other_classes(path, first):
        return lambda images: {"probabilities": np.eye(3)[[1]] + 0.0 * images[:, 0, 0]}, None

    monkeypatch.setattr(tflite_export, "_converted", lambda converter: b"")
    monkeypatch.setattr(tflite_export, "_runner", other_classes)
    images = np.random.default_rng(0).integers(0, 256, (8, 12, 10, 3)).astype("float32")
    monkeypatch.setattr(
        tflite_export.Reference,
        "__call__",
        lambda self, *batches: [{"probabilities": np.eye(3)[[0]]} for _ in batches],
    )
    with pytest.raises(RuntimeError, match=r"share of 0.95 .* Received: 0.000 of 4"):
        export_tflite_int8(fixed, tmp_path / "net.tflite", images)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "export", "name"),
    [
        (onnx_export, partial(export_onnx, opset=18), "net.onnx"),
        (tflite_export, export_tflite, "net.tflite"),
    ],
)
def test_other_numbers_leave_nothing_and_keep_what_was(
    saved_model, tmp_path, monkeypatch, module, export, name
):
    right = module._runner

    def off_by_little(*args):
        made = right(*args)
        run = made[0] if isinstance(made, tuple) else made
        wrong = lambda images: {key: value + 1e-2 for key, value in run(images).items()}  # noqa: E731
        return (wrong, None) if isinstance(made, tuple) else wrong

    monkeypatch.setattr(module, "_runner", off_by_little)
    path = tmp_path / name
    path.write_text("old")
    with pytest.raises(RuntimeError, match=r"must equal the SavedModel's to .*difference=0.01"):
        export(saved_model, path)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert path.read_text() == "old"


BROKEN = """
from tf2onnx import optimizer
class Broken:
    def optimize(self, graph, iteration):
        graph.reset_nodes([])
        raise ValueError("broken")
optimizer._optimizers["broken"] = Broken
"""


@pytest.mark.thorough
def test_a_pass_of_tf2onnx_that_fails_is_left_out(saved_model, conversions, tmp_path, monkeypatch):
    conversions.clear()
    monkeypatch.setattr(onnx_export, "CONVERT", BROKEN + onnx_export.CONVERT)
    export_onnx(saved_model, tmp_path / "net.onnx")  # which compares its numbers
    conversions.clear()
    assert onnx.load(tmp_path / "net.onnx").graph.node


@pytest.mark.slow
def test_an_operation_that_onnx_has_not(tmp_path, capfd, one_loader):
    """tf2onnx logs it, and says that it was successful."""
    image = keras.Input((8, 8, 2))
    x = keras.layers.Lambda(lambda t: tf.math.real(tf.signal.fft2d(tf.cast(t, tf.complex64))))(
        image
    )
    model = keras.Model(image, keras.layers.Flatten()(x))
    saved_model = export_saved_model(model, tmp_path / "fft")
    with pytest.raises(RuntimeError, match="tf2onnx can't .*: ONNX has nothing for FFT2D, Real$"):
        export_onnx(saved_model, tmp_path / "net.onnx")
    capfd.readouterr()
    with pytest.raises(RuntimeError, match="alone: it has none for FFT2D, on complex64$"):
        export_tflite(saved_model, tmp_path / "net.tflite")
    assert "FFT2D" not in capfd.readouterr().err  # the converter's own lines
    assert [file.name for file in tmp_path.iterdir()] == ["fft"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: export_onnx(m, "net.pb"), ValueError, "`path` must end in '.onnx'.*net.pb"),
        (lambda m: export_onnx(m, "n.onnx", opset=13), ValueError, r"`opset` must be one of \(17"),
        (lambda m: export_onnx("nowhere", "n.onnx"), FileNotFoundError, "`saved_model` must be"),
        (lambda m: export_tflite(m, "n.onnx"), ValueError, "`path` must end in '.tflite'"),
        (
            lambda m: export_tflite_int8(m, "n.tflite", np.zeros((9, 12, 10, 1), "float32")),
            ValueError,
            r"`images` must be at least 8 float32 images of shape \(12, 10, 3\).*\(9, 12, 10, 1\)",
        ),
        (
            lambda m: export_tflite_int8(m, "n.tflite", np.zeros((7, 12, 10, 3), "float32")),
            ValueError,
            r"`images` must be at least 8.*\(7, 12, 10, 3\)",
        ),
        (
            lambda m: export_tflite_int8(
                m, "n.tflite", np.zeros((8, 12, 10, 3), "float32"), least_agreement=0
            ),
            ValueError,
            "`least_agreement` must be above 0",
        ),
    ],
)
def test_wrong_arguments(fixed, tmp_path, monkeypatch, call, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        call(fixed)
    assert list(tmp_path.iterdir()) == []
