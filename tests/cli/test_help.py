"""Help texts, examples, and what is said of a wrong command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shlex

import pytest

from keras_attn.cli import COMMANDS, main, make_parser
from keras_attn.cli.deployment import serve
from keras_attn.serving import ServerOptions


def parsers():
    """Name -> parser of each command."""
    [commands] = [a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return commands.choices


@pytest.mark.parametrize("name", parsers())
def test_each_text_is_a_sentence_with_default_and_choices(name):
    for action in parsers()[name]._actions:
        text = action.help
        assert re.match(r"[A-Z\d']|gRPC", text) and text.endswith("."), text
        if action.default not in (None, False, True, "", argparse.SUPPRESS):
            assert "%(default)s" in text or str(action.default) in text, text
        for choice in action.choices or ():
            assert action.metavar is None or str(choice) in text, text


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_an_example_is_a_command_line(command, capsys):
    name = command.__name__.rsplit(".")[-1]
    program, *arguments = shlex.split(command.EXAMPLE.partition(" > ")[0])
    assert (program, arguments[0]) == ("keras-attn", name)
    assert make_parser().parse_args(arguments).run is command.run
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert command.EXAMPLE in capsys.readouterr().out


def test_the_defaults_of_serve_are_the_servers():
    defaults = {field.name: field.default for field in dataclasses.fields(ServerOptions)}
    for name, (_, _, default) in serve.NUMBERS.items():
        assert defaults[name] == default, name


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("trian", "did you mean train?"),
        ("train --modle x", "keras-attn train has no flag --modle; did you mean --model?"),
        ("train --model x --out o --epoch-s 3", "did you mean --epochs?"),
        ("train --model x --out o --optimizer sgdw", "`--optimizer` must be one of sgd, adamw"),
        ("train --model x --epochs many --out o", "`--epochs` must be a whole number"),
        ("train --model x --warmup much --out o", "`--warmup` must be a number"),
        ("train --recipe x --config y --out o", "`--config`: not allowed with argument --recipe"),
        ("models a b", "keras-attn models takes no more arguments. Received: b"),
        ("kit", "--model, --out; see `keras-attn kit --help`"),
    ],
)
def test_a_wrong_command_line(command, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(command.split())
    assert end.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("keras-attn: error: ") and message in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("`resume=False` or `overwrite=True`", "`--restart` or `--overwrite`"),
        ("`image_size` is needed. Received: image_size=None", "Received: --image-size None"),
        ("`name` must be a folder. Received: name='x', none", "`--data` must be a folder"),
        ("`batch_size` is none of `batches`", "`--batch-size` is none of `batches`"),
        ("`keep_best` and `resume=True`", "`--keep-best` and `resume=True`"),
    ],
)
def test_the_librarys_words_become_flags(text, said):
    assert said in parsers()["train"].in_its_words(text)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train --model SEResNt50 --out o", "did you mean se_resnet50 "),
        ("train --recipe digits_se_resnet9 --out o", "did you mean digits_se_resnet8"),
        ("recipes Digits-SE-ResNet9", "did you mean digits_se_resnet8"),
        ("models timm/legcy_senet --weights", "did you mean timm/legacy_senet154.in1k?"),
        ("models se_resnt", "did you mean se_resnet50 "),
        ("models --attention cbma", "did you mean cbam?"),
    ],
)
def test_what_may_have_been_meant(command, message, capsys):
    assert main(command.split()) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["models", "models se_resnet50 --weights", "models --attention", "recipes",
     "recipes digits_se_resnet8"],
)  # fmt: skip
def test_json_alone_is_on_stdout(command, capsys):
    assert main([*command.split(), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) and printed.err == ""


def test_what_is_there_is_replaced_when_asked_to(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in ("recipes digits_se_resnet8 --out out", "models mnasnet --csv out"):
        (tmp_path / "out").write_text("mine")
        assert main(command.split()) == 1
        assert "`--overwrite` replaces it" in capsys.readouterr().err
        assert (tmp_path / "out").read_text() == "mine"
        assert main([*command.split(), "--overwrite"]) == 0
        assert (tmp_path / "out").read_text() != "mine"
    assert (tmp_path / "out").read_text().startswith("name,")
