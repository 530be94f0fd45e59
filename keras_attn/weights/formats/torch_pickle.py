"""The pickle in a `.pth`, run by a machine that knows tensors and nothing else.

Python's own unpickler is no bound on time and memory, whatever names it may look up: a tuple of
twice the same tuple of twice the same ... has no end of a hash, and a few bytes can copy a list
again and again. Here each instruction does a bounded piece of work, and their number is bounded.
Facts: `pickletools` of Python, `torch.serialization` and `torch._utils` of PyTorch 2.13.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from typing import IO, Any

# Names of the storages, and how their numbers lie in the file.
STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
# Functions that make a tensor; the first is that of PyTorch 0.3 and before.
REBUILDERS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
# A tensor takes some 45 instructions and 200 bytes.
MOST_STEPS = 1_000_000
MOST_BYTES = 1 << 24
MOST_DIMENSIONS = 32


@dataclass(frozen=True)
class Storage:
    """The numbers of one or several tensors: where they lie in the file."""

    key: str
    dtype: str
    size: int


@dataclass(frozen=True)
class Tensor:
    """A tensor as the pickle describes it; its numbers are read later."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    """A name that the pickle may use."""

    name: str


class _Mark:
    """Where a sequence on the stack begins."""


ORDERED_DICT = _Name("OrderedDict")
_MARK = _Mark()


class TensorPickle:
    """Runs the pickles of one file.

    Args:
        file: The file that they are read from.

    Attributes:
        storages: The storages of the tensors so far, by key.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.storages: dict[str, Storage] = {}
        self._file = file
        self._steps = self._bytes = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Runs the next pickle.

        Returns:
            What it describes, of `Tensor`, dictionaries, lists, tuples, texts and numbers.

        Raises:
            pickle.UnpicklingError: If it asks for anything else, is damaged, or has no end.
        """
        self._stack, self._memo = [], {}
        while True:
            self._count(1)
            code = self._read(1)
            if code == b".":
                return self._stack.pop()
            step = _STEPS.get(code)
            if step is None:
                raise pickle.UnpicklingError(f"it has an instruction of no tensor's, {code!r}")
            step(self)

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MOST_STEPS:
            raise pickle.UnpicklingError(f"it has more than {MOST_STEPS} instructions")

    def _read(self, size: int) -> bytes:
        self._bytes += size
        if self._bytes > MOST_BYTES:
            raise pickle.UnpicklingError(f"it has more than {MOST_BYTES} bytes")
        data = self._file.read(size)
        if len(data) != size:
            raise EOFError("it ends too early")
        return data

    def _unpacked(self, form: str) -> Any:
        return struct.unpack(form, self._read(struct.calcsize(form)))[0]

    def _line(self) -> str:
        line = self._file.readline(256)
        if not line.endswith(b"\n"):
            raise pickle.UnpicklingError("it has a name without an end")
        return line[:-1].decode()

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _from_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise pickle.UnpicklingError("it lacks a mark")
        values = self._stack[place + 1 :]
        del self._stack[place:]
        return values

    def _pop(self, number: int) -> tuple[Any, ...]:
        values = tuple(self._stack[-number:])
        del self._stack[-number:]
        return values

    def _text(self, size: int, encoding: str = "utf-8") -> None:
        self._push(self._read(size).decode(encoding))

    def _long(self, size: int) -> None:
        self._push(int.from_bytes(self._read(size), "little", signed=True))

    def _global(self) -> None:
        self._push(_known(self._line(), self._line()))

    def _stack_global(self) -> None:
        self._push(_known(*self._pop(2)))

    def _set(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(values) % 2:
            raise pickle.UnpicklingError("it sets what is no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Other keys may take for ever to compare or to hash.
            if type(key) is not str and not (type(key) is int and abs(key) < 1 << 60):
                raise pickle.UnpicklingError("it has a key that is neither a text nor a number")
            if key in target:
                raise pickle.UnpicklingError(f"it has a name twice: {str(key)[:100]}")
            target[key] = value

    def _append(self, values: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise pickle.UnpicklingError("it appends to what is no list")
        self._stack[-1].extend(values)

    def _reduce(self) -> None:
        function, arguments = self._pop(2)
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("it calls what is no function")
        if function.name in REBUILDERS[:2]:
            self._push(_tensor(*arguments[:4]))
        elif function.name == "_rebuild_parameter":
            self._push(arguments[0])
        elif function is ORDERED_DICT:
            self._push({})
            if arguments:  # as Python 2 writes it
                pairs = [value for pair in arguments[0] for value in pair[:2]]
                self._count(len(pairs))
                self._set(pairs)
        else:
            raise pickle.UnpicklingError(f"it calls {function.name}")

    def _build(self) -> None:
        """Sets a state. Of a dictionary, PyTorch's `_metadata`: it is left out."""
        self._stack.pop()
        changed = self._stack[-1]
        if not isinstance(changed, dict):
            name = changed.name if isinstance(changed, _Name) else type(changed).__name__
            raise pickle.UnpicklingError(f"it changes {name}, which cannot be")

    def _persistent(self) -> None:
        kind, storage, key, _, size, *view = self._stack.pop()
        known = isinstance(storage, _Name) and storage.name in STORAGES
        if kind != "storage" or not known or any(part is not None for part in view):
            raise pickle.UnpicklingError("it has a storage of an unknown kind")
        if type(key) not in (str, int) or not _is_size(size):
            raise pickle.UnpicklingError("it has a storage that can't be")
        self._push(Storage(str(key), STORAGES[storage.name], size))
        self.storages[str(key)] = self._stack[-1]


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 60


