"""Run by `make test-wheel`: the wheel alone, in an empty environment, from another folder.

Builds it, installs it with the extra `all`, and there imports every module, compares the surface
with the checkout's, runs the stand-alone client's help and the demo end to end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SURFACE = """
import importlib, json, pkgutil
import keras_attn
modules = {}
for info in pkgutil.walk_packages(keras_attn.__path__, "keras_attn."):
    if info.name.endswith(("__main__", "backend.jax", "backend.torch")):
        continue  # it runs the command line, or needs another backend
    module = importlib.import_module(info.name)
    modules[info.name] = sorted(name for name in vars(module) if not name.startswith("_"))
print(json.dumps({"file": keras_attn.__file__, "modules": modules}))
"""

DATA = """
import keras_attn
keras_attn.applications.CIFARResNet(20, weights="cifar10")
keras_attn.applications.CIFARResNet(20, attention="se", weights="cifar10")
keras_attn.applications.CIFARResNet(20, attention="aa", weights="cifar10")
keras_attn.applications.ResidualAttentionCIFAR(56, weights="cifar10")
"""


def run(*command: str | Path, cwd: Path) -> str:
    print("$", *command[:4], "..." if len(command) > 4 else "", flush=True)
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        sys.exit(f"failed with exit code {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "dist", ROOT, cwd=folder)
        [wheel] = (folder / "dist").glob("*.whl")
        print(f"built {wheel.name}, {wheel.stat().st_size / 1024:.0f} KiB")
        venv.create(folder / "env", with_pip=True)
        python = folder / "env" / "bin" / "python"
        quiet = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(python, *quiet, f"{wheel}[all]", cwd=folder)

        installed = json.loads(run(python, "-c", SURFACE, cwd=folder).splitlines()[-1])
        if not installed["file"].startswith(str(folder)):
            sys.exit(f"imported {installed['file']}, which is not the wheel's")
        checkout = json.loads(run(sys.executable, "-c", SURFACE, cwd=ROOT).splitlines()[-1])
        if installed["modules"] != checkout["modules"]:
            missing = {
                key: sorted(set(names) - set(installed["modules"].get(key, ())))
                for key, names in checkout["modules"].items()
                if names != installed["modules"].get(key)
            }
            sys.exit(f"the wheel's surface is not the checkout's: {missing}")
        print(f"{len(installed['modules'])} modules import, the surface is the checkout's")

        client = folder / "env/lib/python3.11/site-packages/keras_attn/serving/clients/client.py"
        run(python, "-I", client, "--help", cwd=folder)
        print(run(folder / "env/bin/keras-attn", "models", cwd=folder).splitlines()[0])
        run(python, "-c", DATA, cwd=folder)
        print(run(python, "-m", "keras_attn.cli", "demo", "--epochs", "8", cwd=folder))
        accuracy = json.loads((folder / "demo/run/run.json").read_text())["metrics"]["accuracy"]
        if accuracy < 0.9:
            sys.exit(f"the demo's network reached only {accuracy:.1%}")
        kit = ("kit", "--model", "demo/served/digits", "--out", "kit")
        print(run(folder / "env/bin/keras-attn", *kit, cwd=folder))
    print("the wheel works")


if __name__ == "__main__":
    main()
