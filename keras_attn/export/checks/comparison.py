"""Runs a written SavedModel against the network that it was made from.

The two may differ by rounding: a graph fuses and orders its sums otherwise. An output's limit is
1e-5 of its greatest value (at least 1e-5), or, where the network itself turns roundings into more
than that, four times what it makes of moving its input and its weights by one step of float32 (the
most of three draws), and 1e-3 at most. Of the pixels of a mask 1 in 1000 may differ, as where two
classes have nearly the same score. What is chosen step by step, such as a caption's words, must be
the same of each image but where those movements change it as well.
"""

import collections
import dataclasses
import functools
import io
import itertools
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_attn._keras import layers_of
from keras_attn.export.checks.loaders import LOADERS, Arrays, LoaderMissingError
from keras_attn.export.graph.answers import MASK, main_name
from keras_attn.export.graph.endpoint import call_on_images
from keras_attn.export.graph.signatures import DEFAULT, UINT8, Signature
from keras_attn.export.reasons import reason_of
from keras_attn.images import Preprocessing

BATCH_SIZES = (1, 3)
# What stands for an open dimension, in turn: sizes that networks of five halvings take too.
OPEN_SIZES = ((64, 96), (96, 128))
# Of raw pixels and files, (h, w): neither is a network's own size.
PIXEL_SIZES = ((75, 101), (50, 40))
MAX_DIFFERENCE = 1e-5
MAX_PIXELS = 1e-3  # of a mask
# The step from 1 to the next number. Where a layer computes in 16 bits, so does the reference, and
# eager and graph round in different places: then eight such steps are the bound.
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
# What TF Serving writes as JSON.
JSON_DTYPES = frozenset(
    ("bool", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64",
     "string")
)  # fmt: skip


FLOAT32_STEP = 2.0**-23
NOISE_DRAWS = 3
NOISE_FACTOR = 4
MOST_NOISE = 1e-3


