"""Fine-tuning: what is frozen stays, what is slow is slow, and a killed one goes on."""

import json

import keras
import numpy as np
import pytest

import keras_attn
from keras_attn.applications.inputs import find_class_names
from keras_attn.finetune import find_stages, finetune, freeze, replace_head
from keras_attn.training import ImageDataset, load_run
from keras_attn.weights import get_metadata

CLASSES = ("low", "high")
QUICK = {"batch_size": 8, "augment": (), "jit_compile": False, "verbose": 0}


@pytest.fixture(scope="module")
def dataset():
    def split(size, seed):
        rng = np.random.default_rng(seed)
        labels = np.arange(size) % 2
        images = rng.integers(0, 100, (size, 5, 7, 3)) + 150 * labels[:, None, None, None]
        return images.astype("uint8"), labels

    return ImageDataset.from_arrays(split(32, 1), split(12, 2), class_names=CLASSES, name="bright")


def pretrained(classes=2):
    keras.utils.set_random_seed(7)
    image = keras.Input((5, 7, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    for stage in ("stem", "stage1", "stage2"):
        x = keras.layers.Conv2D(4, 3, padding="same", name=f"{stage}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"{stage}_bn")(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(
        image, keras.layers.Dense(classes, "softmax", name="predictions")(x), name="p"
    )


STAGES = ["stem", "stage1", "stage2", "predictions"]


@pytest.mark.thorough
def test_stages_of_known_networks():
    assert list(find_stages(pretrained())) == STAGES
    resnet = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), include_top=False)
    assert list(find_stages(resnet)) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    ran = keras_attn.applications.ResidualAttentionCIFAR(56)
    assert list(find_stages(ran)) == ["stem", "stage1", "stage2", "stage3", "final", "predictions"]


def test_stages_by_patterns():
    found = find_stages(pretrained(), {"body": ["stem_*", "stage?_*"], "head": "predictions"})
    assert list(found) == ["body", "head"]
    assert len(found["body"]) == 6
    with pytest.raises(ValueError, match=r"no stage for stage1_conv, stage1_bn, stage2_conv"):
        find_stages(pretrained(), {"a": "stem*", "b": "predictions"})
    with pytest.raises(ValueError, match=r"none for nothing; layers stem_conv"):
        find_stages(pretrained(), {"nothing": "x*", "all": "*"})


def test_freeze_and_unfreeze():
    model = pretrained()
    assert freeze(model, "stage1") == ["stem", "stage1"]
    assert [w.path.split("_")[0] for w in model.trainable_variables][0] == "stage2"
    assert len(model.trainable_variables) == 6
    assert freeze(model, None) == []
    assert len(model.trainable_variables) == 14
    with pytest.raises(ValueError, match=r"`through` must be one of 'stem'.*through='stage9'"):
        freeze(model, "stage9")


def test_replace_head():
    model = pretrained()
    replaced = replace_head(model, 5, dropout=0.5)
    assert replaced.output_shape == (None, 5)
    assert replaced.layers[-1].name == "predictions"
    assert replaced.get_layer("stem_conv") is model.get_layer("stem_conv")
    images = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype("float32")
    np.testing.assert_allclose(replaced(images), 0.2, rtol=1e-6)  # its kernel is zero
    for classes in (0, 1):  # a softmax over one class is always 1
        with pytest.raises(ValueError, match=f"`classes` must be .* at least 2.*{classes}"):
            replace_head(model, classes)
    other = keras.Input((3,), name="other")
    features = keras.layers.Concatenate()([model.layers[-2].output, other])
    two = keras.Model([model.input, other], keras.layers.Dense(4, "softmax")(features))
    assert replace_head(two, 3)([images, np.ones((2, 3), "float32")]).shape == (2, 3)
    with pytest.raises(ValueError, match="one Dense layer.*ends in Dense 'predictions', Dense"):
        replace_head(keras.Model(two.inputs, [model.output, two.output]), 3)
    with pytest.raises(ValueError, match="`model` must be a functional"):
        replace_head(keras.Sequential([keras.layers.Dense(3)]), 3)
    headless = keras.Model(model.inputs, model.layers[-2].output)
    with pytest.raises(ValueError, match="which ends in GlobalAveragePooling2D"):
        replace_head(headless, 3)


