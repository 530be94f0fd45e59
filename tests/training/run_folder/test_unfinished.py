"""An unfinished training can be looked at: its network, and the run's record so far."""

import keras
import numpy as np
import pytest

from keras_attn.applications import CIFARResNet
from keras_attn.training import load_dataset, train
from keras_attn.training.run_folder.unfinished import load_unfinished


class StopAfter(keras.callbacks.Callback):
    """Ctrl-C in the second epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", image_size=8, limit=48)


@pytest.mark.thorough
def test_a_stopped_training_gives_its_network(tmp_path, digits):
    kept = {}

    def build():
        kept["network"] = CIFARResNet(8, input_shape=(8, 8, 3), include_preprocessing=True)
        return kept["network"]

    with pytest.raises(KeyboardInterrupt):
        train(build, digits, tmp_path, epochs=3, batch_size=16, callbacks=[StopAfter()], verbose=0)
    model, record = load_unfinished(tmp_path)
    assert record["unfinished"] == 1
    assert record["data"]["class_names"] == list(digits.class_names)
    assert record["arguments"]["epochs"] == 3
    images = digits.test.images[:4].astype("float32")
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), kept["network"].predict(images, verbose=0)
    )
    train(build, digits, tmp_path, epochs=3, batch_size=16, verbose=0)
    assert not (tmp_path / "unfinished").exists()
    with pytest.raises(FileNotFoundError, match="must hold an unfinished training"):
        load_unfinished(tmp_path)


def test_what_cannot_be_read(tmp_path, digits):
    folder = tmp_path / "unfinished"
    folder.mkdir()
    (folder / "description.json").write_text("{}")
    with pytest.raises(ValueError, match="has not finished an epoch yet"):
        load_unfinished(tmp_path)
