"""Asynchronous training by four real processes: a chief, two workers, a parameter server."""

import csv

import pytest

from benchmarks.reliability.training_process import Training, free_ports
from helpers.training import QUICK, build_model, make_dataset, sure_model
from keras_attn.training import TrainingConfig, evaluate, get_strategy, train
from keras_attn.training.placement.asynchronous import evaluate_here
from keras_attn.training.placement.strategies.parameter_server import (
    check_asynchronous,
    is_server,
)
from keras_attn.training.placement.strategy import place


@pytest.mark.slow
@pytest.mark.parametrize(
    ("augment", "falls_to"),
    [(("crop",), 0.9), (("crop", "mixup", "cutmix"), 1.0)],  # mixed labels keep a loss high
)
def test_chief_workers_and_server(augment, falls_to, tmp_path):
    out = tmp_path / "run"
    chief, *workers, server = (f"localhost:{port}" for port in free_ports(4))
    cluster = {"chief": [chief], "worker": workers, "ps": [server]}
    tasks = [("worker", 0), ("worker", 1), ("ps", 0), ("chief", 0)]
    processes = [
        Training(
            out, "--strategy", "parameter-server", "--limit", "1024", "--evaluate-every", "1",
            "--augment", *augment,
            tf_config={"cluster": cluster, "task": {"type": kind, "index": index}}, ema=None,
        )
        for kind, index in tasks
    ]  # fmt: skip
    texts = [process.finish() for process in reversed(processes)]
    assert processes[-1].returncode == 0, texts[0]
    # The others end by themselves, when the chief is gone.
    assert [process.returncode for process in processes[:-1]] == [0, 0, 0], texts
    with open(out / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert float(rows[-1]["loss"]) < falls_to * float(rows[0]["loss"])
    assert {"val_accuracy", "val_loss"} <= rows[-1].keys()


def test_the_chief_s_loss_is_keras_s():
    dataset, network = make_dataset(), sure_model()
    batches = place("one-device").validation_batches(dataset, 4)
    found = evaluate_here(network, batches)
    assert found["loss"] > 100
    assert found == pytest.approx(evaluate(network, dataset), rel=1e-6)


def test_what_a_cluster_needs(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1"]}}')
    with pytest.raises(ValueError, match="must have a chief, a worker and a ps.*Received: worker"):
        get_strategy("parameter-server")
    monkeypatch.setenv(
        "TF_CONFIG",
        '{"cluster": {"chief": ["a:1"], "worker": ["b:1"], "ps": ["c:1"]}, '
        '"task": {"type": "ps", "index": 0}}',
    )
    assert is_server()
    with pytest.raises(ValueError, match="must name this process the chief.*task type 'ps'"):
        get_strategy("parameter-server")
    monkeypatch.delenv("TF_CONFIG")
    with pytest.raises(ValueError, match="Received: no cluster"):
        train(build_model, make_dataset(), "nowhere", **QUICK, strategy="parameter-server")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ema": 0.9}, "`ema` must be None with parameter servers.*ema=0.9"),
        ({"accumulation_steps": 2}, "`accumulation_steps` must be 1"),
        ({"synchronized": True}, "`synchronized` must be False"),
        ({"mixed_precision": "float16"}, "`mixed_precision` must be 'bfloat16' or None"),
        ({"augment": ("crop", "randaugment")}, "`augment` must be without randaugment"),
    ],
)
def test_what_workers_that_race_can_not_do(changes, message):
    check_asynchronous(TrainingConfig(epochs=3, batch_size=7, augment=("mixup", "cutmix")))
    with pytest.raises(ValueError, match=message):
        check_asynchronous(TrainingConfig(epochs=3, batch_size=7, **changes))
