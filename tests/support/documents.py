"""Read the README and the pages in docs/: their code blocks, headings and links. Replace what is generated in them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.cli import ROOT

README = ROOT / "README.md"
PAGES = tuple(sorted((ROOT / "docs").glob("*.md")))
"""The pages in docs/."""


def page(name: str) -> str:
    """Return the text of docs/NAME.md."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def code_blocks(text: str, *languages: str) -> list[str]:
    """Return the contents of the code blocks in these languages, in order."""
    return [
        body
        for language, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        if language in languages
    ]


def without_code(text: str) -> str:
    """Return a document without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the fragments that link to a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def links(document: Path) -> list[str]:
    """Return the targets of a document's links and images, outside code."""
    text = re.sub(r"`[^`\n]*`", "", without_code(document.read_text(encoding="utf-8")))
    return re.findall(r"\]\(([^)\s]+)\)", text)


def replace_block(document: str, begin: str, end: str, block: str) -> str:
    """Replace what a document has from the marker `begin` to the marker `end`, both included.

    Raise `ValueError` if a marker is missing.
    """
    before, found_begin, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"the document has no place between {begin.strip()} and {end.strip()}")
    return before + block + after
