"""Runs a SavedModel through TensorFlow's C++ loader, the one that TF Serving calls, with XLA off.

A program that stands alone: it imports NumPy and the standard library, and loads TensorFlow's
shared library, not its Python package.

    python cpp_loader.py LIBRARY SAVED_MODEL PLAN

PLAN is a folder with `plan.json`, a list of `{"feeds": {tensor: file}, "fetches": {name: tensor}}`.
A file is `.npy`, or `.json` with base64 strings. Run i writes `<i>-<name>.npy` or `.json` there.
"""

import base64
import ctypes
import json
import os
import sys
from typing import TypeAlias

import numpy as np

# TF_DataType -> NumPy, of those that REST can carry.
DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64",
          10: "bool", 22: "uint32", 23: "uint64"}  # fmt: skip
NUMBERS = {name: number for number, name in DTYPES.items()}
STRING = 7
TSTRING_SIZE = 24
Values: TypeAlias = np.ndarray | list[bytes]
DISABLE_XLA = "_ZN10tensorflow21DisableXlaCompilationEv"


class Output(ctypes.Structure):
    """TF_Output: an operation, and which of its outputs."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Session:
    """A SavedModel loaded with the tag `serve`."""

    def __init__(self, library: str, folder: str) -> None:
        self.tf = ctypes.CDLL(library)
        self._declare()
        getattr(self.tf, DISABLE_XLA)()
        self.status = self.tf.TF_NewStatus()
        self.graph = self.tf.TF_NewGraph()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = self.tf.TF_LoadSessionFromSavedModel(
            self.tf.TF_NewSessionOptions(), None, os.fsencode(folder), tags, 1, self.graph, None,
            self.status,
        )  # fmt: skip
        self._check()

    def run(self, feeds: dict[str, Values], fetches: list[str]) -> list[np.ndarray]:
        """Tensor names with arrays or lists of bytes -> the values of `fetches`."""
        inputs = (Output * len(feeds))(*map(self._output, feeds))
        values = (ctypes.c_void_p * len(feeds))(*map(self._to_tensor, feeds.values()))
        outputs = (Output * len(fetches))(*map(self._output, fetches))
        results = (ctypes.c_void_p * len(fetches))()
        self.tf.TF_SessionRun(
            self.session, None, inputs, values, len(feeds), outputs, results, len(fetches), None, 0,
            None, self.status,
        )  # fmt: skip
        self._check()
        return [self._from_tensor(result or 0) for result in results]

    def _declare(self) -> None:
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        for name in ("TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions", "TF_TensorData",
                     "TF_LoadSessionFromSavedModel", "TF_GraphOperationByName", "TF_AllocateTensor",
                     "TF_StringGetDataPointer"):  # fmt: skip
            getattr(self.tf, name).restype = pointer
        self.tf.TF_Message.restype = ctypes.c_char_p
        self.tf.TF_Dim.restype = ctypes.c_int64
        self.tf.TF_TensorByteSize.restype = self.tf.TF_StringGetSize.restype = size
        for name, arguments in {
            "TF_LoadSessionFromSavedModel": [pointer, pointer, ctypes.c_char_p, pointer,
                                             ctypes.c_int, pointer, pointer, pointer],
            "TF_SessionRun": [pointer, pointer, pointer, pointer, ctypes.c_int, pointer, pointer,
                              ctypes.c_int, pointer, ctypes.c_int, pointer, pointer],
            "TF_GraphOperationByName": [pointer, ctypes.c_char_p],
            "TF_AllocateTensor": [ctypes.c_int, pointer, ctypes.c_int, size],
            "TF_StringCopy": [pointer, ctypes.c_char_p, size],
            "TF_Dim": [pointer, ctypes.c_int],
        }.items():  # fmt: skip
            getattr(self.tf, name).argtypes = arguments
        for name in ("TF_GetCode", "TF_Message", "TF_TensorData", "TF_TensorType", "TF_NumDims",
                     "TF_TensorByteSize", "TF_StringGetDataPointer", "TF_StringGetSize",
                     "TF_StringInit"):  # fmt: skip
            getattr(self.tf, name).argtypes = [pointer]

    def _check(self) -> None:
        if code := self.tf.TF_GetCode(self.status):
            raise RuntimeError(f"code {code}: {self.tf.TF_Message(self.status).decode()}")

    def _output(self, tensor: str) -> Output:
        name, index = tensor.rsplit(":", 1)
        operation = self.tf.TF_GraphOperationByName(self.graph, name.encode())
        if not operation:
            raise RuntimeError(f"the graph has no operation {name!r}")
        return Output(operation, int(index))

    def _to_tensor(self, value: Values) -> int:
        shape = (len(value),) if isinstance(value, list) else value.shape
        dims = (ctypes.c_int64 * len(shape))(*shape)
        if isinstance(value, list):
            tensor: int = self.tf.TF_AllocateTensor(STRING, dims, 1, TSTRING_SIZE * len(value))
            start = self.tf.TF_TensorData(tensor)
            for i, text in enumerate(value):
                self.tf.TF_StringInit(start + i * TSTRING_SIZE)
                self.tf.TF_StringCopy(start + i * TSTRING_SIZE, text, len(text))
            return tensor
        value = np.ascontiguousarray(value)
        number = NUMBERS[value.dtype.name]
        tensor = self.tf.TF_AllocateTensor(number, dims, len(shape), value.nbytes)
        ctypes.memmove(self.tf.TF_TensorData(tensor), value.ctypes.data, value.nbytes)
        return tensor

    def _from_tensor(self, tensor: int) -> np.ndarray:
        number = self.tf.TF_TensorType(tensor)
        shape = [self.tf.TF_Dim(tensor, i) for i in range(self.tf.TF_NumDims(tensor))]
        start = self.tf.TF_TensorData(tensor)
        if number == STRING:
            texts = []
            for i in range(int(np.prod(shape))):
                place = start + i * TSTRING_SIZE
                length = self.tf.TF_StringGetSize(place)
                texts.append(ctypes.string_at(self.tf.TF_StringGetDataPointer(place), length))
            return np.array(texts, object).reshape(shape)
        if number not in DTYPES:
            raise RuntimeError(f"REST can't carry a tensor of TF_DataType {number}")
        data = ctypes.string_at(start, self.tf.TF_TensorByteSize(tensor))
        return np.frombuffer(data, DTYPES[number]).reshape(shape)


def _read(path: str) -> "np.ndarray | list[bytes]":
    if path.endswith(".npy"):
        array: np.ndarray = np.load(path)
        return array
    with open(path, encoding="utf-8") as file:
        return [base64.b64decode(text) for text in json.load(file)]


def _write(path: str, value: np.ndarray) -> None:
    if value.dtype != object:
        np.save(path + ".npy", value)
        return
    texts = [base64.b64encode(text).decode() for text in value.ravel()]
    with open(path + ".json", "w", encoding="utf-8") as file:
        json.dump({"shape": value.shape, "values": texts}, file)


def main(library: str, folder: str, plan: str) -> None:
    """Runs what the plan says."""
    session = Session(library, folder)
    with open(os.path.join(plan, "plan.json"), encoding="utf-8") as file:
        runs = json.load(file)
    for i, run in enumerate(runs):
        feeds = {name: _read(os.path.join(plan, path)) for name, path in run["feeds"].items()}
        results = session.run(feeds, list(run["fetches"].values()))
        for name, value in zip(run["fetches"], results, strict=True):
            _write(os.path.join(plan, f"{i}-{name}"), value)


if __name__ == "__main__":
    main(*sys.argv[1:])
