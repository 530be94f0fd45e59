"""What TF Serving's C++ tests of its REST and gRPC interfaces assert, asked of ours.

    git clone https://github.com/tensorflow/serving FOLDER
    python tests/programs/tensorflow_serving_assertions.py FOLDER

The tests are read from FOLDER as they are and run by `cpp_tests`, with our functions and servers
under the names of theirs. FILES are those that ask over the wire, or of what is between the wire
and the model. An assertion that needs what has no counterpart here, such as their threads, is
counted as not asked. It ends with 1 where one departs that KNOWN does not name, where one that
KNOWN names does not, and where a file asserts nothing.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from cpp_tests import googletest, meanings, syntax
from cpp_tests.servers import Core

from keras_attn.serving import ServerOptions, start_server

DEPTH = "500,000 brackets: JSON that is nested deeper than Python reads is refused"
# A test -> how many of its assertions depart, and why.
KNOWN = {
    "JsontensorTest.DeeplyNestedWellFormed": (2, DEPTH),
    "JsontensorTest.DeeplyNestedMalformed": (1, f"{DEPTH}, with a text of its own"),
}
SERVABLES = "tensorflow_serving/servables/tensorflow"
LINE = f"{SERVABLES}/testdata/saved_model_half_plus_two_2_versions"
LINE_OF_TF2 = f"{SERVABLES}/testdata/saved_model_half_plus_two_tf2_cpu"
COUNTER = f"{SERVABLES}/testdata/saved_model_counter"


class Model(NamedTuple):
    """A model that a file's tests ask.

    Args:
        server: Name that the tests have for its server; with `()` where that is a function.
        folder: Folder of the model, in TF Serving's repository.
        versions: Those of it that are served.
        label: The constant that is the label of the first of them.
        kind: Type for which the file's tests ask this model; default: all.
    """

    server: str
    folder: str = LINE
    versions: tuple[int, ...] = (123,)
    label: str = ""
    kind: str = ""


FILES: dict[str, list[Model]] = {
    "tensorflow_serving/util/json_tensor_test.cc": [],
    "tensorflow_serving/model_servers/http_rest_api_util_test.cc": [],
    "tensorflow_serving/model_servers/http_rest_api_handler_test.cc": [
        Model("handler_", label="kTestModelVersionLabel")
    ],
    "tensorflow_serving/model_servers/get_model_status_impl_test.cc": [
        Model("GetServerCore()", versions=(123, 124))
    ],
    f"{SERVABLES}/predict_impl_test.cc": [
        Model("GetServerCore()"),
        Model("GetServerCoreWithCounterModel()", COUNTER),
    ],
    f"{SERVABLES}/get_model_metadata_impl_test.cc": [Model("GetServerCore()")],
    f"{SERVABLES}/classification_service_test.cc": [Model("server_core_")],
    f"{SERVABLES}/regression_service_test.cc": [Model("server_core_")],
    f"{SERVABLES}/multi_inference_test.cc": [
        Model("this", kind="tf1_model_t"),
        Model("this", LINE_OF_TF2, kind="tf2_model_t"),
    ],
}
TYPES = ("ClassificationRequest", "RegressionRequest")  # of typed tests


def start(model: Model, folder: pathlib.Path, known: dict[str, Any]) -> Any:
    """Serves a model under the name and the label that the file has for it."""
    label = ""
    if model.label:
        label = f'version_labels {{ key: "{known[model.label]}" value: {model.versions[0]} }}'
    config = f"""
        model_config_list {{ config {{
            name: "{known["kTestModelName"]}"
            base_path: "{folder / model.folder}"
            model_platform: "tensorflow"
            model_version_policy {{ specific {{ versions: {list(model.versions)} }} }}
            {label}
        }} }}
    """
    options = ServerOptions(allow_version_labels_for_unavailable_models=True)
    with tempfile.NamedTemporaryFile("w", suffix=".config") as file:
        file.write(config)
        file.flush()
        return start_server(model_config_file=file.name, options=options)


def outcomes(path: str, folder: pathlib.Path) -> Iterator[googletest.Outcome]:
    """Asks what one file's tests ask."""
    tokens = syntax.tokenize((folder / path).read_text())
    known = meanings.names(folder) | googletest.constants(tokens)
    known["PopulateTask"] = functools.partial(
        meanings.populate_task, known.get("kTestModelName", "")
    )
    of_kind: dict[str, dict[str, Any]] = {kind: {"TypeParam": known[kind]} for kind in TYPES}
    with contextlib.ExitStack() as servers:
        for model in FILES[path]:
            core = Core(servers.enter_context(start(model, folder, known)))
            servers.enter_context(core.channel)
            name = model.server.removesuffix("()")
            of_kind.setdefault(model.kind, {})[name] = core if name == model.server else core.get
        kinds = [model.kind for model in FILES[path] if model.kind] or TYPES
        for name, typed, body in googletest.bodies(tokens):
            for kind in kinds if typed else [""]:
                full = f"{name}<{kind}>" if typed else name
                names = known | of_kind.get(kind, {})
                yield from googletest.run(full, body, names, meanings.FIXTURES)


def main(folder: str) -> bool:
    """Prints a table and the reasons; returns whether something is new."""
    found = {path: list(outcomes(path, pathlib.Path(folder).resolve())) for path in FILES}
    everything = [outcome for one in found.values() for outcome in one]
    print("asserted  holds  departs  not asked  file")
    for path, ours in [*found.items(), ("all", everything)]:
        count = collections.Counter(outcome.verdict for outcome in ours)
        numbers = f"{count['holds']:5}  {count['departs']:7}  {count['not asked']:9}"
        print(f"{len(ours):8}  {numbers}  {path}")
    reasons = collections.Counter(one for one in everything if one.verdict != "holds")
    for one, times in sorted(reasons.items(), key=lambda item: item[0].verdict):
        print(f"{one.verdict}  {times} of {one.test}: {one.why[:200]}")
    for test, (times, why) in KNOWN.items():
        print(f"known  {times} of {test}: {why}")
    departing = collections.Counter(one.test for one in everything if one.verdict == "departs")
    new = departing != {test: times for test, (times, _) in KNOWN.items()}
    empty = [path for path, ours in found.items() if not ours]
    print(f"new: {'yes' if new else 'nothing'}; files without an assertion: {len(empty)}")
    return new or bool(empty)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
