"""The state of a training that has not ended, written whole after an epoch, or not there."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_attn._staging import clear_left_overs
from keras_attn.training.config import defaults
from keras_attn.training.run_folder.files import (
    BEST_FILE,
    DESCRIPTION_FILE,
    HISTORY_FILE,
    UNFINISHED,
    remove,
)

FOLDER = UNFINISHED
FILES = ("epoch-*.npz", ".writing*", "writing-*", HISTORY_FILE, BEST_FILE, DESCRIPTION_FILE)
KEPT = 2  # the older one is for the case that a disk loses the newer


@dataclasses.dataclass(frozen=True)
class State:
    """Where a training stands.

    Attributes:
        epoch: Number of epochs that are done.
        history: Quantity -> its value in each of them.
        arguments: Options of the training, and what tells its network and data from others.
        seconds: Time that it took up to here.
        network: Values of the network's variables: weights and the states of its seeds.
        optimizer: Values of the optimizer's variables.
    """

    epoch: int
    history: dict[str, list[float | None]]
    arguments: dict[str, Any]
    seconds: float
    network: list[np.ndarray]
    optimizer: list[np.ndarray]


def save_state(out: Path, state: State) -> None:
    """Writes a state, and removes older ones.

    The file is written under another name and moved into place when it is on the disk, so that
    a process that is killed, or a full disk, leaves the earlier ones whole.

    Raises:
        OSError: If it can't be written.
    """
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"epoch-{state.epoch:05d}.npz"
    beside = folder / ".writing.npz"
    about = {
        "epoch": state.epoch,
        "history": state.history,
        "arguments": state.arguments,
        "seconds": state.seconds,
    }
    try:
        with open(beside, "wb") as file:
            arrays: dict[str, Any] = {"about": np.frombuffer(json.dumps(about).encode(), "uint8")}
            arrays |= {f"network/{i}": value for i, value in enumerate(state.network)}
            arrays |= {f"optimizer/{i}": value for i, value in enumerate(state.optimizer)}
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(
            f"The checkpoint of epoch {state.epoch} could not be written into {folder}: "
            f"{error.strerror or error}. The one before it is whole; started again, the training "
            "goes on from there."
        ) from error
    os.replace(beside, path)
    for old in _paths(out)[:-KEPT]:
        old.unlink(missing_ok=True)


def load_state(out: Path) -> State | None:
    """Reads the newest whole state, or gives `None` where there is none.

    Raises:
        ValueError: If there are states, and none of them can be read.
    """
    reasons: list[str] = []
    for path in reversed(_paths(out)):
        try:
            return _read(path)
        except MemoryError:
            raise
        except Exception as error:  # the disk lost it, in whatever way; the one before is whole
            reasons.append(f"{path.name}: {' '.join(str(error).split()) or type(error).__name__}")
    if reasons:
        raise ValueError(
            f"No checkpoint in {out / FOLDER} can be read ({reasons[0]}). Remove that folder to "
            "begin anew."
        )
    return None


def discard_state(out: Path) -> None:
    """Removes what an unfinished training left."""
    clear_left_overs(out / FOLDER)
    remove(out / FOLDER, FILES)


def best_file(out: Path) -> Path:
    """Where the network of the best epoch is, for as long as the training has not ended."""
    return out / FOLDER / BEST_FILE


def check_arguments_agree(out: Path, state: State, arguments: Mapping[str, Any]) -> None:
    """Raises a ValueError unless a state is that of a training with these arguments."""
    differing = differences(state.arguments, arguments)
    if differing:
        raise ValueError(
            f"`out` must not hold another unfinished training: in {out / FOLDER}, "
            f"{'; '.join(differing)}. Give the same options to go on with it, or "
            "`resume=False` to begin anew."
        )


def differences(before: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[str]:
    """Says of each argument in which a training differs from an earlier one what it was and is.

    An option that the earlier one's version didn't have was at its default.
    """
    asked, newer = json.loads(json.dumps([arguments, defaults()]))  # as it would be read back
    before = {**{name: value for name, value in newer.items() if name in asked}, **before}
    return [
        f"{name} was {before.get(name)!r} and is {asked.get(name)!r}"
        for name in sorted({*before, *asked})
        if before.get(name) != asked.get(name)
    ]


def has_state(out: Path) -> bool:
    """Whether there is an unfinished training."""
    return bool(_paths(out))


def take_state(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    *,
    epoch: int,
    history: dict[str, list[float | None]],
    arguments: dict[str, Any],
    seconds: float,
) -> State:
    """Reads the state of a training.

    Raises:
        FloatingPointError: If a weight is not finite: it would not be a state to go on from.
    """
    values = [variable.numpy() for variable in network.variables]
    for variable, value in zip(network.variables, values, strict=True):
        if not np.isfinite(value).all():  # a ReLU may turn NaN into 0, and the loss not show it
            broken = value[~np.isfinite(value)][0]
            raise FloatingPointError(
                f"The weight {variable.path} became {broken} in epoch {epoch}. "
                "A lower `learning_rate` or a longer `warmup` may help."
            )
    return State(
        epoch=epoch,
        history=history,
        arguments=arguments,
        seconds=seconds,
        network=values,
        optimizer=[v.numpy() for v in optimizer.variables],
    )


def put_state(network: keras.Model, optimizer: keras.optimizers.Optimizer, state: State) -> None:
    """Gives the network and the built optimizer the values of a state.

    Raises:
        ValueError: If they are another network's or another optimizer's.
    """
    parts = (
        ("network", network.variables, state.network),
        ("optimizer", optimizer.variables, state.optimizer),
    )
    for name, variables, values in parts:
        check_values(name, variables, values)
    for _, variables, values in parts:
        put_values(variables, values)


def check_values(
    name: str, variables: Sequence[keras.Variable], values: Sequence[np.ndarray]
) -> None:
    """Raises a ValueError unless the values of a state's network or optimizer are for these."""
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise ValueError(
            f"The checkpoint's {name} is another than this one: it has {len(values)} "
            f"variables, this one {len(variables)}, or their shapes differ"
        )


def put_values(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Gives variables the values of a state."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _paths(out: Path) -> list[Path]:
    return sorted((out / FOLDER).glob("epoch-*.npz"))


def _read(path: Path) -> State:
    with open(path, "rb") as whole, np.load(whole, allow_pickle=False) as file:
        about = json.loads(file["about"].tobytes())
        values: dict[str, Any] = {
            part: [file[f"{part}/{i}"] for i in range(sum(k.startswith(part) for k in file.files))]
            for part in ("network", "optimizer")
        }
    return State(**about, **values)
