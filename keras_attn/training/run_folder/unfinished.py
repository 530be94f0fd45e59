"""The network of a training that has not ended, as it was after its last whole epoch."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from keras_attn.training.run_folder import checkpoint
from keras_attn.training.run_folder.files import DESCRIPTION_FILE, read_text, write_text


def describe_unfinished(out: Path, network: keras.Model, record: Mapping[str, Any]) -> None:
    """Writes down what a checkpoint leaves out: the network's layers, and the run's record so far.

    A network of the user's own that can't be described is left out; its training goes on as any.
    """
    try:
        layers = network.to_json()
    except (NotImplementedError, TypeError, ValueError):
        layers = None
    (out / checkpoint.FOLDER).mkdir(parents=True, exist_ok=True)
    text = json.dumps({**record, "network": layers}, indent=1) + "\n"
    write_text(out / checkpoint.FOLDER / DESCRIPTION_FILE, text)


def load_unfinished(folder: str | os.PathLike[str]) -> tuple[keras.Model, dict[str, Any]]:
    """Reads the network of a training that was stopped, or is going on.

    Args:
        folder: Folder that `train` writes to.

    Returns:
        The model, not compiled, with the weights after the last whole epoch (not their moving
        average, where `ema` is asked for), and what `run.json` will hold, without metrics and with
        `unfinished`, the number of epochs that are done.

    Raises:
        FileNotFoundError: If there is no unfinished training.
        ValueError: If its files can't be read, or no epoch is done.

    Example:
        >>> model, record = load_unfinished("runs/photos")
        >>> record["unfinished"]
        3
    """
    folder = Path(folder)
    path = folder / checkpoint.FOLDER / DESCRIPTION_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"`folder` must hold an unfinished training. Received: folder={os.fspath(folder)!r}, "
            f"in which there is no {checkpoint.FOLDER}/{DESCRIPTION_FILE}"
        )
    state = checkpoint.load_state(folder)
    if state is None:
        raise ValueError(f"The training in {folder} has not finished an epoch yet")
    try:
        record = json.loads(read_text(path))
        layers = record.pop("network")
        if layers is None:
            raise ValueError("its network, of a class of its own, could not be described")
        model = keras.models.model_from_json(layers)
        checkpoint.check_values("network", model.variables, state.network)
        checkpoint.put_values(model.variables, state.network)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"The unfinished training in {folder} can't be read: {error}") from error
    return model, {**record, "unfinished": state.epoch}
