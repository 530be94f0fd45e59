"""A trained network as a SavedModel version folder that has been run before it is in place."""

import dataclasses
import datetime
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from keras_attn._extras import need
from keras_attn._staging import staging
from keras_attn._version import __version__
from keras_attn.applications.inputs import (
    answering,
    caption_search,
    find_class_names,
    find_preprocessing,
)
from keras_attn.export.checks.comparison import Case, check_saved_model, make_cases
from keras_attn.export.exported import ExportedPath, exported
from keras_attn.export.graph.endpoint import check_image_model, class_output, image_endpoint
from keras_attn.export.graph.fold import fold_batch_norm
from keras_attn.export.graph.precision import compare_precisions, in_float32, sixteen_bit_policies
from keras_attn.export.graph.preprocessing import check_preprocessing
from keras_attn.export.graph.signatures import DEFAULT, Signature, make_signatures
from keras_attn.export.model_card import model_card
from keras_attn.export.numbering import check_version, move_version
from keras_attn.export.reasons import reason_of
from keras_attn.export.samples import Samples, read_samples, write_samples
from keras_attn.export.warmup import write_warmup
from keras_attn.images import Preprocessing
from keras_attn.layers import attention_form, attention_layers
from keras_attn.layers.captions.caption_search import check_words

LABELS_FILE = "labels.txt"
CARD_FILE = "model_card.md"
MOST_CONSTANTS = 2**30
REPORT_FILE = "assets.extra/export_report.json"


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    version: int | None = None,
    preprocessing: Preprocessing | None = None,
    fold: bool = True,
    constants: bool = False,
    record: Mapping[str, Any] | None = None,
    samples: Samples | None = None,
) -> ExportedPath:
    """Writes `path/<version>/`, a SavedModel as TF Serving and `keras_attn.serving` load it.

    A `Captioner` is exported as its `writer`, with beam search of width 3 and greedy search; give
    what its `writer` makes for others. Its class names are its words.

    Its signatures take images as the network does (`serving_default`), raw pixels
    (`serve_uint8`), files such as JPEG (`serve_bytes`), and files of which the attention is wanted
    too (`serve_attention`): see `signatures.py`. The last three are there where it is known what
    the network takes. Batch is dynamic, height and width are where the network leaves them open.
    A network that computes in 16 bits, as mixed precision trains it, is exported in float32: the
    runtimes of other formats lack the kernels, and a server's CPU is slower with them.

    The folder is written beside, run by `tf.saved_model.load`, by a session and by the C++ loader
    that TF Serving calls, with XLA off as there, and compared with `model` at several batch and
    image sizes; only then is it moved into place. On a failure nothing is left behind.

    In `assets` are `labels.txt` (where there are names) and `model_card.md`; in `assets.extra`
    are a warm-up request for each signature, `samples`, and `export_report.json`: each difference
    that was measured, its bound, what was left out and why, and the form of each layer's attention.

    Args:
        model: A functional or Sequential network of one image input and one output, or a dict of
            outputs with `probabilities` or `tokens`; or a `Captioner`.
        path: The base folder of the model, whose name a server takes for the model's. It and its
            parents are made where they are missing.
        class_names: The names of the classes in the order of the outputs. Default: those of the
            network's weights, if they have some.
        version: A positive integer that `path` does not hold yet. Default: one more than the
            highest there, else 1.
        preprocessing: The steps between pixels and the network. Default: what its weights ask
            for, or what it begins with; see `find_preprocessing`.
        fold: Whether BatchNormalization is folded into the convolutions before it, where the
            outputs stay within the bound.
        constants: Whether the network's variables are constants of the graph, too, which its
            answers are then computed from: faster at one image where `tf.saved_model.load` runs it,
            and the weights stand in the folder twice. At most 1 GiB of them.
        record: The record of the training, for the card: a run's `run.json`.
        samples: Images for the page of a server to show: a folder of files, or a list of files or
            of uint8 arrays `(H, W)`, `(H, W, 1)` or `(H, W, 3)`, 1 to 16 of them. They are stored
            as JPEG of at most 512 pixels a side.

    Returns:
        The version folder. Its `notes` say what was left out or not checked.

    Raises:
        ValueError: If an argument is wrong.
        OSError: If it can't be written, as where the disk is full.
        RuntimeError: If a loader can't run what was written, or it differs from the network.

    Example:
    ```python
    keras_attn.export.export_saved_model(model, "exports/digits", class_names=["zero", "one"])
    keras_attn.serving.serve("exports/digits")
    ```
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "A SavedModel is written with the TensorFlow backend of Keras. "
            f"Received: keras.backend.backend()={keras.backend.backend()!r}"
        )
    if tf.distribute.has_strategy():
        raise RuntimeError(
            "A SavedModel is written outside of `strategy.scope()`: inside it can't be run "
            f"and compared. Received: strategy={tf.distribute.get_strategy()}"
        )
    need("PIL", "tensorflow_serving")
    model = answering(model)
    check_image_model(model)
    if constants:
        _check_constants(model)
    if class_names is None:
        class_names = find_class_names(model)
    labels = _checked_labels(class_names, model)
    base = pathlib.Path(path)
    if base.exists() and not base.is_dir():
        raise ValueError(f"`path` must be a folder. Received: path={str(path)!r}")
    check_version(version, base)
    pictures = {} if samples is None else read_samples(samples)
    if preprocessing is None:
        preprocessing = find_preprocessing(model)
    check_preprocessing(preprocessing, model)

    trained, precision = model, None
    if policies := sixteen_bit_policies(trained):
        try:
            model = in_float32(trained)
        except ValueError as error:  # a layer of the user's that can't be made again
            precision = {"policies": policies, "kept": str(error)}
    signatures, missing = make_signatures(model, preprocessing, labels)
    cases = make_cases(model, signatures, preprocessing)
    if model is not trained:
        [image] = cases[0].feeds.values()
        precision = compare_precisions(trained, model, image, policies)
    written, folded, refused = _folded(model, cases) if fold else (model, 0, False)
    if folded or constants:
        signatures, _ = make_signatures(written, preprocessing, labels, constants=constants)
    card = model_card(
        model, signatures, preprocessing=preprocessing, class_names=labels, record=record
    )
    with staging(pathlib.Path(os.path.realpath(base), str(version or "version"))) as work:
        folder = work / "saved_model"
        texts = {CARD_FILE: card}
        if labels is not None:
            texts[LABELS_FILE] = "\n".join(labels) + "\n"
        with _errors_of(base):
            files = _text_files(work, texts)
            _write(folder, written, signatures, assets=files, gradients=not constants)
            write_warmup(folder, base.resolve().name, cases)
            if pictures:
                write_samples(folder, pictures)
        report = {
            "model": model.name,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "versions": {
                "keras_attn": __version__,
                "keras": keras.__version__,
                "tensorflow": tf.__version__,
            },
            "preprocessing": preprocessing and dataclasses.asdict(preprocessing),
            "precision": precision,
            "batch_normalizations_folded": folded,
            "folding_refused": refused,
            "constants": constants,
            "left_out": missing,
            "attention": {layer.name: attention_form(layer) for layer in attention_layers(model)},
            "checks": check_saved_model(folder, cases),
        }
        (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        return exported(move_version(folder, base, version), _notes(report))


def _notes(report: Mapping[str, Any]) -> Iterator[str]:
    """What in a report the user should know at once."""
    if precision := report["precision"]:
        policies = ", ".join(precision["policies"])
        if "kept" in precision:
            yield f"it computes in {policies}, as float32 is not possible: {precision['kept']}"
        else:
            finite = precision["max_difference"] is not None
            more = "" if finite else ", in which it gives numbers that are not finite"
            yield f"it computes in float32, though the network does in {policies}{more}"
    if report["folding_refused"]:
        yield "BatchNormalization is not folded: the outputs would move by more than rounding"
    for name, reason in report["left_out"].items():
        yield f"there is no `{name}`: {reason}"
    for check in report["checks"]:
        if "not_run" in check:
            yield f"it was not run by {check['loader']}: {check['not_run']}"


@contextmanager
def _errors_of(base: pathlib.Path) -> Iterator[None]:
    """TensorFlow's errors of a disk as Python's, which name the folder."""
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(f"The SavedModel can't be written into {base}: {reason_of(error)}") from error


def _check_constants(model: keras.Model) -> None:
    """A graph is one message of protobuf's, which has 2 GiB at most."""
    size = sum(math.prod(w.shape) * tf.as_dtype(w.dtype).size for w in model.weights)
    if size > MOST_CONSTANTS:
        raise ValueError(
            f"`constants` must be False where a network's weights are over {MOST_CONSTANTS} bytes, "
            f"which no graph holds. Received: constants=True, weights of {size} bytes"
        )


