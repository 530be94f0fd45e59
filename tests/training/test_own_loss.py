"""Networks with a loss of their own, by `train`: those that choose where to look."""

import keras
import numpy as np
import pytest

from helpers.training import CLASSES, QUICK, SHAPE, make_dataset
from keras_attn.applications import GlimpseClassifier, RecurrentAttention, get_model
from keras_attn.classifiers.networks import NetworkClassifier
from keras_attn.images import Preprocessing
from keras_attn.training import evaluate, train
from keras_attn.training.config import TrainingConfig
from keras_attn.training.recipes import Recipe


def looking(classes=3):
    return RecurrentAttention(
        SHAPE, classes, num_glimpses=2, glimpse_size=4, num_scales=1, units=16, hidden_units=8
    )


@pytest.mark.thorough
def test_train_by_its_loss_and_evaluate_by_cross_entropy(tmp_path):
    data = make_dataset()
    options = {**QUICK, "epochs": 8, "optimizer": "adamw", "learning_rate": 0.02}
    options |= {"augment": ("mixup",), "label_smoothing": 0.1}
    result = train(looking, data, tmp_path / "run", **options)
    assert result.history["accuracy"][-1] > 0.6
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    assert isinstance(model, GlimpseClassifier)
    measured = evaluate(model, data)
    assert measured["accuracy"] == result.metrics["accuracy"] > 0.8
    images, labels = data.test.images, data.test.labels
    found = NetworkClassifier(model, CLASSES, Preprocessing(SHAPE[:2])).run(images)
    expected = -np.log(found[np.arange(len(labels)), labels]).mean()
    assert measured["loss"] == pytest.approx(expected, rel=1e-4)
    assert abs(result.metrics["loss"] - measured["loss"]) > 1e-3  # with the baselines' and places'


def test_another_number_of_classes(tmp_path):
    with pytest.raises(ValueError, match=r"the probabilities of the 3 classes .* \(None, 4\)"):
        train(lambda: looking(4), make_dataset(), tmp_path, **QUICK)


def test_by_name():
    config = TrainingConfig(epochs=1)
    assert Recipe(model="RecurrentAttention", data="digits", training=config).model == (
        "recurrent_attention"
    )
    small = {"input_shape": (16, 16, 3), "classes": 4, "include_preprocessing": True}
    assert isinstance(get_model("recurrent_attention")(**small), GlimpseClassifier)
    racnn = get_model("RACNN")(**small, scales=2, units=8, backbone="se_resnet20_cifar")
    assert racnn.output["probabilities"].shape == (None, 4)
