"""Every public layer against the contract of `layer_contract.py`."""

from __future__ import annotations

import functools
import gc
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.testing import TestCase

from helpers.layer_contract import (
    CASES,
    GOLDEN,
    assert_close,
    call,
    config_keys,
    constructor_arguments,
    load_golden,
    model_of,
    public_layers,
    to_numpy,
)
from helpers.paths import TESTS, WITH_HELPERS
from keras_attn import layers

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)

# What repeats a check on the same lines: one case of each layer in the fast suite, its variants in
# the slow one.
FIRST = {case.layer: case for case in reversed(CASES)}.values()
each_layer = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case in FIRST else pytest.mark.slow) for case in CASES],
    ids=lambda case: case.name,
)

# What is mostly Keras's own work: these in the fast suite, all in the slow one.
TYPICAL = [
    case
    for case in FIRST
    if case.layer
    in (
        layers.AttentionModule,
        layers.AugmentedConv2D,
        layers.BatchNormalization,
        layers.CBAM,
        layers.ChannelGate,
        layers.HaloAttention2D,
        layers.SelectiveKernel,
        layers.SqueezeExcite,
    )
]
typical_layers = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case in TYPICAL else pytest.mark.slow) for case in CASES],
    ids=lambda case: case.name,
)
# What asks Keras about each layer in the same way: as above, all of them in the thorough suite.
usual_layers = pytest.mark.parametrize(
    "case",
    [
        case
        if case in TYPICAL
        else pytest.param(case, marks=pytest.mark.thorough if case in FIRST else pytest.mark.slow)
        for case in CASES
    ],
    ids=lambda case: case.name,
)
typical_or_others = pytest.mark.parametrize(
    "cases",
    [
        TYPICAL,
        pytest.param([case for case in CASES if case not in TYPICAL], marks=pytest.mark.slow),
    ],
    ids=["typical", "others"],
)


def test_every_public_layer_has_a_case():
    assert public_layers() == {case.layer for case in CASES}


def test_every_golden_belongs_to_a_case():
    assert {path.stem for path in GOLDEN.glob("*.npz")} == {case.name for case in CASES}


@every_case
def test_golden(case):
    """The recorded numbers, and of a symbol their shapes and dtypes."""
    golden = load_golden(case)
    layer = case.make_built()
    layer.set_weights(golden["weights"])
    eager = call(case, layer, golden["input"])
    for got, expected in zip(eager, golden["outputs"], strict=True):
        assert_close(got, expected)
    kwargs = {"return_attention": True} if case.has_attention else {}
    symbolic = layer(keras.KerasTensor(case.shape), **kwargs)
    symbolic = symbolic if isinstance(symbolic, (tuple, list)) else [symbolic]
    assert [tuple(s.shape) for s in symbolic] == [e.shape for e in eager]
    assert [s.dtype for s in symbolic] == [str(e.dtype) for e in eager]
    assert tuple(layer.compute_output_shape(case.shape)) == eager[0].shape


@every_case
def test_constructor_arguments_are_the_config(case):
    layer = case.make()
    assert constructor_arguments(case.layer) == config_keys(layer)
    assert case.layer.from_config(layer.get_config()).get_config() == layer.get_config()


@each_layer
def test_a_fresh_layer_keeps_its_config_and_has_different_kernels(case):
    layer = case.make()
    before = json.dumps(layer.get_config(), default=str)
    layer(case.inputs())
    assert json.dumps(layer.get_config(), default=str) == before
    _kernels_differ(layer)


def _kernels_differ(layer):
    kernels = [w.numpy() for w in layer.weights if "kernel" in w.path and w.shape]
    for i, one in enumerate(kernels):
        for other in kernels[i + 1 :]:
            assert one.shape != other.shape or not np.array_equal(one, other)


