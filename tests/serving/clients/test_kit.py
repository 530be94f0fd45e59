"""The kit: each file against the schema or the proto of its format, and the clients as programs."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from helpers.paths import TESTS
from keras_attn.cli import main
from keras_attn.serving import kit as kit_package
from keras_attn.serving.kit import write_kit
from keras_attn.serving.protos import BatchingParameters, MonitoringConfig

SCHEMAS = TESTS / "schemas"
CLIENTS = Path(kit_package.__file__).parent.parent / "clients"
KUBERNETES = ["autoscaler", "configmap", "deployment", "disruption_budget", "service"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    base = tmp_path_factory.mktemp("m") / "My_net"
    for version in ("3", "7", "12"):
        (base / version).mkdir(parents=True)
    return base


@pytest.fixture(scope="module")
def kit(model, tmp_path_factory):
    return write_kit(model, tmp_path_factory.mktemp("k") / "kit", cores=6, claim="disk")


def schema(name, *, strict=True):
    """With unknown names refused, as a server does that is asked to be strict."""

    def closed(value):
        if isinstance(value, dict):
            value = {key: closed(each) for key, each in value.items()}
            if "properties" in value and not value.get("x-kubernetes-preserve-unknown-fields"):
                value.setdefault("additionalProperties", False)
        return [closed(each) for each in value] if isinstance(value, list) else value

    loaded = json.loads((SCHEMAS / f"{name}.json").read_text())
    return closed(loaded) if strict else loaded


def read(path):
    return yaml.safe_load(path.read_text())


def test_what_is_in_it(kit):
    found = sorted(str(path.relative_to(kit)) for path in kit.rglob("*") if path.is_file())
    assert found == sorted(
        [".env", "README.md", "batching_parameters.txt", "client.py", "docker-compose.yml",
         "grpc_client.py", "kserve/inference_service.yaml", "kserve/runtime.yaml", "load.py",
         "models.config", "monitoring.config", "prometheus.yml"]
        + [f"kubernetes/{name}.yaml" for name in KUBERNETES]
    )  # fmt: skip
    for path in kit.rglob("*"):
        if path.is_file() and path.suffix != ".py":
            assert "@{" not in path.read_text(), path


def test_models_config(kit):
    config = text_format.Parse(
        (kit / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    [entry] = config.model_config_list.config
    assert (entry.name, entry.base_path) == ("My_net", "/models/My_net")
    assert list(entry.model_version_policy.specific.versions) == [7, 12]
    assert dict(entry.version_labels) == {"stable": 7, "canary": 12}


def test_one_version_is_stable(tmp_path):
    (tmp_path / "net" / "4").mkdir(parents=True)
    text = (write_kit(tmp_path / "net", tmp_path / "kit") / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    assert dict(config.model_config_list.config[0].version_labels) == {"stable": 4}


def test_batching_and_monitoring(kit):
    batching = text_format.Parse(
        (kit / "batching_parameters.txt").read_text(), BatchingParameters()
    )
    assert batching.allowed_batch_sizes[-1] == batching.max_batch_size.value
    assert list(batching.allowed_batch_sizes) == sorted(batching.allowed_batch_sizes)
    assert batching.num_batch_threads.value == 6
    monitoring = text_format.Parse((kit / "monitoring.config").read_text(), MonitoringConfig())
    scrape = read(kit / "prometheus.yml")["scrape_configs"][0]
    assert monitoring.prometheus_config.path == scrape["metrics_path"]


def test_compose(kit):
    compose = read(kit / "docker-compose.yml")
    known = jsonschema.Draft7Validator(schema("compose", strict=False))  # it is strict itself
    known.validate(compose)
    variables = dict(line.split("=") for line in (kit / ".env").read_text().splitlines()[2:])
    assert variables["COMPOSE_PROFILES"] == "cpu"
    for service in compose["services"].values():
        assert service["image"].strip("${}") in variables
    compose["services"]["prometheus"]["volume"] = []
    with pytest.raises(jsonschema.ValidationError, match="^'volume' does not match"):
        known.validate(compose)


@pytest.mark.parametrize("name", KUBERNETES)
def test_kubernetes(kit, name):
    resource = read(kit / "kubernetes" / f"{name}.yaml")
    kubernetes_validate.validate(resource, "1.33", strict=True)
    assert resource["metadata"]["name"] == "my-net"
    resource["spec" if "spec" in resource else "metadata"]["replikas"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(resource, "1.33", strict=True)


def test_kubernetes_files_agree(kit):
    files = {name: read(kit / "kubernetes" / f"{name}.yaml") for name in KUBERNETES}
    data = files["configmap"]["data"]
    for name in ("models.config", "batching_parameters.txt", "monitoring.config"):
        assert data[name] == (kit / name).read_text()
    pod = files["deployment"]["spec"]["template"]
    assert pod["metadata"]["labels"].items() >= files["service"]["spec"]["selector"].items()
    ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in files["service"]["spec"]["ports"]} <= ports
    assert pod["spec"]["volumes"][0]["configMap"]["name"] == files["configmap"]["metadata"]["name"]
    target = files["autoscaler"]["spec"]["scaleTargetRef"]
    assert target["name"] == files["deployment"]["metadata"]["name"]


@pytest.mark.parametrize(
    ("file", "kind"),
    [("runtime", "clusterservingruntimes"), ("inference_service", "inferenceservices")],
)
def test_kserve(kit, file, kind):
    resource = read(kit / "kserve" / f"{file}.yaml")
    jsonschema.validate(resource["spec"], schema(kind))
    part = resource["spec"].get("predictor", resource["spec"])
    part["minReplica"] = 1
    with pytest.raises(jsonschema.ValidationError, match="minReplica"):
        jsonschema.validate(resource["spec"], schema(kind))


def test_kserve_names_its_runtime(kit):
    runtime = read(kit / "kserve" / "runtime.yaml")
    service = read(kit / "kserve" / "inference_service.yaml")["spec"]["predictor"]["model"]
    assert service["runtime"] == runtime["metadata"]["name"]
    assert service["modelFormat"]["name"] == runtime["spec"]["supportedModelFormats"][0]["name"]


def test_the_health_check_asks_what_it_says(kit):
    """The command of both files, against a socket that answers as TF Serving does."""
    import socket
    import threading

    probe = read(kit / "kubernetes" / "deployment.yaml")["spec"]["template"]["spec"]
    command = probe["containers"][0]["readinessProbe"]["exec"]["command"]
    compose = read(kit / "docker-compose.yml")["services"]["serving-cpu"]["healthcheck"]["test"]
    assert compose == ["CMD", *command]

    def check(state):
        with socket.create_server(("127.0.0.1", 0)) as server:
            asked = []

            def answer():
                connection, _ = server.accept()
                with connection:
                    while b"\r\n\r\n" not in b"".join(asked):
                        asked.append(connection.recv(1000))
                    connection.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"state": "%s"}' % state)

            thread = threading.Thread(target=answer)
            thread.start()
            port = server.getsockname()[1]
            done = subprocess.run([part.replace("8501", str(port)) for part in command], timeout=20)
            thread.join()
        assert b"".join(asked) == b"GET /v1/models/My_net HTTP/1.0\r\n\r\n"
        return done.returncode

    assert check(b"AVAILABLE") == 0
    assert check(b"LOADING") == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "nothing"}, FileNotFoundError, "`model` must be a base folder with versions"),
        ({"name": "a b"}, ValueError, "`name` must be of letters"),
        ({"claim": "Disk"}, ValueError, "`claim` must be a name of Kubernetes"),
        ({"image": "a b"}, ValueError, "`image` must be a container image"),
        ({"cores": 0}, ValueError, "`cores` must be a positive integer"),
    ],
)
def test_wrong_arguments(model, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        write_kit(**{"model": model, "out": tmp_path / "kit", **arguments})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("2024", "model-2024"),
        ("3-digits", "model-3-digits"),
        ("true", "true"),
        ("n" * 70, "n" * 40),
    ],
)
def test_names_that_kubernetes_takes(model, tmp_path, name, resource):
    kit = write_kit(model, tmp_path / "kit", name=name)
    for file in KUBERNETES:
        found = read(kit / "kubernetes" / f"{file}.yaml")
        kubernetes_validate.validate(found, "1.33", strict=True)
        assert found["metadata"]["name"] == resource


def test_nothing_is_overwritten(model, tmp_path, capsys):
    assert main(["kit", "--model", str(model), "--out", str(tmp_path / "kit")]) == 0
    assert "README.md" in capsys.readouterr().out
    (tmp_path / "kit" / "models.config").write_text("mine")
    assert main(["kit", "--model", str(model), "--out", str(tmp_path / "kit")]) == 1
    assert "`--overwrite` replaces the kit that is there" in capsys.readouterr().err
    assert (tmp_path / "kit" / "models.config").read_text() == "mine"
    command = ["kit", "--model", str(model), "--out", str(tmp_path / "kit"), "--overwrite"]
    assert main(command) == 0
    assert (tmp_path / "kit" / "models.config").read_text() != "mine"
    assert [path.name for path in tmp_path.iterdir() if "kit" in path.name] == ["kit"]
    (tmp_path / "kit" / "client.py").unlink()  # no kit any more: somebody's folder
    assert main(command) == 1
    assert "`--out` must be a new folder, or empty" in capsys.readouterr().err


def test_the_guides_commands_exist(kit):
    """Each program that README.md tells to run is there, and takes those arguments."""
    lines = (kit / "README.md").read_text().splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("    python ")]
    assert [command[1] for command in commands] == ["client.py", "grpc_client.py", "load.py"]
    for command in commands:
        done = subprocess.run(
            [sys.executable, *command[1:-1], "nothing.jpg"],
            cwd=kit, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert "nothing.jpg" in done.stderr
        assert "usage" not in done.stderr


def test_the_clients_import_no_tensorflow():
    program = """
import sys
sys.path.insert(0, sys.argv[1])
import grpc_client, load
print(*sorted(sys.modules))
"""
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program, str(CLIENTS)],
        capture_output=True,
        text=True,
        env=environment,
    )
    modules = done.stdout.split()
    assert "load" in modules, done.stderr
    assert not {"tensorflow", "keras", "keras_attn", "tensorflow_serving"} & set(modules)