def test_a_head_that_is_replaced_again():
    again = replace_head(replace_head(pretrained(), 5, dropout=0.5), 3, dropout=0.25)
    assert [layer.name for layer in again.layers].count("head_dropout") == 1
    assert again.get_layer("head_dropout").rate == 0.25 and again.output_shape == (None, 3)


def test_a_new_head_forgets_the_labels():
    """Also where the numbers of classes agree, so that an aeroplane is no zero."""
    network = keras_attn.applications.CIFARResNet(20, attention="se", weights="cifar10")
    assert find_class_names(network)[0] == "airplane"
    replaced = replace_head(network, 10)
    assert not replaced.get_layer("predictions").kernel.numpy().any()
    assert find_class_names(replaced) is None
    assert get_metadata(replaced).top1 == get_metadata(network).top1  # the rest stays


def weights_of(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def test_frozen_stages_stay_with_their_statistics(dataset, tmp_path):
    before = weights_of(pretrained())
    result = finetune(pretrained, dataset, tmp_path, epochs=2, through="stage1", **QUICK)
    after = weights_of(result.run.model)
    moved = {path for path in before if not np.array_equal(before[path], after[path])}
    assert moved == {p for p in before if p.startswith(("stage2", "predictions"))}
    assert "stage2_bn/moving_mean" in moved
    [phase] = result.report["phases"]
    assert phase["frozen"] == ["stem", "stage1"]
    assert phase["trained"] == ["stage2", "predictions"]
    counts = {p: before[p].size for p in before}
    assert phase["trainable_weights"] == sum(
        n for p, n in counts.items() if p in moved and "moving" not in p
    )
    assert json.loads((tmp_path / "finetune.json").read_text()) == result.report


def test_each_stage_has_its_rate(dataset, tmp_path, monkeypatch):
    """One step of SGD without momentum: the moves are to each other as the rates."""
    from keras_attn.training import optimizers

    seen = {}
    original = optimizers.make_optimizer

    def spy(config, model, *, steps):
        seen.update(config.record())
        return original(config, model, steps=steps)

    monkeypatch.setattr("keras_attn.training.fit.make_optimizer", spy)
    result = finetune(
        pretrained, dataset, tmp_path, epochs=1, layer_decay=0.5, learning_rate=0.08,
        weight_decay_factors={"predictions": 0.0}, **QUICK,
    )  # fmt: skip
    rates = result.report["phases"][0]["learning_rates"]
    assert rates == {"stem": 0.01, "stage1": 0.02, "stage2": 0.04, "predictions": 0.08}
    optimizer = result.run.model.optimizer
    assert optimizer.learning_rate_factors["stem_conv/kernel"] == 0.125
    assert optimizer.learning_rate_factors["stage2_bn/gamma"] == 0.5
    assert "predictions/kernel" not in optimizer.learning_rate_factors
    assert optimizer.weight_decay_factors == {"predictions/kernel": 0.0, "predictions/bias": 0.0}
    assert seen["learning_rate"] == 0.08


@pytest.mark.thorough
def test_gradual_unfreezing(dataset, tmp_path):
    before = weights_of(pretrained())
    result = finetune(pretrained, dataset, tmp_path, epochs=5, unfreeze_every=1, **QUICK)
    phases = result.report["phases"]
    assert [phase["epochs"] for phase in phases] == [1, 1, 1, 2]
    assert [phase["trained"] for phase in phases] == [STAGES[-1:], STAGES[-2:], STAGES[-3:], STAGES]
    assert all(
        not np.array_equal(before[path], value)
        for path, value in weights_of(result.run.model).items()
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.keras", "finetune.json", "history.csv", "model.keras", "run.json",
    ]  # fmt: skip


class Killed(Exception):
    """As if the process was killed."""


class KillAt(keras.callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self.left = epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.left -= 1
        if self.left < 0:
            raise Killed


@pytest.mark.parametrize("epochs", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 3))])
@pytest.mark.thorough
def test_a_killed_one_goes_on(dataset, tmp_path, epochs):
    options = {"epochs": 4, "through": "stage1", "unfreeze_every": 2, "layer_decay": 0.5, **QUICK}
    # phases of 2 epochs each: the head, stage2
    whole = finetune(pretrained, dataset, tmp_path / "whole", **options)
    with pytest.raises(Killed):
        finetune(pretrained, dataset, tmp_path / "cut", callbacks=[KillAt(epochs)], **options)
    result = finetune(pretrained, dataset, tmp_path / "cut", **options)
    for path, value in weights_of(whole.run.model).items():
        np.testing.assert_array_equal(weights_of(result.run.model)[path], value, err_msg=path)
    assert not (tmp_path / "cut" / "phases").exists()


