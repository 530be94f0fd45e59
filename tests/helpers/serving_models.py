"""Small SavedModels of every form that a server meets, and a models.config of them.

    python tests/helpers/serving_models.py FOLDER

writes them for a server that runs elsewhere; tests/serving/test_contract.py says how to ask it.
"""

from __future__ import annotations

import io
import pathlib
import sys

import numpy as np
import PIL.Image
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

SIDE = 8
LABELS = ["cat", "dog", "eel"]


class Images(tf.Module):
    """A network with the signatures of an export: float and uint8 images, bytes, attention.

    Args:
        scale: Factor of the logits, by which a version is known.
    """

    def __init__(self, scale=1.0):
        weights = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
        self.weights = tf.Variable(weights * scale)

    def logits(self, image):
        return tf.reduce_mean(image, axis=[1, 2]) @ self.weights

    def outputs(self, image):
        logits = self.logits(image)
        return {"logits": logits, "probabilities": tf.nn.softmax(logits)}

    def decode(self, image_bytes):
        def one(data):
            image = tf.io.decode_image(data, channels=3, expand_animations=False)
            image = tf.image.resize(image, (SIDE, SIDE), antialias=True) / 255.0
            return tf.ensure_shape(image, (SIDE, SIDE, 3))

        return tf.map_fn(one, image_bytes, fn_output_signature=tf.float32)

    def top(self, image):
        scores, indices = tf.math.top_k(tf.nn.softmax(self.logits(image)), 2)
        return {"labels": tf.gather(tf.constant(LABELS), indices), "scores": scores}

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="image")])
    def serving_default(self, image):
        return self.outputs(image)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, name="image")])
    def serve_uint8(self, image):
        return self.outputs(tf.image.resize(image, (SIDE, SIDE), antialias=True) / 255.0)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
    def serve_bytes(self, image_bytes):
        return self.top(self.decode(image_bytes))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
    def serve_attention(self, image_bytes):
        image = self.decode(image_bytes)
        brightness = tf.reduce_mean(image, axis=-1)
        return {
            **self.top(image),
            "image": image,
            "attention/stage1": brightness,
            "attention/stage2": brightness[:, ::2, ::2],
        }


class Examples(tf.Module):
    """Signatures over tf.Examples, and one of every type that a tensor can have."""

    def value(self, examples):
        spec = {
            "x": tf.io.FixedLenFeature((), tf.float32),
            "y": tf.io.FixedLenFeature((), tf.float32, 1.0),
        }
        parsed = tf.io.parse_example(examples, spec)
        return parsed["x"] * parsed["y"]

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="inputs")])
    def classify(self, inputs):
        value = self.value(inputs)
        names = tf.tile(tf.constant([["low", "high"]]), (tf.size(value), 1))
        return {"classes": names, "scores": tf.stack([1.0 - value, value], axis=1)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="inputs")])
    def regress(self, inputs):
        return {"outputs": self.value(inputs)[:, None]}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
    def serving_default(self, x):
        return {"y": tf.math.log(x)}


def identity(dtype):
    @tf.function(input_signature=[tf.TensorSpec(None, dtype, name="x")])
    def same(x):
        return {"y": tf.identity(x)}

    return same


TYPES = [
    tf.bool, tf.float64, tf.float32, tf.float16, tf.bfloat16, tf.int8, tf.int16, tf.int32,
    tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64, tf.string, tf.complex64, tf.complex128,
]  # fmt: skip


def save_images(folder, scale=1.0):
    module = Images(scale)
    names = ("serving_default", "serve_uint8", "serve_bytes", "serve_attention")
    tf.saved_model.save(module, str(folder), {name: getattr(module, name) for name in names})
    return folder


def save_examples(folder):
    module = Examples()
    names = ("serving_default", "classify", "regress")
    signatures = {name: getattr(module, name) for name in names}
    for dtype in TYPES:
        function = identity(dtype)
        setattr(module, f"same_{dtype.name}", function)
        signatures[f"same_{dtype.name}"] = function
    tf.saved_model.save(module, str(folder), signatures)
    return folder


def save_doubler(folder, factor=2.0):
    """The smallest: what a version answers is its factor."""

    class Doubler(tf.Module):
        def __init__(self):
            self.factor = tf.Variable(factor)

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
        def __call__(self, x):
            return {"y": self.factor * x}

    module = Doubler()
    tf.saved_model.save(module, str(folder), {"serving_default": module.__call__})
    return folder


def picture(side=12, format="PNG", seed=0):
    """The bytes of an image file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def write_warmup(folder, requests):
    """Puts predict requests into a SavedModel."""
    path = pathlib.Path(folder) / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString())
    return path


def write_models(folder):
    """Writes the models of the contract, and returns the path of their models.config."""
    folder = pathlib.Path(folder).resolve()
    save_images(folder / "images" / "1")
    save_images(folder / "images" / "2", scale=2.0)
    save_examples(folder / "examples" / "7")
    config = folder / "models.config"
    config.write_text(
        f"""
model_config_list {{
  config {{
    name: "images"
    base_path: "{folder}/images"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
    version_labels {{ key: "stable" value: 1 }}
    version_labels {{ key: "canary" value: 2 }}
  }}
  config {{ name: "examples" base_path: "{folder}/examples" model_platform: "tensorflow" }}
}}
"""
    )
    return config


if __name__ == "__main__":
    path = write_models(sys.argv[1])
    print(
        f"tensorflow_model_server --port=8500 --rest_api_port=8501 --model_config_file={path} "
        "--allow_version_labels_for_unavailable_models --enable_grpc_healthcheck_service"
    )
