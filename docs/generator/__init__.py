"""Writes the pages that come from docstrings, parsers and tables; a module a kind of page."""