@usual_layers
def test_dynamic_sizes(case):
    """One functional model with unknown H and W equals the layer at each size."""
    inputs = keras.Input((None, None, case.shape[-1]))
    layer = case.make(**case.dynamic_kwargs)
    if not case.dynamic_sizes:
        with pytest.raises(ValueError, match="unknown at build"):
            layer(inputs)
        return
    kwargs = {"return_attention": True} if case.has_attention else {}
    outputs = layer(inputs, **kwargs)
    model = keras.Model(inputs, outputs)
    run = tf.function(
        lambda x: model(x, training=False),
        input_signature=[tf.TensorSpec((None, None, None, case.shape[-1]))],
    )
    for height, width in [case.shape[1:3], *case.dynamic_sizes]:
        x = case.inputs(shape=(2, height, width, case.shape[-1]))
        for got, expected in zip(to_numpy(run(x)), call(case, layer, x), strict=True):
            assert_close(got, expected)


@each_layer
def test_gradients(case):
    """No gradient is None, and none is zero but where the case says why."""
    layer = case.make_built()
    x = case.inputs()
    weight = np.random.default_rng(2).normal(size=layer(x).shape).astype("float32")
    inputs = tf.Variable(x)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs, **_training(case)) * weight)
    variables = [inputs, *[w.value for w in layer.trainable_weights]]
    names = ["inputs", *[w.path for w in layer.trainable_weights]]
    gradients = tape.gradient(loss, variables)
    for name, gradient in zip(names, gradients, strict=True):
        assert gradient is not None, f"{name} has no gradient"
        assert isinstance(gradient, tf.Tensor), f"the gradient of {name} is sparse"
    greatest = [float(tf.reduce_max(tf.abs(gradient))) for gradient in gradients]
    for name, size in zip(names, greatest, strict=True):
        is_zero = size <= case.rounding * max(greatest)
        assert is_zero == (name in case.zero_gradients), f"gradient of {name} is zero: {is_zero}"


def _training(case):
    parameters = case.layer.call.__code__.co_varnames
    return {"training": True} if "training" in parameters else {}


@usual_layers
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixed_precision(case, dtype):
    """Equal to float32 within rounding, be the inputs small or large, with the map and without."""
    x, expected, gradients = exact_outputs(case.name)
    largest = 6e4 if dtype == "float16" else np.inf
    layer = case.make_built(dtype=f"mixed_{dtype}")
    assert {str(w.dtype) for w in layer.weights} <= {"float32"}
    output, got_gradients = with_gradients(layer, x)
    for got, exact in zip(got_gradients, gradients, strict=True):
        assert np.isfinite(got[np.abs(exact) < largest]).all()
    outputs = [output, *(layer(x, return_attention=True) if case.has_attention else [])]
    assert [str(v.dtype.name) for v in outputs] == [dtype, dtype, "float32"][: len(outputs)]
    if case.has_attention:
        symbolic = layer(keras.KerasTensor(x.shape), return_attention=True)
        assert [v.dtype for v in symbolic] == [dtype, "float32"]
    tolerance = 0.02 if dtype == "float16" else 0.1
    for i, (got, exact) in enumerate(zip(outputs, expected, strict=True)):
        got = to_numpy(tf.cast(got, "float32"))[0]
        fits = np.abs(exact) < largest
        assert np.isfinite(got[fits]).all()
        if i < 2 or not case.rounds_before_its_map:
            for of_size in range(len(x)):
                here = fits[of_size]
                assert_close(np.where(here, got[of_size], 0), exact[of_size] * here, tolerance)


@functools.cache
def exact_outputs(case_name):
    """Images of all sizes, and what float32 makes of them: without the map, with it, gradients."""
    case = next(case for case in CASES if case.name == case_name)
    layer, x = case.make_built(), case.inputs_of_all_sizes()
    output, gradients = with_gradients(layer, x)
    with_map = call(case, layer, x) if case.has_attention else []
    return x, [*to_numpy(output), *with_map], gradients


def with_gradients(layer, x):
    """The output, and the gradients of its mean for the inputs and each weight."""
    inputs = tf.Variable(x)
    with tf.GradientTape() as tape:
        output = layer(inputs)
        loss = tf.reduce_mean(tf.cast(output, "float32"))
    gradients = tape.gradient(loss, [inputs, *[w.value for w in layer.trainable_weights]])
    return output, [np.asarray(gradient) for gradient in gradients]


@typical_layers
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_are_of_the_policys_dtype(case, dtype):
    """In a policy of 16 bits all through, the gates' weights are no exception."""
    layer = case.make(dtype=dtype)
    output = layer(case.inputs()[:1])
    assert {str(w.dtype) for w in layer.weights} <= {dtype}
    assert output.dtype == dtype
    assert np.isfinite(to_numpy(tf.cast(output, "float32"))[0]).all()


