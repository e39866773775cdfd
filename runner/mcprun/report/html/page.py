"""What all HTML pages share: one file that loads nothing, and in which every text of a stranger stays text.

Three walls, each enough by itself: Jinja escapes what stands in the markup, JSON islands hold no character that could
end them, and the page's policy (CSP, https://www.w3.org/TR/CSP3/) runs only the script whose hash it names. Controls
and bidi marks are made visible in all of it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mcprun._util.json_io import dumps
from mcprun._util.special_files import open_in_place, refuse_to_replace
from mcprun.errors import UsageError
from mcprun.report.text import duration, many, moment, visible
from mcprun.runs.directory import refuse_own

_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})
"""What could end a script or start a comment in HTML, as JSON writes it in strings."""

_CHUNK = 1 << 16
"""Characters that are written at once."""

MOST_BYTES = 20_000_000
"""What the conversations of one page may take, images included: browsers open that in about a second."""


def page(template: str, scripts: Iterable[str], styles: Iterable[str], **values: Any) -> Iterator[str]:
    """Render a page, in chunks. `scripts` and `styles` are files of the templates' folder, which are put into it.

    `values` are the template's; what is iterable there is read when its place in the page has come.
    """
    # Each script is inlined whole, so that one hash stands for all of them in the page's policy.
    script = "(() => {\n'use strict';\n" + "".join(map(_asset, scripts)) + "})();\n"
    style = "".join(map(_asset, styles))
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    inlined = {"script": Markup(script), "style": Markup(style)}  # noqa: S704  files of this package
    return _environment().get_template(template).generate(policy=Markup(policy), **inlined, **values)  # noqa: S704


def island(name: str, value: Any) -> Markup:
    """Put a JSON value into the page, for the page's script to read: it never runs and never ends early."""
    text = dumps(_visible(value)).translate(_ESCAPES)
    return Markup(f'<script type="application/json" id="{name}">{text}</script>\n')  # noqa: S704  escaped above


def write_page(path: Path, chunks: Iterable[str]) -> int:
    """Write a page, or replace it, in one step; return its size in bytes. Raises `UsageError` if that is refused.

    A device or a pipe is written to, and has no size.
    """
    refuse_own(path)
    try:
        if device := open_in_place(path):
            with device:
                device.writelines(chunk.encode(errors="backslashreplace") for chunk in chunks)
            return 0
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from None
    refuse_to_replace(path)
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)  # a link there would be followed
        with new.open("x", encoding="utf-8", errors="backslashreplace", newline="\n", buffering=_CHUNK) as stream:
            stream.writelines(chunks)
        size = new.stat().st_size
        new.replace(path)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)
    return size


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(key): _visible(item) for key, item in value.items()}
    return [_visible(item) for item in value] if isinstance(value, list | tuple) else value


def _shown(value: Any) -> Any:
    """Make text visible before Jinja escapes it."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _asset(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mcprun.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "many": many, "moment": moment}
    return environment
