"""The hook of mkdocs that adds the pages which come from the library."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

FROM_ELSEWHERE = "https://unpkg.com/iframe-worker/shim"
OURS = "assets/frame_worker.js"
_PAGES: dict[str, str] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Writes the pages, and puts them where the navigation has the names of their kinds."""
    here = Path(__file__)
    sys.path[:0] = [str(here.parents[1]), str(here.parents[2])]  # for `generator`, `benchmarks`
    from generator import command_line, families, layers, notebooks, reference, results

    kinds = {
        "LAYERS": layers,
        "NETWORKS": families,
        "COMMAND LINE": command_line,
        "RESULTS": results,
        "REFERENCE": reference,
    }
    listed: dict[str, list[Any]] = {}
    for name, kind in kinds.items():
        texts, listed[name] = kind.pages()
        _PAGES.update(texts)
    _PAGES.update(notebooks.pages())
    for entry in config.nav or []:
        for title, value in entry.items() if isinstance(entry, dict) else ():
            if isinstance(value, str) and value in listed:
                entry[title] = listed[value]
    return config


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Asks no other host: the theme takes a part of its search from one."""
    return output.replace(FROM_ELSEWHERE, get_relative_url(OURS, page.url))


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """The same, for the page that says that there is no such page."""
    return output_content.replace(FROM_ELSEWHERE, f"/{OURS}")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    for path, text in _PAGES.items():
        files.append(File.generated(config, path, content=text))
    return files
