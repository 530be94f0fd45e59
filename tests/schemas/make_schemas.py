"""Makes the schemas that the kit's files are checked against, from their projects' repositories.

    python tests/schemas/make_schemas.py COMPOSE_SPEC_CHECKOUT KSERVE_CHECKOUT

Of Compose the whole schema, of KServe what the kit uses; without descriptions. Those here are of
compose-spec 170098b (2026-06-23) and kserve aaac4e294 (2026-08-21), both Apache-2.0.
"""

import json
import subprocess
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent
# CRD -> the parts of `spec` that are kept whole, by their paths; `{}` of others' names stay known.
KSERVE = {
    "inferenceservices": ["predictor.model", "predictor.minReplicas", "predictor.maxReplicas",
                          "predictor.canaryTrafficPercent"],
    "clusterservingruntimes": ["annotations", "supportedModelFormats", "protocolVersions",
                               "containers"],
}  # fmt: skip


def show(repository, path):
    command = ["git", "-C", repository, "show", f"HEAD:{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def without_descriptions(value):
    if isinstance(value, dict):
        texts = ("description", "x-kubernetes-list-map-keys", "x-kubernetes-list-type")
        kept = {k: v for k, v in value.items() if k not in texts or not isinstance(v, (str, list))}
        return {key: without_descriptions(each) for key, each in kept.items()}
    return [without_descriptions(each) for each in value] if isinstance(value, list) else value


def trimmed(spec, paths):
    result = {"type": "object", "properties": {}}
    for path in paths:
        source, target = spec, result
        *outer, last = path.split(".")
        for name in outer:
            source = source["properties"][name]
            target = target["properties"].setdefault(name, {"type": "object", "properties": {}})
        target["properties"][last] = source["properties"][last]
    return result


def main(compose, kserve):
    schemas = {"compose": json.loads(show(compose, "schema/compose-spec.json"))}
    for kind, paths in KSERVE.items():
        crd = yaml.safe_load(show(kserve, f"config/crd/full/serving.kserve.io_{kind}.yaml"))
        [version] = [v for v in crd["spec"]["versions"] if v["storage"]]
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        schemas[kind] = trimmed(spec, paths)
    for name, schema in schemas.items():
        text = json.dumps(without_descriptions(schema), separators=(",", ":"), sort_keys=True)
        (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