def _known(module: Any, name: Any) -> _Name:
    if (module, name) == ("collections", "OrderedDict"):
        return ORDERED_DICT
    if (module == "torch._utils" and name in REBUILDERS) or (
        module == "torch" and name in STORAGES
    ):
        return _Name(name)
    where = f"{module}.{name}"[:200] if isinstance(name, str) else "what is no name"
    raise pickle.UnpicklingError(f"it asks for {where}, which is no part of a tensor")


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    sizes = (offset, *shape[:MOST_DIMENSIONS], *strides[:MOST_DIMENSIONS])
    if (
        not isinstance(storage, Storage)
        or len(shape) != len(strides)
        or len(shape) > MOST_DIMENSIONS
        or not all(map(_is_size, sizes))
    ):
        raise pickle.UnpicklingError("it describes a tensor that can't be")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _memoize(machine: TensorPickle) -> None:
    machine._memo[len(machine._memo)] = machine._stack[-1]


def _put(form: str) -> Any:
    def step(machine: TensorPickle) -> None:
        machine._memo[machine._unpacked(form)] = machine._stack[-1]

    return step


def _get(form: str) -> Any:
    return lambda machine: machine._push(machine._memo[machine._unpacked(form)])


def _number(form: str) -> Any:
    return lambda machine: machine._push(machine._unpacked(form))


# Those of protocols 2 to 5 that plain data is made of, under Python's names for them.
_STEPS = {
    pickle.PROTO: lambda m: m._read(1),
    pickle.FRAME: lambda m: m._read(8),
    pickle.MARK: lambda m: m._push(_MARK),
    pickle.POP: lambda m: m._stack.pop(),
    pickle.POP_MARK: lambda m: m._from_mark(),
    pickle.DUP: lambda m: m._push(m._stack[-1]),
    pickle.NONE: lambda m: m._push(None),
    pickle.NEWTRUE: lambda m: m._push(True),
    pickle.NEWFALSE: lambda m: m._push(False),
    pickle.BININT: _number("<i"),
    pickle.BININT1: _number("<B"),
    pickle.BININT2: _number("<H"),
    pickle.BINFLOAT: _number(">d"),
    pickle.LONG1: lambda m: m._long(m._unpacked("<B")),
    pickle.LONG4: lambda m: m._long(m._unpacked("<I")),
    pickle.BINUNICODE: lambda m: m._text(m._unpacked("<I")),
    pickle.SHORT_BINUNICODE: lambda m: m._text(m._unpacked("<B")),
    pickle.BINSTRING: lambda m: m._text(m._unpacked("<I"), "ascii"),
    pickle.SHORT_BINSTRING: lambda m: m._text(m._unpacked("<B"), "ascii"),
    pickle.BINBYTES: lambda m: m._push(m._read(m._unpacked("<I"))),
    pickle.SHORT_BINBYTES: lambda m: m._push(m._read(m._unpacked("<B"))),
    pickle.EMPTY_TUPLE: lambda m: m._push(()),
    pickle.TUPLE: lambda m: m._push(tuple(m._from_mark())),
    pickle.TUPLE1: lambda m: m._push(m._pop(1)),
    pickle.TUPLE2: lambda m: m._push(m._pop(2)),
    pickle.TUPLE3: lambda m: m._push(m._pop(3)),
    pickle.EMPTY_LIST: lambda m: m._push([]),
    pickle.APPEND: lambda m: m._append([m._stack.pop()]),
    pickle.APPENDS: lambda m: m._append(m._from_mark()),
    pickle.EMPTY_DICT: lambda m: m._push({}),
    pickle.SETITEM: lambda m: m._set(list(m._pop(2))),
    pickle.SETITEMS: lambda m: m._set(m._from_mark()),
    pickle.BINPUT: _put("<B"),
    pickle.LONG_BINPUT: _put("<I"),
    pickle.MEMOIZE: _memoize,
    pickle.BINGET: _get("<B"),
    pickle.LONG_BINGET: _get("<I"),
    pickle.GLOBAL: TensorPickle._global,
    pickle.STACK_GLOBAL: TensorPickle._stack_global,
    pickle.REDUCE: TensorPickle._reduce,
    pickle.BUILD: TensorPickle._build,
    pickle.BINPERSID: TensorPickle._persistent,
}
