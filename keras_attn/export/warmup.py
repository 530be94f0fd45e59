"""Warm-up requests: what a server runs on a version before it takes it into service."""

import os
import pathlib
from collections.abc import Iterable

import tensorflow as tf

from keras_attn.export.checks.comparison import Case

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"


def write_warmup(folder: str | os.PathLike[str], model_name: str, cases: Iterable[Case]) -> None:
    """Writes a request of one image for each signature, as TF Serving reads them.

    Of one, so that a server whose batching takes no more starts, too.

    Args:
        folder: The SavedModel.
        model_name: The model's name on a server.
        cases: Inputs that the SavedModel was checked with.
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(case.signature, case)
    path = pathlib.Path(folder, WARMUP_FILE)
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for case in first.values():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = case.signature
            for name, value in case.feeds.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value[:1]))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
