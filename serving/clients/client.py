#!/usr/bin/env python3
"""Asks a model server that speaks TF Serving's REST interface. Python's standard library is enough.

    python client.py --url http://127.0.0.1:8501/v1/models/digits cat.jpg
    python client.py --url http://127.0.0.1:8501/v1/models/digits image.json

A JPEG, PNG, GIF, BMP or WebP goes to the signature `serve_bytes` as it is. `image.json` holds one
image (three lists deep), or a list of them (four deep), or a whole request, `{"instances": [...]}`
or `{"inputs": ...}`. `-` reads from standard input.
"""

import argparse
import base64
import http.client
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

SERVE_BYTES = "serve_bytes"
SERVE_UINT8 = "serve_uint8"
# What JPEG and PNG files begin with.
IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF")


class ServerError(RuntimeError):
    """The server's answer is an error, or none that can be read.

    Attributes:
        status: Status of the HTTP reply.
        message: The reply's text.
    """

    def __init__(self, status: int, message: str):
        super().__init__(f"the server answered {status}: {message}")
        self.status = status
        self.message = message


def predict(
    url: str,
    instances: list[Any],
    *,
    signature_name: str | None = None,
    timeout: float = 60.0,
) -> list[Any]:
    """Returns one prediction for each instance.

    A prediction is a dict of the outputs, or the output itself where the model has only one.

    Args:
        url: Address of the model, `http://host:port/v1/models/name`, or of a version of it,
            `.../versions/1`.
        instances: A batch of nested lists; of dicts of them where the model has several inputs.
        signature_name: Default: the model's `serving_default`.
        timeout: Seconds to wait for the answer.

    Example:
    ```python
    predict("http://127.0.0.1:8501/v1/models/digits", [image])[0]["probabilities"]
    ```
    """
    request: dict[str, Any] = {"instances": instances}
    if signature_name is not None:
        request["signature_name"] = signature_name
    reply = send(url, request, timeout=timeout)
    if not isinstance(reply.get("predictions"), list):
        raise ServerError(200, "a reply without `predictions`")
    predictions: list[Any] = reply["predictions"]
    return predictions


def classify(
    url: str,
    images: list[bytes],
    *,
    signature_name: str = SERVE_BYTES,
    timeout: float = 60.0,
) -> list[dict[str, Any]]:
    """Returns the outputs for each image, `labels` and `scores` with the best first.

    Args:
        url: Address of the model.
        images: The contents of image files. They need not be of one size.
        signature_name: One that takes such files.
        timeout: Seconds to wait for the answer.

    Example:
    ```python
    classify("http://127.0.0.1:8501/v1/models/digits", [open("cat.jpg", "rb").read()])[0]["labels"]
    ```
    """
    instances = [encode(image) for image in images]
    return predict(url, instances, signature_name=signature_name, timeout=timeout)


def encode(data: bytes) -> dict[str, str]:
    """Returns bytes as JSON carries them."""
    return {"b64": base64.b64encode(data).decode("ascii")}


def signatures(url: str, *, timeout: float = 60.0) -> dict[str, Any]:
    """Returns what a model can be asked: the inputs and outputs of each signature.

    Args:
        url: Address of the model.
        timeout: Seconds to wait for the answer.
    """
    reply = _open(urllib.request.Request(_checked(url) + "/metadata"), timeout)
    try:
        signatures: dict[str, Any] = reply["metadata"]["signature_def"]["signature_def"]
    except (KeyError, TypeError) as error:
        raise ServerError(200, "metadata without signatures") from error
    return signatures


def status(url: str, *, timeout: float = 60.0) -> list[dict[str, Any]]:
    """Returns the state of each version of a model.

    Args:
        url: Address of the model.
        timeout: Seconds to wait for the answer.
    """
    reply = _open(urllib.request.Request(_checked(url)), timeout)
    versions: list[dict[str, Any]] = reply.get("model_version_status", [])
    return versions