@pytest.mark.thorough
def test_other_arguments_in_the_same_folder_are_refused(dataset, tmp_path):
    options = {"epochs": 3, "through": "stem", "unfreeze_every": 1, **QUICK}
    with pytest.raises(Killed):
        finetune(pretrained, dataset, tmp_path, callbacks=[KillAt(1)], **options)
    with pytest.raises(ValueError, match=r"another unfinished fine-tuning.*learning_rate: 0.01"):
        finetune(pretrained, dataset, tmp_path, **options, learning_rate=0.02)
    with pytest.raises(ValueError, match=r"another unfinished fine-tuning.*another source"):
        finetune(pretrained, dataset, tmp_path, **options, source="elsewhere")
    with pytest.raises(Killed):  # begins anew, at the head
        finetune(
            pretrained, dataset, tmp_path, resume=False, source="elsewhere",
            callbacks=[KillAt(0)], **options,
        )  # fmt: skip
    assert not (tmp_path / "phases" / "1" / "run.json").exists()


@pytest.mark.thorough
def test_averages_of_weights(dataset, tmp_path):
    result = finetune(pretrained, dataset, tmp_path, epochs=1, ema=0.9, **QUICK)
    assert "best" not in result.run.paths


@pytest.mark.thorough
def test_the_best_epoch_is_kept(dataset, tmp_path):
    result = finetune(pretrained, dataset, tmp_path, epochs=4, **QUICK)
    record = load_run(tmp_path)[1]
    accuracies = result.run.history["val_accuracy"]
    assert record["best"] == {
        "epoch": accuracies.index(max(accuracies)) + 1,
        "accuracy": max(accuracies),
    }
    best = keras.saving.load_model(tmp_path / "best.keras")
    images, labels = dataset.test.read(np.arange(12)), dataset.test.labels
    found = np.mean(best.predict(images.astype("float32"), verbose=0).argmax(-1) == labels)
    assert found == pytest.approx(max(accuracies))


GRADUAL = {"epochs": 3, "through": "stem", "unfreeze_every": 1, "source": "here", **QUICK}


@pytest.fixture(scope="module")
def tuned(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("tuned") / "run"
    return out, finetune(pretrained, dataset, out, **GRADUAL)


@pytest.mark.thorough
def test_the_same_fine_tuning_again_does_nothing(tuned, dataset):
    out, result = tuned
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    again = finetune(pretrained, dataset, out, callbacks=[KillAt(0)], **GRADUAL)
    assert again.run.was_finished and again.report == result.report
    assert again.run.metrics == result.run.metrics
    (out / "finetune.json").unlink()  # killed before the last of its files
    again = finetune(pretrained, dataset, out, **GRADUAL)
    assert again.report["phases"][-1] == result.report["phases"][-1]
    assert {path.name for path in out.iterdir()} == before.keys()
    (out / "finetune.json").write_bytes(before["finetune.json"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "elsewhere"}, "another finished fine-tuning: source was 'here' and is 'else"),
        ({"epochs": 4}, "another finished fine-tuning: phases was"),
        ({"layer_decay": 0.5}, "another finished fine-tuning: phases was"),
        ({"batch_size": 4}, "with other arguments: batch_size was 8 and is 4"),
        ({"weight_decay_factors": {"stage2": 2.0}}, "weight_decay_factors was"),
    ],
)
@pytest.mark.thorough
def test_another_fine_tuning_is_refused(tuned, dataset, changes, message):
    out, _ = tuned
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ValueError, match=message):
        finetune(pretrained, dataset, out, **{**GRADUAL, **changes}, resume=False)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.thorough
