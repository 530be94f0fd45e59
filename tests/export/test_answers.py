"""Captions and boxes: what `serve_bytes` answers beside classes, by arithmetic and by loaders."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from helpers.answering_models import FILES, PIXELS, WORDS, captioner, detector, encoded
from keras_attn.applications.inputs import find_class_names, find_preprocessing
from keras_attn.export import export_saved_model
from keras_attn.export.checks import comparison
from keras_attn.export.graph.signatures import make_signatures
from keras_attn.images import Preprocessing
from keras_attn.images.graph.pixels import boxes_in_files, decode_with_places


def test_files_give_captions():
    model = captioner()
    writer = model.writer(beam_width=2, greedy=True)
    made, missing = make_signatures(writer, find_preprocessing(writer), find_class_names(writer))
    assert not missing
    answer = made["serve_bytes"].run(tf.constant(FILES))
    for prefix, width in (("", 2), ("greedy_", 1)):
        expected = model.generate(PIXELS.astype("float32"), max_length=4, beam_width=width)
        tokens = answer[prefix + "tokens"]
        assert tokens.dtype == tf.int32
        np.testing.assert_array_equal(tokens, expected["tokens"])
        np.testing.assert_allclose(answer[prefix + "scores"], expected["scores"], rtol=1e-5)
        words = [[WORDS[token].encode() for token in row] for row in expected["tokens"]]
        np.testing.assert_array_equal(answer[prefix + "words"], words)
        sentences = [" ".join(WORDS[token] for token in row if token) for row in expected["tokens"]]
        assert [text.decode() for text in answer[prefix + "captions"].numpy()] == sentences
        assert expected["captions"].tolist() == sentences
    assert len({*answer["captions"].numpy()}) > 1
    looked = made["serve_attention"].run(tf.constant(FILES))
    expected = model.generate(PIXELS.astype("float32"), max_length=4, beam_width=2)["attention"]
    np.testing.assert_allclose(looked["attention_search"], expected, atol=1e-5)
    numbers = made["serving_default"].run(tf.constant(PIXELS, tf.float32))
    assert numbers["tokens"].dtype == tf.int32 and numbers["scores"].dtype == tf.float32
    assert made["serve_bytes"].run(tf.constant([], tf.string))["captions"].shape == (0,)


def test_captions_of_tokens_without_words():
    writer = captioner(None).writer(3)
    made, _ = make_signatures(writer, find_preprocessing(writer), find_class_names(writer))
    answer = made["serve_bytes"].run(tf.constant(FILES))
    for tokens, text in zip(answer["tokens"].numpy(), answer["captions"].numpy(), strict=True):
        assert text.decode() == " ".join(str(token) for token in tokens if token)


def test_the_writer_is_made_once():
    model = captioner()
    assert model.writer() is model.writer(4) is model.writer(4, 1)
    assert model.writer(4, 2) is not model.writer(4)
    before = model.generate(PIXELS.astype("float32"), 4)["scores"]
    model.get_layer("decoder").head.bias.assign([99, 0, 0, 0, 0])
    after = model.generate(PIXELS.astype("float32"), 4)
    assert (before != after["scores"]).all() and not after["tokens"].any()
    assert after["captions"].tolist() == [""] * 3


def test_a_captioner_is_saved_with_its_words(tmp_path):
    model = captioner()
    model.generate(PIXELS.astype("float32"))  # a writer that must not be saved
    model.save(tmp_path / "captioner.keras")
    model.writer(3, 2, greedy=True).save(tmp_path / "writer.keras")
    again = keras.models.load_model(tmp_path / "captioner.keras")
    assert again.words == list(WORDS) and len(again.weights) == len(model.weights)
    writer = keras.models.load_model(tmp_path / "writer.keras")
    expected = model.writer(3, 2, greedy=True)(PIXELS.astype("float32"))
    for name, value in writer(PIXELS.astype("float32")).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        ("[UNK]", *WORDS[1:]),
        WORDS[:4],
        (*WORDS[:4], "big disk"),
        "abcde",
        (*WORDS[:4], ""),
    ],
)
def test_words_that_name_no_tokens(words):
    with pytest.raises(ValueError, match="`words` must be a string for each of 5 tokens"):
        captioner(words)
    with pytest.raises(ValueError, match="`words` must be a string for each of 5 tokens"):
        export_saved_model(captioner(), "nowhere", class_names=words)


def test_a_word_outside_the_vocabulary_is_the_second_token():
    tokens = keras.layers.TextVectorization(
        vocabulary=list(WORDS[2:]), output_sequence_length=4, standardize=None
    )
    assert tokens.get_vocabulary() == list(WORDS)
    np.testing.assert_array_equal(tokens(["red disk", "green disk"]), [[2, 4, 0, 0], [1, 4, 0, 0]])


@pytest.mark.thorough
def test_a_captioner_is_run_by_each_loader(tmp_path):
    model = captioner()
    folder = export_saved_model(model, tmp_path / "captions")
    assert (folder / "assets/labels.txt").read_text().split("\n") == [*WORDS, ""]
    report = json.loads((folder / "assets.extra/export_report.json").read_text())
    outputs = {check["output"] for check in report["checks"] if check["signature"] == "serve_bytes"}
    kinds = ("captions", "words", "tokens", "scores")
    assert outputs == {*kinds, *(f"greedy_{kind}" for kind in kinds)}
    loaded = tf.saved_model.load(folder).signatures["serve_bytes"]
    answer = loaded(image_bytes=tf.constant(FILES[:1]))
    expected = model.generate(PIXELS[:1].astype("float32"), 4, 3)
    np.testing.assert_array_equal(answer["tokens"], expected["tokens"])


def test_other_tokens_are_found(tmp_path, monkeypatch):
    writer = captioner().writer(3)
    preprocessing = find_preprocessing(writer)
    made, _ = make_signatures(writer, preprocessing, WORDS)
    cases = comparison.make_cases(writer, {"serve_bytes": made["serve_bytes"]}, preprocessing)
    found = [dict(case.expected) for case in cases]
    monkeypatch.setattr(comparison, "_check_graph", lambda folder: None)
    monkeypatch.setattr(comparison, "LOADERS", {"mine": lambda folder, feeds: found})
    assert all(record["max_difference"] == 0 for record in comparison.check_saved_model("", cases))
    for name, other in (("tokens", 1), ("captions", b"!")):
        found[0] = {**cases[0].expected, name: cases[0].expected[name] + other}
        with pytest.raises(RuntimeError, match=f"`{name}` of serve_bytes, by mine, must equal"):
            comparison.check_saved_model("", cases)


def test_an_output_that_nothing_tells_is_no_equal_one(monkeypatch):
    """Where a rounding changes every image's tokens, outputs that differ have not been compared."""
    right = {"tokens": np.arange(6).reshape(2, 3), "scores": np.ones((2,), "float32")}
    other = {"tokens": right["tokens"] + 1, "scores": right["scores"] + 0.5}
    moved = {**right, "tokens": right["tokens"][:, ::-1] + 1}

    def case(moved):
        return comparison.Case("serve_bytes", {"x": np.zeros(2)}, right, {"scores": 1e-5}, moved)

    monkeypatch.setattr(comparison, "_check_graph", lambda folder: None)
    monkeypatch.setattr(comparison, "LOADERS", {"mine": lambda folder, feeds: [other] * len(feeds)})
    message = "`tokens` of serve_bytes must equal the model's on one image at least"
    with pytest.raises(RuntimeError, match=message):
        comparison.check_saved_model("", [case(lambda: moved)] * 2)
    steady = {**right, "tokens": np.stack([right["tokens"][0], moved["tokens"][1]])}
    with pytest.raises(RuntimeError, match="`tokens` of serve_bytes, by mine, must equal"):
        comparison.check_saved_model("", [case(lambda: moved), case(lambda: steady)])
    other["tokens"][0], other["scores"][0] = right["tokens"][0], right["scores"][0]
    cases = [case(lambda: moved), case(lambda: steady)]
    records = comparison.check_saved_model("", cases)
    assert [record["images"] for record in records] == [0, 0, 1, 1]


