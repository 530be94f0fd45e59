"""A model is warmed at each size that batching fills batches up to."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from helpers import serving_models
from keras_attn.serving import BatchingOptions, ServerOptions
from keras_attn.serving.lifecycle.loading import Loader
from keras_attn.serving.metrics import Metrics
from keras_attn.serving.models import batch_sizes
from keras_attn.serving.models.session import ModelSession

BATCHING = BatchingOptions(max_batch_size=7, allowed_batch_sizes=(2, 5, 7), num_batch_threads=1)


class Fixed(tf.Module):
    """Takes batches of five alone."""

    @tf.function(input_signature=[tf.TensorSpec((5,), tf.float32, name="x")])
    def double(self, x):
        return {"y": 2.0 * x}


class Few(tf.Module):
    """Takes no more than five."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
    def double(self, x):
        tf.debugging.assert_less(tf.size(x), 6)
        return {"y": 2.0 * x}


def request(values=(1.0,), name="x", **spec):
    made = predict_pb2.PredictRequest()
    for key, value in spec.items():
        setattr(made.model_spec, key, value)
    made.inputs[name].CopyFrom(tf.make_tensor_proto(np.array(values)))
    return made


@pytest.fixture
def runs(monkeypatch):
    """The first inputs of all runs."""
    seen = []
    run = ModelSession.run

    def noted(self, feeds, fetches):
        seen.append(next(iter(feeds.values())))
        return run(self, feeds, fetches)

    monkeypatch.setattr(ModelSession, "run", noted)
    return seen


def load(folder, requests, batching=BATCHING, **options):
    serving_models.write_warmup(folder, requests)
    with Loader(ServerOptions(batching=batching, **options), Metrics()) as loader:
        loader(folder, name="m", version=1).close()


def values(*numbers):
    return request(np.float32(numbers))


def test_each_allowed_size_is_run(tmp_path, runs):
    load(serving_models.save_doubler(tmp_path / "1"), [values(3), values(4)])
    # Both records, each filled up to two; then, of the first alone, the other sizes.
    assert [x.tolist() for x in runs] == [[3, 3], [4, 4], [3] * 5, [3] * 7]


def test_a_record_without_rows(tmp_path, runs):
    load(serving_models.save_doubler(tmp_path / "1"), [values()])
    assert [len(x) for x in runs] == [0]


def test_rows_are_repeated_in_their_order(tmp_path, runs):
    load(serving_models.save_doubler(tmp_path / "1"), [values(1, 2, 3)])
    assert [len(x) for x in runs] == [5, 2, 7]
    assert runs[2].tolist() == [1, 2, 3, 1, 1, 1, 2]  # of the five that the queue has made


def test_images_and_strings(tmp_path, runs):
    requests = [
        request([serving_models.picture()], name="image_bytes", signature_name="serve_bytes"),
        request(np.zeros((1, 3, 4, 3), np.uint8), name="image", signature_name="serve_uint8"),
    ]
    load(serving_models.save_images(tmp_path / "1"), requests)
    assert [x.shape for x in runs[:2]] == [(2,), (2, 3, 4, 3)]
    assert [x.shape for x in runs[2:]] == [(5,), (7,), (5, 3, 4, 3), (7, 3, 4, 3)]


@pytest.mark.parametrize(
    ("batching", "sizes"),
    [
        (None, [1]),
        (BatchingOptions(num_batch_threads=1), [1]),
        (
            BatchingOptions(
                max_batch_size=16,
                allowed_batch_sizes=(2, 4, 8, 16),
                enable_large_batch_splitting=True,
                max_execution_batch_size=5,
            ),
            [2, 4, 8],  # a batch of five is filled up to eight
        ),
    ],
)
def test_what_sizes_there_are(tmp_path, runs, batching, sizes):
    load(serving_models.save_doubler(tmp_path / "1"), [values(3)], batching)
    assert [len(x) for x in runs] == sizes


def test_without_warm_up_nothing_is_run(tmp_path, runs):
    folder = serving_models.save_doubler(tmp_path / "1")
    load(folder, [values(3)], enable_model_warmup=False)
    assert runs == []


def test_an_input_of_a_fixed_batch_is_left_as_it_is(tmp_path, runs):
    module = Fixed()
    tf.saved_model.save(module, str(tmp_path / "1"), {"serving_default": module.double})
    load(tmp_path / "1", [values(1, 2, 3, 4, 5)])
    assert [len(x) for x in runs] == [5]


def test_it_is_bounded(tmp_path, runs, monkeypatch, caplog):
    folder = serving_models.save_doubler(tmp_path / "1")
    with monkeypatch.context() as patch:
        patch.setattr(batch_sizes, "MAX_BYTES", 20)
        load(folder, [values(3)])
    assert [len(x) for x in runs] == [2, 5]
    assert "no warm-up with 7 rows: the inputs have more than 20 bytes" in caplog.text

    runs.clear()
    picture = serving_models.picture(side=100)
    images = serving_models.save_images(tmp_path / "images" / "1")
    many = [request([picture], name="image_bytes", signature_name="serve_bytes")]
    load(images, many, max_pixels=300_000)
    assert [len(x) for x in runs] == [2, 5]

    runs.clear()
    shapes = [request(np.zeros((1, 3, side, 3), np.float32), name="image") for side in range(1, 30)]
    load(images, shapes)
    assert len(runs) == 29 + 2 * batch_sizes.MAX_NOTED


def test_a_size_that_fails_does_not_fail_the_load(tmp_path, runs, caplog):
    module = Few()
    tf.saved_model.save(module, str(tmp_path / "1"), {"serving_default": module.double})
    with caplog.at_level(logging.INFO):
        load(tmp_path / "1", [values(3)])
    assert [len(x) for x in runs] == [2, 5, 7]
    assert "no warm-up with 7 rows" in caplog.text
    assert "1 further runs, for the sizes of batches" in caplog.text