@each_layer
def test_float64_is_not_narrowed(case):
    layer = case.make(dtype="float64")
    kwargs = {"return_attention": True} if case.has_attention else {}
    outputs = layer(case.inputs().astype("float64"), **kwargs)
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    assert {x.dtype.name for x in outputs} == {"float64"}


@each_layer
def test_frozen_before_it_is_built(case):
    """Frozen from the start, as by a config, a layer trains no more than one frozen later."""
    layer = case.make(trainable=False)
    layer.build(case.shape)
    assert not any(part.trainable for part in layer._flatten_layers())
    assert not any(weight.trainable for weight in layer.weights)
    layer.trainable = True
    assert len(layer.trainable_weights) == len(case.make_built().trainable_weights)


@typical_layers
def test_stays_frozen(case, tmp_path):
    """Nested in models that are cloned, or saved and loaded."""
    inner = keras.Sequential([keras.Input(case.shape[1:]), case.make(trainable=False)])
    image = keras.Input(case.shape[1:])
    model = keras.Model(image, inner(image))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, loaded, keras.models.clone_model(model)):
        assert each.trainable_weights == []
        before = each.get_weights()
        each(case.inputs(), training=True)
        for old, new in zip(before, each.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)  # nor do statistics move


@each_layer
def test_training_by_hand(case):
    """Each part is in training, with no `__call__` before it to say so."""
    x = tf.constant(case.inputs())
    layer = case.make_built()
    moving = [w for w in layer.non_trainable_variables if w.path.rpartition("/")[2][:6] == "moving"]
    if not moving:
        return
    trainable, others = layer.trainable_variables, layer.non_trainable_variables
    _, after = layer.stateless_call(trainable, others, x, training=True)
    before = [w.numpy() for w in moving]
    layer.call(x, training=True)
    changed = dict(zip([w.path for w in others], after, strict=True))
    for weight, old in zip(moving, before, strict=True):
        assert not np.array_equal(weight.numpy(), old), f"{weight.path} did not move"
        assert_close(np.asarray(changed[weight.path]), weight.numpy())


@usual_layers
def test_no_image(case):
    """Of no image the output is empty and each gradient zero."""
    layer = case.make_built()
    statistics = [w.numpy() for w in layer.non_trainable_weights]
    x = tf.zeros((0, *case.shape[1:]))

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x, **_training(case))
            loss = tf.reduce_sum(output)
        variables = [x, *[w.value for w in layer.trainable_weights]]
        return output, tape.gradient(loss, variables)

    functions = [run, tf.function(run)] if case in FIRST else [run]
    for function in functions:
        output, gradients = function(x)
        assert tuple(output.shape) == tuple(layer.compute_output_shape(x.shape))
        for gradient in gradients:
            assert not gradient.numpy().any()
    for weight, before in zip(layer.non_trainable_weights, statistics, strict=True):
        np.testing.assert_array_equal(weight.numpy(), before)
    if case.has_attention:
        attention = layer(x, return_attention=True)[1]
        assert tuple(attention.shape) == tuple(layer.compute_attention_shape(x.shape))


@typical_layers
def test_legacy_and_quantized_files(case, tmp_path, monkeypatch):
    monkeypatch.setattr(gc, "collect", lambda: 0)  # Keras does so for each weight: seconds
    model, x = model_of(case), case.inputs()
    _same_from_file(model, x, tmp_path / "model.h5")
    if case not in FIRST or not any(map(_is_dense, model._flatten_layers())):
        return
    modes = ("int8", "int4", "float8") if case.layer is layers.ChannelGate else ("int8",)
    for mode in modes:
        model = model_of(case)
        model.quantize(mode, filters=_is_dense)
        for extension in ("keras", "h5"):
            _same_from_file(model, x, tmp_path / f"{mode}.{extension}")


def _is_dense(part):
    return type(part) is keras.layers.Dense


