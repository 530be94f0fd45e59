"""From a folder of anything to an answer, with no option but the folder."""

import csv
import io
import json

import pytest

from helpers.photos import CLASSES, make_photos
from keras_attn.cli import main

BROKEN = "stripes/00.jpg"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("here") / "photos")


@pytest.fixture
def here(photos, tmp_path, monkeypatch):
    """An empty folder, and the photos beside it."""
    monkeypatch.chdir(tmp_path)
    return photos


def said(capsys):
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_all_that_cannot_be_read_is_said_before_anything_is_done(here, tmp_path, capsys):
    assert main(["train", "--data", str(here)]) == 1
    out, err = said(capsys)
    assert f"`--skip-unreadable` leaves out those that can't. Received: --data '{here}'" in err
    assert BROKEN in err and out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_what_was_found_and_chosen_is_said(here, tmp_path, capsys):
    command = ["train", "--data", str(here), "--skip-unreadable", "--epochs", "1", "--quiet"]
    assert main([*command[:-1], "--limit", "24", "--no-plots"]) == 0
    out, err = said(capsys)
    for line in (
        f"read {here}: 36 images, 3 classes, 24 to train on, 12 held out",
        "1 file passed over as no images: 1 .txt",
        f"1 file left out as unreadable: {BROKEN}",
        "images of 32 x 32, what the network usually takes",
        "chosen for 24 images: --batch-size 8 --learning-rate 0.025 --augment crop flip",
    ):
        assert line in err
    run = tmp_path / "runs" / f"se_resnet20_cifar-{here.name}"
    assert json.loads((run / "run.json").read_text())["arguments"]["batch_size"] == 8
    assert main(["evaluate", str(run), "--json"]) == 0  # leaves out the same file
    assert json.loads(said(capsys)[0])["images"] == 12


def predicted(run, photos, capsys):
    """The most probable class of each file in the folder of the dots."""
    capsys.readouterr()
    assert main(["predict", "--model", run, str(photos / "dots"), "--csv", "--top", "1"]) == 0
    rows = list(csv.DictReader(io.StringIO(said(capsys)[0])))
    assert len(rows) == 20
    return [row["class"] for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_fine_tuning_learns_sixty_photos(here, tmp_path, capsys, seed):
    command = ["finetune", "--weights", "cifar10", "--data", str(here), "--skip-unreadable"]
    assert main([*command, "--seed", str(seed), "--quiet"]) == 0
    run = tmp_path / "runs" / f"se_resnet20_cifar-tuned-{here.name}"
    record = json.loads((run / "run.json").read_text())
    assert record["data"]["class_names"] == list(CLASSES)
    assert record["metrics"]["accuracy"] >= 0.9  # 1.0 when it was written
    assert predicted(str(run), here, capsys).count("dots") >= 18


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_training_from_nothing_learns_sixty_photos(here, tmp_path, capsys, seed):
    command = ["train", "--data", str(here), "--skip-unreadable", "--seed", str(seed), "--quiet"]
    assert main(command) == 0
    run = tmp_path / "runs" / f"se_resnet20_cifar-{here.name}"
    assert json.loads((run / "run.json").read_text())["metrics"]["accuracy"] >= 0.75  # 1.0
    assert predicted(str(run), here, capsys).count("dots") >= 15


def test_several_images_of_which_one_is_broken(here, capsys):
    images = [str(here / "stripes/*.jpg"), str(here / "dots/00.png")]
    assert main(["predict", "--model", "cifar10", *images, "--json", "--top", "2"]) == 1
    out, err = said(capsys)
    answers = json.loads(out)
    assert len(answers) == 20 and all(len(each["classes"]) == 2 for each in answers)
    assert f"warning: left out: {here / BROKEN} (image file is truncated" in err
    assert err.count("left out") == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [("none*.png", "which has none"), ("folder", "which has none"), ("a.png", "is not there")],
)
def test_no_images(tmp_path, monkeypatch, capsys, image, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert main(["predict", "--model", "cifar10", image]) == 1
    err = said(capsys)[1]
    assert "`IMAGE` must be" in err and message in err