def test_overwriting_a_fine_tuning_keeps_other_files(tuned, dataset, tmp_path):
    for path in tuned[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "phases" / "notes").mkdir(parents=True)
    result = finetune(pretrained, dataset, tmp_path, **{**GRADUAL, "seed": 1}, overwrite=True)
    assert not result.run.was_finished
    assert json.loads((tmp_path / "finetune.json").read_text()) == result.report
    assert [path.name for path in (tmp_path / "phases").iterdir()] == ["notes"]


@pytest.mark.thorough
def test_one_owner_over_all_phases(dataset, tmp_path):
    from threading import Thread

    refused = []

    class Second(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            def second():
                with pytest.raises(ValueError, match="in which no other training runs") as error:
                    finetune(pretrained, dataset, tmp_path, **options)
                refused.append(error)

            thread = Thread(target=second)
            thread.start()
            thread.join()

    options = {**GRADUAL, "epochs": 2, "through": "stage1"}
    finetune(pretrained, dataset, tmp_path, **options, callbacks=[Second()])
    assert len(refused) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("finetune.json", "{", "finetune.json is not valid JSON"),
        ("finetune.json", "[]", "finetune.json is not a fine-tuning's"),
        ("finetune.json", '{"phases": 1}', "has no list of `phases`"),
        ("run.json", '{"data": ', "run.json is not valid JSON"),
        ("phases/1.json", '{"source"', "1.json is not valid JSON"),
    ],
)
def test_a_damaged_file_is_named(dataset, tmp_path, name, content, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    if name == "finetune.json":
        (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ValueError, match=message):
        finetune(pretrained, dataset, tmp_path, **GRADUAL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer_decay": 0.0}, "`layer_decay` must be above 0 and at most 1"),
        ({"through": "predictions"}, r"`through` must be None or a stage before the head"),
        ({"unfreeze_every": 0}, "`unfreeze_every` must be a positive integer or None"),
        ({"unfreeze_every": 1}, r"`epochs` must leave one for the last of 4 phases.*epochs=2"),
        ({"learning_rate_factors": {}}, "`learning_rate_factors` are made here"),
        ({"strategy": "multi-worker"}, "`strategy` must be of one machine"),
        ({"weight_decay_factors": {"neck": 1.0}}, r"must be by the stages 'stem'.*'neck'"),
    ],
)
def test_wrong_arguments(dataset, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        finetune(pretrained, dataset, tmp_path / "run", **{"epochs": 2, **QUICK, **arguments})
    assert not (tmp_path / "run").exists()


def test_freeze_reaches_what_a_file_has_thawed(tmp_path):
    """Keras's attention, read from a file, says that it is frozen, and its parts aren't."""
    image = keras.Input((5, 4))
    attention = keras.layers.MultiHeadAttention(1, 2, name="stem_attention")
    model = keras.Model(image, keras.layers.Dense(2, name="head")(attention(image, image)))
    freeze(model, "stem")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    freeze(loaded, "stem")
    assert [w.path for w in loaded.trainable_weights] == ["head/kernel", "head/bias"]


def test_frozen_attention_stays_frozen(tmp_path):
    """Of a whole network: saved, loaded, and with more attention put in."""
    model = keras_attn.applications.CIFARResNet(8, attention="cbam", input_shape=(8, 8, 3))
    freeze(model, "stage3")
    assert len(model.trainable_weights) == 2
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.trainable_weights) == 2
    loaded.get_layer("stage3_block1_cbam").trainable = True
    loaded.get_layer("stage3_block1_cbam").channel_gate.trainable = False
    inserted = keras_attn.insert_attention(loaded, "eca", where="stem_relu")
    ours = [w.path for w in inserted.trainable_weights if "eca" not in w.path]
    assert sorted(ours) == sorted(w.path for w in loaded.trainable_weights)
