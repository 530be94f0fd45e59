"""Arrays -> the JSON of a predict reply, by the rules of TF Serving."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from keras_attn.serving.errors import invalid_argument
from keras_attn.serving.models.signatures import NUMPY_DTYPES, TensorInfo
from keras_attn.serving.rest.json.input import Format


def write_outputs(
    arrays: Mapping[str, np.ndarray], outputs: Mapping[str, TensorInfo], *, format: Format
) -> bytes:
    """Returns the body of a reply, in the format of the request.

    Row: `{"predictions": [one for each of the batch]}`, column: `{"outputs": ...}`; a sole output
    is written bare, several as an object. NaN and infinities are written as `NaN`, `Infinity` and
    `-Infinity`, which are no JSON, as TF Serving writes them.

    Args:
        arrays: One for each of `outputs`.
        outputs: The signature's outputs. A string whose name ends in `_bytes` becomes base64.
        format: `"row"` or `"column"`.
    """
    if not arrays:
        raise invalid_argument("Cannot convert empty tensor map to JSON")
    if format == "column":
        texts = {name: _tensor(array, outputs, name) for name, array in arrays.items()}
        body = '{"outputs": ' + _bare_or_object(texts) + "}"
    else:
        size = _batch_size(arrays)
        columns = {
            name: [_tensor(row, outputs, name) for row in array] for name, array in arrays.items()
        }
        rows = [_bare_or_object({name: columns[name][i] for name in columns}) for i in range(size)]
        body = '{"predictions": ' + _list(rows) + "}"
    return body.encode("utf-8", "surrogateescape")


def _batch_size(arrays: Mapping[str, np.ndarray]) -> int:
    size = -1
    for name, array in arrays.items():
        if array.ndim == 0:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if size not in (-1, array.shape[0]):
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} "
                f"expecting: {size}"
            )
        size = array.shape[0]
    return size


def _bare_or_object(texts: Mapping[str, str]) -> str:
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in texts.items()) + "}"


def _tensor(array: np.ndarray, outputs: Mapping[str, TensorInfo], name: str) -> str:
    dtype = outputs[name].dtype
    if dtype not in NUMPY_DTYPES:
        raise invalid_argument(f"Failed to write JSON value for tensor type: {dtype}")
    array = np.asarray(array, NUMPY_DTYPES[dtype])
    return _nested(_formatter(dtype, name)(array.reshape(-1)), array.shape)


def _nested(texts: Sequence[str], shape: tuple[int, ...]) -> str:
    """Row-major texts -> one text with the brackets of `shape`."""
    if not shape:
        return texts[0]
    if len(shape) == 1:
        return _list(texts)
    step = len(texts) // max(shape[0], 1)
    return _list([_nested(texts[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])])


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(texts) + "]"


def _formatter(dtype: str, name: str) -> Callable[[np.ndarray], list[str]]:
    if dtype in ("float", "double"):
        return decimals
    if dtype == "string":
        one = _base64 if name.endswith("_bytes") else _string
        return lambda values: [one(value) for value in values.tolist()]
    return lambda values: [json.dumps(value) for value in values.tolist()]


def decimals(values: np.ndarray) -> list[str]:
    """Six digits where they give the same number back, else all: 0.1, not 0.10000000149."""
    digits = 9 if values.dtype == np.float32 else 17
    numbers = values.tolist()
    short = [f"{number:.6g}" for number in numbers]
    with np.errstate(over="ignore"):  # 3.40282e+38, rounded, can be beyond the greatest float32
        exact = np.array(short, np.float64).astype(values.dtype) == values
    texts = [
        text if same else f"{number:.{digits}g}"
        for text, same, number in zip(short, exact, numbers, strict=True)
    ]
    return [_with_point(text) for text in texts]


def _with_point(text: str) -> str:
    """A client should read a float from every float: 1.0, not 1."""
    if text in ("nan", "inf", "-inf"):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[text]
    return text if "." in text or "e" in text else text + ".0"


def _string(value: bytes | str) -> str:
    """Bytes that are no UTF-8 pass through as they are."""
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    return json.dumps(text, ensure_ascii=False)


def _base64(value: bytes) -> str:
    return json.dumps({"b64": base64.b64encode(value).decode()})