@dataclasses.dataclass
class Case:
    """What is fed to a signature, and what the network gives for it, run eagerly.

    Attributes:
        signature: Name of the signature.
        feeds: The one input.
        expected: The right outputs.
        limits: How far each output of floats may be from that, but for the network's noise.
        moved: Runs the signature on the input, with the weights, moved by a step of float32.
    """

    signature: str
    feeds: Arrays
    expected: Arrays
    limits: Mapping[str, float]
    moved: Callable[[], Arrays]

    @functools.cached_property
    def draws(self) -> list[Arrays]:
        """The outputs so moved; it is done only where a difference needs it."""
        return [self.moved() for _ in range(NOISE_DRAWS)]

    @functools.cached_property
    def noise(self) -> dict[str, float]:
        """What the network makes of a rounding."""
        return {
            name: max(_greatest((draw[name] - value)[self.steady]) for draw in self.draws)
            for name, value in self.expected.items()
            if name in self.limits
        }

    @functools.cached_property
    def steady(self) -> np.ndarray:
        """Of which images a rounding changes nothing that is chosen, bool (B,)."""
        same = np.ones(len(next(iter(self.expected.values()))), bool)
        for name, value in self.expected.items():
            if np.issubdtype(value.dtype, np.integer):
                for draw in self.draws:
                    same &= (draw[name] == value).reshape(len(value), -1).all(-1)
        return same

    @property
    def noise_limits(self) -> dict[str, float]:
        """The limits with that noise."""
        return {
            name: max(limit, min(NOISE_FACTOR * self.noise[name], self._most_noise(name)))
            for name, limit in self.limits.items()
        }

    def chaos(self, name: str) -> str:
        """The end of a message where the noise is beyond any limit; nothing where not, or NaN."""
        if name not in self.noise or not self.noise[name] > self._most_noise(name):
            return ""
        return (
            ". One rounding step of its input and weights moves the network's own by "
            f"{self.noise[name]:.3g}, as in a deep one that is not trained yet"
        )

    def _most_noise(self, name: str) -> float:
        return MOST_NOISE * _scale(self.expected[name])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is fed."""
        [value] = self.feeds.values()
        return value.shape


def make_cases(
    model: keras.Model,
    signatures: Mapping[str, Signature],
    preprocessing: Preprocessing | None,
) -> list[Case]:
    """Inputs for each signature, of several batch sizes and image sizes, with the right answers.

    Args:
        model: The network: what `serving_default` must equal.
        signatures: Those of `model` itself, as `make_signatures` gives them.
        preprocessing: The steps that give the range of `serving_default`, which is 0..1 where they
            aren't known.
    """
    generator = np.random.default_rng(0)
    bound = _bound(model)
    cases = []
    for signature in signatures.values():
        for number, fed in enumerate(_inputs(signature, model, generator)):
            if signature.name == DEFAULT and preprocessing is not None:
                fed = preprocessing.normalise(255 * fed)
            image, *places = signature.parts(fed)
            answer = functools.partial(_with, signature.answer, tuple(places))
            expected = _numbers(answer(image))
            if signature.name == DEFAULT:
                main = main_name(expected)
                direct = np.asarray(call_on_images(model, image))
                expected[main] = direct.astype(expected[main].dtype)
                if number == 0:
                    _check_repeatable(expected, _numbers(answer(image)), bound)
            limits = {
                name: bound * _scale(value)
                for name, value in expected.items()
                if np.issubdtype(value.dtype, np.floating)
            }
            moved = functools.partial(run_moved, answer, model, image, generator)
            cases.append(
                Case(signature.name, {str(signature.spec.name): fed}, expected, limits, moved)
            )
    return cases


def _with(
    answer: Callable[..., Mapping[str, tf.Tensor]], places: tuple[tf.Tensor, ...], image: tf.Tensor
) -> Mapping[str, tf.Tensor]:
    return answer(image, *places)


def _check_repeatable(once: Arrays, again: Arrays, bound: float) -> None:
    for name, value in once.items():
        if value.dtype != object and _greatest(value - again[name]) > bound * _scale(value):
            raise RuntimeError(
                f"The network must give the same `{name}` for the same images. "
                f"Received: max abs difference={_greatest(value - again[name]):.3g}"
            )


def run_moved(
    answer: Callable[[tf.Tensor], Mapping[str, tf.Tensor]],
    model: keras.Model,
    image: tf.Tensor,
    generator: np.random.Generator,
    step: float = FLOAT32_STEP,
) -> Arrays:
    """The outputs for each value of the image, and of each weight, a step up or down.

    A graph rounds otherwise in every layer; moved weights do as much to every layer.

    Args:
        answer: Runs `model`.
        model: The network whose weights are moved.
        image: The images that `answer` takes.
        generator: Draws the directions.
        step: Size of a step, relative to the value.
    """

    def moved(value: tf.Tensor) -> tf.Tensor:
        steps = step * generator.choice([-1.0, 1.0], np.shape(value))
        return value * tf.constant(1 + steps, value.dtype)

    weights = [w for w in model.weights if keras.backend.is_float_dtype(w.dtype)]
    with keras.StatelessScope([(w, moved(w.value)) for w in weights]):
        return _numbers(answer(moved(image)))


def _scale(values: np.ndarray) -> float:
    return max(1.0, _greatest(values))


def _numbers(outputs: Mapping[str, tf.Tensor]) -> Arrays:
    return {name: value.numpy() for name, value in outputs.items()}


def _greatest(values: np.ndarray) -> float:
    return float(np.max(np.abs(values), initial=0.0))


def check_saved_model(
    folder: str | os.PathLike[str], cases: Sequence[Case]
) -> list[dict[str, Any]]:
    """Raises RuntimeError unless each loader runs the SavedModel and gives what is expected.

    Args:
        folder: The SavedModel.
        cases: The cases to run.

    Returns:
        A record for each loader, case and output: the number of images that it was compared on,
        its greatest difference, and the bound.
    """
    _check_graph(folder)
    records = []
    for loader, run in LOADERS.items():
        try:
            results = run(folder, [(case.signature, case.feeds) for case in cases])
        except LoaderMissingError as error:
            records.append({"loader": loader, "not_run": str(error)})
            continue
        except tf.errors.OpError as error:
            raise RuntimeError(f"{loader} can't run the SavedModel: {reason_of(error)}") from error
        of_loader = [
            {"loader": loader, **_compare(name, actual, case, loader)}
            for case, actual in zip(cases, results, strict=True)
            for name in case.expected
        ]
        _check_enough(of_loader, loader)
        records += of_loader
    return records


def _bound(model: keras.Model) -> float:
    """How far a graph of the network may be from it, relative to the greatest value over 1."""
    coarsest = max(EPSILON.get(layer.compute_dtype, 0.0) for layer in layers_of(model))
    return max(MAX_DIFFERENCE, 8 * coarsest)


def _inputs(
    signature: Signature, model: keras.Model, generator: np.random.Generator
) -> list[np.ndarray]:
    channels = model.inputs[0].shape[-1]
    if signature.name == DEFAULT:
        shapes = image_shapes(tuple(model.inputs[0].shape))
        return [generator.random(shape, np.float32) for shape in shapes]
    pixels = [generator.integers(0, 256, (*size, channels)) for size in PIXEL_SIZES]
    if signature.name == UINT8:
        return [np.stack([image, image[::-1]]).astype(np.uint8) for image in pixels[:1]]
    files = [_encoded(image, kind) for image, kind in zip(pixels, ("JPEG", "PNG"), strict=True)]
    return [np.array(files, object), np.array(files[1:], object)]


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    picture = Image.fromarray(pixels.astype(np.uint8).squeeze())
    picture.save(file, format=kind)
    return file.getvalue()


def _compare(name: str, actual: Arrays, case: Case, loader: str) -> dict[str, Any]:
    """The record of an output; raises where it is not the expected one."""
    expected, got = case.expected[name], actual[name]
    what = f"The SavedModel's `{name}` of {case.signature}, by {loader},"
    where = f"for input of shape {case.shape}"
    if got.shape != expected.shape:
        raise RuntimeError(
            f"{what} must have the model's shape {expected.shape}. "
            f"Received: shape={got.shape} {where}"
        )
    if name == MASK:
        limit, difference = MAX_PIXELS, _unlike(expected, got)
    else:
        limit = case.limits.get(name, 0.0)
        difference = _difference(expected, got, case, case.limits)
    images = len(expected)
    if not difference <= limit and name != MASK:
        limit = case.noise_limits.get(name, 0.0)
        steady = case.steady
        images = int(steady.sum())
        difference = _difference(expected[steady], got[steady], case, case.noise_limits)
    if not difference <= limit:  # so that NaN fails
        raise RuntimeError(
            f"{what} must equal the model's to {limit:.3g}. "
            f"Received: max abs difference={difference:.3g} {where}{case.chaos(name)}"
        )
    return {
        "signature": case.signature,
        "output": name,
        "input_shape": list(case.shape),
        "images": images,
        "max_difference": difference,
        "bound": limit,
    }


def _check_enough(records: Sequence[Mapping[str, Any]], loader: str) -> None:
    """Raises RuntimeError where an output could be compared on no image of any case."""
    images: collections.Counter[tuple[str, str]] = collections.Counter()
    for record in records:
        images[record["signature"], record["output"]] += record["images"]
    for (signature, name), number in images.items():
        if not number:
            raise RuntimeError(
                f"The SavedModel's `{name}` of {signature} must equal the model's on one image at "
                f"least. Received: {loader}'s outputs differ on all, and the network chooses "
                "otherwise where its input and weights move by one rounding step, as one that is "
                "not trained does"
            )


def _difference(
    expected: np.ndarray, got: np.ndarray, case: Case, limits: Mapping[str, float]
) -> float:
    """The greatest one; of labels, how many clear ones differ, and of other strings, how many."""
    if expected.dtype != object:
        return _greatest(got - expected)
    scores = case.expected.get("scores")
    if scores is None or scores.shape != expected.shape or scores.ndim != 2:
        return float(np.sum(expected != got))
    return float(np.sum((expected != got) & _clear(scores, limits["scores"])))


def _unlike(expected: np.ndarray, got: np.ndarray) -> float:
    """The share of pixels that differ in files of masks; 1 where the sizes do."""
    from PIL import Image

    shares = [0.0]
    for files in zip(expected, got, strict=True):
        one, other = (np.asarray(Image.open(io.BytesIO(file))) for file in files)
        shares.append(float(np.mean(one != other)) if one.shape == other.shape else 1.0)
    return max(shares)


def _clear(scores: np.ndarray, limit: float) -> np.ndarray:
    """Which labels must agree: classes of nearly equal scores, (B, k), may change places."""
    apart = -np.diff(scores, axis=-1) > 2 * limit  # (B, k - 1)
    first = np.ones((len(scores), 1), bool)
    # The last one's next class isn't known.
    clear: np.ndarray = np.concatenate([first, apart], -1) & np.concatenate([apart, ~first], -1)
    return clear


def image_shapes(input_shape: tuple[int | None, ...]) -> list[tuple[int, ...]]:
    """(None, H, W, C) with None for open sizes -> the shapes to run."""
    shapes = []
    for batch, sizes in itertools.product(BATCH_SIZES, OPEN_SIZES):
        fill = iter(sizes)
        shape = (batch, *(next(fill) if size is None else size for size in input_shape[1:]))
        if shape not in shapes:
            shapes.append(shape)
    return shapes


def _check_graph(folder: str | os.PathLike[str]) -> None:
    """No function needs XLA, which TF Serving runs without, and REST can carry each dtype."""
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString(pathlib.Path(folder, "saved_model.pb").read_bytes())
    [meta_graph] = saved_model.meta_graphs
    for function in meta_graph.graph_def.library.function:
        if function.attr["_XlaMustCompile"].b:
            raise RuntimeError(
                "The SavedModel must have no function that needs XLA, which TF Serving runs "
                f"without. Received: {function.signature.name!r} with _XlaMustCompile; a "
                "`jit_compile=True` or Keras's own Conv2D with `groups` above 1 makes one"
            )
    for name, signature in meta_graph.signature_def.items():
        if name.startswith("__"):  # what runs at loading
            continue
        for key, info in (*signature.inputs.items(), *signature.outputs.items()):
            dtype = tf.dtypes.as_dtype(info.dtype).name
            if dtype not in JSON_DTYPES:
                raise RuntimeError(
                    "The SavedModel must have dtypes that TF Serving's REST interface writes. "
                    f"Received: `{key}` of {name} with dtype {dtype}"
                )
