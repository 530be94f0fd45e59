"""TF Serving's own tensorflow_model_server_test.py, run on `keras-attn tensorflow_model_server`.

    git clone https://github.com/tensorflow/serving FOLDER
    python tests/programs/tensorflow_serving_suite.py FOLDER [PATTERN ...]

It takes minutes and is no part of the suites here: its files are TF Serving's. Each test runs in a
process of its own, because they share a Unix socket, and prints its verdict and why it failed.
It ends with 1 where one fails that KNOWN does not name.

PATTERNs choose tests by parts of their names. Models whose binary files the folder lacks are made
by its own generators. `portpicker`, which its helper imports, is stood in for where it is missing.
Two tests save models of Keras 2, and run on it where the package tf-keras is there.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVERS = "tensorflow_serving/model_servers"
TESTDATA = "tensorflow_serving/servables/tensorflow/testdata"
HAS_KERAS_2 = importlib.util.find_spec("tf_keras") is not None
KNOWN = {
    "testPredictOnTfLite": "no model.tflite is served",
    "testPredictWithSignatureDefOnTfLite": "no model.tflite is served",
    "test_profiler_service_with_valid_trace_request": "there is no profiler service",
    "test_tf_text": "it reads `flags.os`, which TensorFlow no longer has",
}
if not HAS_KERAS_2:
    for kind in ("sequential_keras", "distrat_sequential_keras"):
        KNOWN[f"test_{kind}_saved_model_save"] = "Keras 3 names the input `inputs`, not `x`"
SECONDS = 240  # one that hears no answer asks 60 times
PORTPICKER = """
import socket
def pick_unused_port():
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]
"""
SERVER = """#!/bin/sh
exec {python} -m keras_attn.cli tensorflow_model_server "$@"
"""
RUNNER = """
import importlib.util, os, sys, types
import tensorflow.compat.v1 as tf
import tensorflow_serving
folder = sys.argv.pop(1)
tensorflow_serving.__path__.append(os.path.join(folder, "tensorflow_serving"))
tf.enable_eager_execution()
path = os.path.join(folder, "{servers}", "tensorflow_model_server_test.py")
spec = importlib.util.spec_from_file_location("__suite__", path)
module = importlib.util.module_from_spec(spec)
sys.modules["__main__"] = sys.modules["__suite__"] = module
spec.loader.exec_module(module)
tf.test.main()
"""


def prepare(folder, work):
    """Lays the files out as Bazel does, and writes what stands in for its binary."""
    sources = work / "tf_serving"
    sources.symlink_to(folder, target_is_directory=True)
    binary = folder / SERVERS / "tensorflow_model_server"
    binary.write_text(SERVER.format(python=sys.executable))
    binary.chmod(0o755)
    (work / "portpicker.py").write_text(PORTPICKER)
    (work / "runner.py").write_text(RUNNER.format(servers=SERVERS))
    if not (folder / TESTDATA / "saved_model_half_plus_two_cpu").is_dir():
        for name in ("saved_model_half_plus_two", "saved_model_half_plus_three"):
            script = folder / TESTDATA / f"{name}.py"
            if script.exists():
                subprocess.run([sys.executable, str(script)], check=True, cwd=work)


def names_of(folder):
    text = (folder / SERVERS / "tensorflow_model_server_test.py").read_text()
    return re.findall(r"^  def (test\w+)\(", text, re.MULTILINE)


def run(name, folder, work):
    """Returns the verdict, and of a failure the last line that says why."""
    environment = {
        **os.environ,
        "TEST_SRCDIR": str(work),
        "TEST_TMPDIR": tempfile.mkdtemp(dir=work),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_USE_LEGACY_KERAS": str(int(HAS_KERAS_2)),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(work), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, str(work / "runner.py"), str(folder)]
    process = subprocess.Popen(
        [*command, f"TensorflowModelServerTest.{name}"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # it and the servers that it started
        output, _ = process.communicate()
        return "failed", f"no end after {SECONDS} s"
    (work / f"{name}.log").write_text(output)
    if process.returncode == 0:
        return "passed", ""
    reasons = re.findall(r"^(?:\S*(?:Error|Exception)\b.*|\s*details = .*)$", output, re.MULTILINE)
    return "failed", (reasons or output.strip().splitlines() or ["no output"])[-1].strip()


def main(folder, *patterns):
    folder = pathlib.Path(folder).resolve()
    names = [n for n in names_of(folder) if not patterns or any(p in n for p in patterns)]
    found = {"passed": 0, "known": 0, "failed": 0}
    with tempfile.TemporaryDirectory() as work:
        prepare(folder, pathlib.Path(work))
        for name in names:
            verdict, reason = run(name, folder, pathlib.Path(work))
            if verdict == "failed" and name in KNOWN:
                verdict, reason = "known", f"{KNOWN[name]}: {reason}"
            found[verdict] += 1
            print(f"{verdict}  {name}  {reason}", flush=True)
    print(
        f"{found['passed']} of {len(names)} passed, {found['known']} fail for known reasons, "
        f"{found['failed']} for others"
    )
    return found["failed"] > 0 or not names


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
