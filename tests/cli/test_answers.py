"""`keras-attn predict --server` of models that give captions, boxes or masks: printed and drawn."""

from __future__ import annotations

import argparse
import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from keras_attn.cli.inspection import answered

ANSWERS = {
    "captions": {
        "captions": "red disk",
        "words": ["red", "disk", ""],
        "tokens": [2, 4, 0],
        "scores": -0.5,
        "image": np.zeros((6, 8, 3)).tolist(),
        "attention_search": np.full((3, 2, 2), 0.25).tolist(),
    },
    "boxes": {
        "boxes": [[1, 2, 3, 4], [0, 0, 0, 0]],
        "scores": [0.75, 0.0],
        "classes": [1, -1],
        "labels": ["square", ""],
    },
}


class Client:
    """Answers as a server does."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def classify(self, url, images, signature_name="serve_bytes"):
        self.asked.append(signature_name)
        return [self.answer for _ in images]


@pytest.fixture
def files(tmp_path):
    path = tmp_path / "scene.png"
    Image.new("RGB", (8, 6), (200, 10, 10)).save(path)
    return [str(path)]


def mask_answer():
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 0], [0, 2]], "uint8")).save(file, format="PNG")
    return {"b64": base64.b64encode(file.getvalue()).decode()}  # of one output REST gives that


def ask(form, answer, files, **options):
    args = argparse.Namespace(files=files, json=False, draw=None)
    vars(args).update(options)
    client = Client(answer)
    answered.report(client, "url", form, {"serve_attention": {}}, args)
    return client.asked


def test_what_a_signature_answers():
    def of(*names):
        return {"serve_bytes": {"outputs": dict.fromkeys(names)}}

    assert answered.form_of(of("captions", "scores"), "serve_bytes") == "captions"
    assert answered.form_of(of("boxes", "labels", "scores"), "serve_bytes") == "boxes"
    assert answered.form_of(of("mask_bytes"), "serve_bytes") == "mask_bytes"
    assert answered.form_of(of("labels", "scores"), "serve_bytes") is None
    assert answered.form_of({}, "serve_bytes") is None


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ("captions", ["red disk", "-0.500"]),
        ("boxes", ["square", "0.75", "1.0, 2.0, 3.0, 4.0"]),
        ("mask_bytes", ["0 75.00%, 2 25.00%"]),
    ],
)
def test_it_is_printed(form, lines, files, capsys):
    assert ask(form, ANSWERS.get(form) or mask_answer(), files) == ["serve_bytes"]
    printed = capsys.readouterr().out
    assert files[0] in printed and all(line in printed for line in lines)


def test_it_is_printed_as_json(files, capsys):
    ask("boxes", ANSWERS["boxes"], files, json=True)
    [row] = json.loads(capsys.readouterr().out)
    assert row["boxes"] == [{"class": "square", "score": 0.75, "box": [1, 2, 3, 4]}]


@pytest.mark.parametrize("form", ["captions", "boxes", "mask_bytes"])
def test_it_is_drawn(form, files, tmp_path, capsys):
    out = tmp_path / "answer.png"
    asked = ask(form, ANSWERS.get(form) or mask_answer(), files, draw=str(out))
    assert asked == ["serve_attention" if form == "captions" else "serve_bytes"]
    with Image.open(out) as picture:
        assert min(picture.size) > 200


def test_captions_of_a_model_that_does_not_say_where_it_looks(files, tmp_path):
    answer = {"captions": "red", "words": ["red"], "scores": -1.0}
    with pytest.raises(ValueError, match="`--draw` needs a model whose `serve_attention`"):
        ask("captions", answer, files, draw=str(tmp_path / "answer.png"))


def test_no_boxes_at_all(files, capsys):
    none = {"boxes": [[0] * 4], "scores": [0.0], "classes": [-1], "labels": [""]}
    ask("boxes", none, files)
    assert "Error" not in capsys.readouterr().out