def input_shape(url: str, *, timeout: float = 60.0) -> tuple[int | None, ...]:
    """Returns the shape of the input of `serving_default`, which must have one.

    Args:
        url: Address of the model.
        timeout: Seconds to wait for the answer.

    Returns:
        `None` for a side of any length: `(None, 32, 32, 3)`.
    """
    try:
        [tensor] = signatures(url, timeout=timeout)["serving_default"]["inputs"].values()
        sides = [int(dim["size"]) for dim in tensor["tensor_shape"]["dim"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ServerError(200, "metadata without one input of `serving_default`") from error
    return tuple(side if side >= 0 else None for side in sides)


def send(url: str, request: dict[str, Any], *, timeout: float = 60.0) -> dict[str, Any]:
    """Sends a whole predict request and returns the whole reply.

    Args:
        url: Address of the model.
        request: With `instances` or `inputs`, and `signature_name` where it is not the default.
        timeout: Seconds to wait for the answer.
    """
    body = json.dumps(request).encode()
    headers = {"Content-Type": "application/json"}
    target = urllib.request.Request(_checked(url) + ":predict", data=body, headers=headers)
    return _open(target, timeout)


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code, 1 for what went wrong on the way."""
    parser = argparse.ArgumentParser(
        description="Asks a model server for predictions.",
        epilog="FILE is a picture, or holds an image as nested lists, a list of images, or a "
        "whole request.",
    )
    parser.add_argument("--url", required=True, help="http://host:port/v1/models/name")
    parser.add_argument("--signature", help="default: serving_default")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("file", metavar="FILE", help="- for standard input")
    options = parser.parse_args(arguments)
    try:
        request = read_request(options.file)
        if options.signature:
            request["signature_name"] = options.signature
        reply = send(options.url, request, timeout=options.timeout)
    except (ServerError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(reply, indent=2))
    return 0


def read_request(file: str) -> dict[str, Any]:
    """The request that a file is: an image's bytes for `serve_bytes`, or what its JSON holds."""
    return _request(_read(file))


def _read(file: str) -> Any:
    if file == "-":
        data = sys.stdin.buffer.read()
    else:
        with open(file, "rb") as stream:
            data = stream.read()
    if data.startswith(IMAGE_STARTS):
        return {"signature_name": SERVE_BYTES, "instances": [encode(data)]}
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} must be an image or JSON: {error}") from None


def _request(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    depth, element = 0, value
    while isinstance(element, list) and element:
        depth, element = depth + 1, element[0]
    if depth == 3:
        return {"instances": [value]}
    if depth == 4:
        return {"instances": value}
    raise ValueError(
        "FILE must hold an image (three lists deep), a list of images (four deep) or a request. "
        f"Received: lists {depth} deep"
    )


def _checked(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or "/v1/models/" not in parts.path:
        raise ValueError(
            f"`url` must be like http://host:port/v1/models/name. Received: url={url!r}"
        )
    return url.rstrip("/").removesuffix(":predict")


def _open(request: urllib.request.Request, timeout: float) -> dict[str, Any]:
    # A proxy that the environment names can't reach this machine's own addresses.
    local = urllib.parse.urlsplit(request.full_url).hostname in ("localhost", "127.0.0.1", "::1")
    handlers = [urllib.request.ProxyHandler({})] if local else []
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as reply:
            return _parse(reply.status, reply.read())
    except urllib.error.HTTPError as error:
        with error:
            raise ServerError(error.code, _message(error.read())) from None
    except TimeoutError:
        raise TimeoutError(f"{request.full_url} did not answer within {timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:  # URLError is one of the first
        reason = getattr(error, "reason", error)
        raise ConnectionError(f"{request.full_url} can't be reached: {reason}") from None


def _parse(status: int, body: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(body)
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        raise ServerError(status, f"no JSON object but {body[:200]!r}")
    return reply


def _message(body: bytes) -> str:
    """The `error` of a reply, else the reply."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace") or "nothing"


if __name__ == "__main__":
    sys.exit(main())