def _same_from_file(model, x, path):
    model.save(path)
    loaded = keras.saving.load_model(path, compile=False)
    for got, expected in zip(to_numpy(loaded(x)), to_numpy(model(x)), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("case", FIRST, ids=lambda case: case.name)
def test_unknown_channels(case):
    """An error that says so, or a layer that doesn't need to know."""
    shape = (None, *case.shape[1:3], None)
    try:
        assert case.make()(keras.KerasTensor(shape)).shape[0] is None
    except ValueError as error:
        assert "Received" in str(error) and "None" in str(error)


@pytest.mark.slow
@every_case
def test_jit_compile(case):
    layer = case.make_built()
    x = tf.constant(case.inputs())
    compiled = tf.function(lambda x: layer(x), jit_compile=True)
    assert_close(compiled(x).numpy(), layer(x).numpy())


@typical_or_others
def test_saved_model(cases, tmp_path):
    """One for all, with an endpoint for each."""
    archive, models = keras.export.ExportArchive(), {}
    for case in cases:
        models[case.name] = model = model_of(case)
        archive.track(model)
        signature = [tf.TensorSpec((None, *case.shape[1:]), name="image")]
        archive.add_endpoint(case.name, model, input_signature=signature)
    archive.write_out(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    for case in cases:
        x, serve = case.inputs(), getattr(loaded, case.name)
        expected = to_numpy(models[case.name](x, training=False))
        for got, wanted in zip(to_numpy(serve(x)), expected, strict=True):
            assert_close(got, wanted)
        graph = serve.concrete_functions[0].graph.as_graph_def()
        compiled = [f.signature.name for f in graph.library.function if f.attr["_XlaMustCompile"].b]
        assert compiled == [], case.name  # TF Serving runs with XLA off


@pytest.mark.thorough
@typical_layers
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")  # its own fit
def test_kerass_own_layer_test(case):
    TestCase("__init__").run_layer_test(
        case.layer,
        case.kwargs,
        input_shape=case.shape,
        run_training_check=bool(case.make_built().trainable_weights),
    )


@typical_layers
def test_composes_in_sequential(case):
    model = keras.Sequential([keras.Input(case.shape[1:]), case.make()])
    assert model(case.inputs()).shape == model.compute_output_shape(case.shape)


@pytest.mark.thorough
@typical_or_others
def test_files_load_in_a_fresh_process(cases, tmp_path):
    """A model of each case, where only `import keras_attn` was run."""
    expected = {}
    for case in cases:
        model = model_of(case)
        model.save(tmp_path / f"{case.name}.keras")
        expected[case.name] = to_numpy(model(case.inputs()))
        np.save(tmp_path / f"{case.name}.input.npy", case.inputs())
    script = """
import pathlib, sys
import numpy as np
import keras, keras_attn
for path in pathlib.Path(sys.argv[1]).glob("*.keras"):
    model = keras.saving.load_model(path)
    outputs = model(np.load(path.with_suffix(".input.npy")))
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    np.savez(path.with_suffix(".got.npz"), *[keras.ops.convert_to_numpy(x) for x in outputs])
"""
    run = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr[-3000:]
    for name, arrays in expected.items():
        with np.load(tmp_path / f"{name}.got.npz") as got:
            assert len(got) == len(arrays), name
            for key, array in zip(got, arrays, strict=True):
                assert_close(got[key], array, 1e-6)


def backend_report(backend, *arguments):
    """What `backend_check.py` reports from another backend, in a process of its own."""
    done = subprocess.run(
        [sys.executable, TESTS / "programs" / "backend_check.py", *arguments],
        env={**WITH_HELPERS, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["backend"] == backend
    return answer["report"]


@pytest.mark.backend
@pytest.mark.parametrize(("backend", "extent"), [("torch", "--each-layer"), ("jax", "--quick")])
def test_backends(backend, extent):
    """One case of each layer; `test_backends_in_full` has the rest."""
    report = backend_report(backend, extent)
    assert len(report) == len(public_layers())
    wrong = {name: checks for name, checks in report.items() if set(checks.values()) != {"ok"}}
    assert not wrong


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_backends_in_full(backend):
    report = backend_report(backend)
    assert set(report) == {case.name for case in CASES}
    wrong = {name: checks for name, checks in report.items() if set(checks.values()) != {"ok"}}
    assert not wrong