def test_files_give_boxes_in_their_own_pixels():
    """Two quarters of an upright picture, 2 times as wide and 3 times as high as the network's."""
    picture = np.full((36, 32, 3), 0, "uint8")
    picture[:18, 16:, 0] = 255  # a disk, top right
    picture[18:, :16, 1] = 204  # a square, bottom left, less likely
    model = detector()
    made, missing = make_signatures(model, find_preprocessing(model), find_class_names(model))
    assert list(missing) == ["serve_attention"]
    fitted = find_preprocessing(model).fit(picture).astype("float32")
    probabilities = model(fitted[None])["probabilities"].numpy()[0]
    turned = Image.Exif()
    turned[0x112] = 6  # upright once it is turned to the right
    files = [encoded(picture), encoded(np.rot90(picture).copy(), turned), encoded(0 * picture)]
    answer = {name: x.numpy() for name, x in made["serve_bytes"].run(tf.constant(files)).items()}
    for row in range(2):
        np.testing.assert_allclose(
            answer["boxes"][row, :3], [[16, 0, 16, 18], [0, 18, 16, 18], [0] * 4], atol=1e-4
        )
        scores = [probabilities[1, 0], probabilities[2, 1], 0]
        np.testing.assert_allclose(answer["scores"][row, :3], scores, atol=5e-3)  # a level of 255
        assert answer["classes"][row].tolist() == [0, 1] + [-1] * 5
        assert answer["labels"][row].tolist() == [b"disk", b"square"] + [b""] * 5
    assert not answer["boxes"][2].any() and (answer["classes"][2] == -1).all()
    raw = made["serving_default"].run(tf.constant(PIXELS, tf.float32))
    assert raw["boxes"].shape == (3, 4, 4) and raw["probabilities"].shape == (3, 4, 2)
    empty = made["serve_bytes"].run(tf.constant([], tf.string))
    assert empty["boxes"].shape == (0, 7, 4)


def test_boxes_of_a_cropped_picture():
    """Resized to 8 x 16 and cut to its middle 8 x 8: what is outside of the picture is cut off."""
    how = Preprocessing((8, 8), crop=1.0)
    pixels, places = decode_with_places(
        how, tf.constant([encoded(np.zeros((4, 8, 3), "uint8"))]), 3
    )
    assert pixels.shape == (1, 8, 8, 3)
    boxes = boxes_in_files(tf.constant([[[0.0, 0, 8, 8], [2, 4, 2, 2], [-9, -9, 99, 99]]]), places)
    np.testing.assert_allclose(boxes[0], [[2, 0, 4, 4], [3, 2, 1, 1], [0, 0, 8, 4]], atol=1e-6)


@pytest.mark.thorough
def test_a_detector_is_run_by_each_loader(tmp_path):
    folder = export_saved_model(detector(), tmp_path / "shapes")
    report = json.loads((folder / "assets.extra/export_report.json").read_text())
    outputs = {check["output"] for check in report["checks"] if check["signature"] == "serve_bytes"}
    assert outputs == {"boxes", "scores", "classes", "labels"}
