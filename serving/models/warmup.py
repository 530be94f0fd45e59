"""The requests that a SavedModel brings along to be warmed with, replayed when it is loaded."""

import pathlib
import time

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from keras_attn.serving.errors import Code, ServingError, invalid_argument
from keras_attn.serving.metrics import Metrics
from keras_attn.serving.models import examples, inference
from keras_attn.serving.models.served_model import ServedModel

FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000


def warm_up(model: ServedModel, *, metrics: Metrics, iterations: int = 1, max_bytes: int) -> int:
    """Replays the records of a model; ServingError where one of them fails.

    Args:
        model: Model that was just loaded.
        metrics: Numbers to which the time is added.
        iterations: How often each record is replayed.
        max_bytes: Largest size of one tensor, in bytes.

    Returns:
        How many records there were.
    """
    path = model.folder / FILE
    if not path.exists():
        return 0
    start = time.perf_counter()
    status = "OK"
    try:
        return _replay(model, path, iterations, max_bytes)
    except ServingError as error:
        status = error.code.name
        raise
    finally:
        microseconds = (time.perf_counter() - start) * 1e6
        metrics.warmup_latency.labels(str(model.folder), status).observe(microseconds)


def _replay(model: ServedModel, path: pathlib.Path, iterations: int, max_bytes: int) -> int:
    count = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            count += 1
            if count > MAX_RECORDS:
                raise invalid_argument(
                    f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}"
                )
            log = prediction_log_pb2.PredictionLog.FromString(record)
            for _ in range(iterations):
                _replay_one(model, log, max_bytes)
    except tf.errors.OpError as error:
        code = Code(error.error_code)
        raise ServingError(code, f"warm-up file {path} is corrupt: {error.message}") from error
    except DecodeError as error:
        raise invalid_argument(f"Failed to parse warmup record: {count} from {path}") from error
    except ServingError as error:
        message = f"warm-up record {count} of {path} fails: {error.message}"
        raise ServingError(error.code, message) from error
    return count


def _replay_one(model: ServedModel, log: prediction_log_pb2.PredictionLog, max_bytes: int) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        inference.predict(model, log.predict_log.request, max_bytes=max_bytes)
    elif kind == "classify_log":
        examples.classify(model, log.classify_log.request)
    elif kind == "regress_log":
        examples.regress(model, log.regress_log.request)
    elif kind == "multi_inference_log":
        examples.multi_inference(model, log.multi_inference_log.request)
    elif kind is not None:
        raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")
