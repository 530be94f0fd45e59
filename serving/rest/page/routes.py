"""What the page consists of and asks for, beside TF Serving's interface.

| path | answer |
|---|---|
| `/` | the page |
| `/page/<file>` | its style, its scripts, its icon |
| `/models` | the names of the models |
| `/models/<name>` | its latest version, and what its export says of itself, see `description.py` |
| `/models/<name>/versions/<number>/samples/<file>` | a sample image that came with the export |
"""

import importlib.resources
import re
import urllib.parse

from starlette.responses import JSONResponse, Response

from keras_attn.serving.core import Core
from keras_attn.serving.errors import HTTP_STATUS, ServingError, not_found
from keras_attn.serving.lifecycle.manager import Target
from keras_attn.serving.rest.page.description import describe, read_sample

TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
# Everything comes from here: scripts and styles are files, no string becomes HTML, and pictures
# are the server's or made by the page.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_MODEL = re.compile(
    r"/models/(?P<name>[^/]+)(?:/versions/(?P<version>\d{1,18})/samples/(?P<file>[^/]+))?"
)


class Page:
    """Answers what the page asks for.

    Args:
        core: The models.
    """

    def __init__(self, core: Core):
        self._core = core
        folder = importlib.resources.files("keras_attn.serving.rest.page").joinpath("static")
        self._files = {f"/page/{file.name}": file for file in folder.iterdir()}
        self._files["/"] = self._files.pop("/page/page.html")

    def has(self, path: str) -> bool:
        """Whether a path is the page's."""
        return path in self._files or path == "/models" or path.startswith("/models/")

    def answer(self, path: str) -> Response:
        """Answers a GET of one of its paths.

        Args:
            path: Path of the URL, still percent-encoded.
        """
        if path in self._files:
            file = self._files[path]
            kind = TYPES["." + file.name.rpartition(".")[2]]
            return Response(file.read_bytes(), media_type=kind, headers=HEADERS)
        try:
            if path == "/models":
                names = [entry.name for entry in self._core.manager.entries]
                return JSONResponse({"models": names}, headers=HEADERS)
            return self._of_model(path)
        except ServingError as error:
            status = HTTP_STATUS[error.code]
            return JSONResponse({"error": error.message}, status, headers=HEADERS)

    def _of_model(self, path: str) -> Response:
        match = _MODEL.fullmatch(path)
        if match is None:
            raise not_found(f"Not found: {path}")
        name = urllib.parse.unquote(match["name"])
        version = None if match["version"] is None else int(match["version"])
        with self._core.manager.use(Target(name, version)) as model:
            if version is None:
                return JSONResponse(describe(model), headers=HEADERS)
            data = read_sample(model.folder, urllib.parse.unquote(match["file"]))
        return Response(data, media_type="image/jpeg", headers=HEADERS)