def _folded(model: keras.Model, cases: Sequence[Case]) -> tuple[keras.Model, int, bool]:
    """The network with BatchNormalization folded, if what it gives stays within half the limits.

    And how many were folded, and whether it was refused.
    """
    folded, count = fold_batch_norm(model)
    if not count:
        return model, 0, False
    endpoint = image_endpoint(folded)
    for case in cases:
        if case.signature != DEFAULT:
            continue
        [images] = case.feeds.values()
        for name, value in endpoint(images).items():
            difference = np.max(np.abs(value.numpy() - case.expected[name]), initial=0.0)
            close = difference <= case.limits.get(name, 0.0) / 2  # 0 of what is chosen
            if not close and not difference <= case.noise_limits.get(name, 0.0) / 2:  # NaN fails
                return model, 0, True
    return folded, count, False


def _write(
    folder: pathlib.Path,
    model: keras.Model,
    signatures: Mapping[str, Signature],
    *,
    assets: Sequence[pathlib.Path],
    gradients: bool,
) -> None:
    module = cast(Any, tf.Module())
    module.network = [variable.value for variable in model.variables]
    module.files = [tf.saved_model.Asset(str(path)) for path in assets]
    functions = {}
    for name, signature in signatures.items():
        function = tf.function(_named(signature), autograph=False)
        functions[name] = function.get_concrete_function(signature.spec)
    module.functions = list(functions.values())
    # Of a graph of constants TensorFlow can't save the gradients that operations define themselves.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=gradients)
    tf.saved_model.save(module, str(folder), signatures=functions, options=options)


def _named(signature: Signature) -> Callable[..., dict[str, tf.Tensor]]:
    """Its one argument has the name that a request gives it."""
    if signature.spec.name == "image":
        return lambda image: signature.run(image)
    return lambda image_bytes: signature.run(image_bytes)


def _text_files(folder: pathlib.Path, texts: Mapping[str, str]) -> list[pathlib.Path]:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


def _checked_labels(class_names: Sequence[str] | None, model: keras.Model) -> list[str] | None:
    if class_names is None:
        return None
    if (search := caption_search(model)) is not None:
        return check_words(class_names, search.decoder.vocabulary_size)
    labels = [] if isinstance(class_names, str) else list(class_names)
    lines = [isinstance(x, str) and x.strip() != "" and x.splitlines() == [x] for x in labels]
    if not labels or not all(lines):
        raise ValueError(
            "`class_names` must be a sequence of non-empty strings of one line each. "
            f"Received: class_names={class_names!r}"
        )
    shape = tuple(class_output(model).shape)
    if len(labels) != shape[-1]:
        raise ValueError(
            f"`class_names` must have one name for each of the model's {shape[-1]} outputs. "
            f"Received: {len(labels)} names, output shape={shape}"
        )
    return labels
