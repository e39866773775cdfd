"""The base of all HTML pages: one file that loads nothing, and that never treats untrusted text as markup or script.

Three independent defences protect it. Jinja escapes text in the markup. JSON islands contain no character that could
end them. The page's policy (CSP, https://www.w3.org/TR/CSP3/) allows only the script whose hash it names. Controls
and bidi marks are escaped everywhere.
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
from mcprun._util.special_files import open_device, refuse_to_replace
from mcprun.errors import UsageError
from mcprun.report.text import duration, moment, plural, visible
from mcprun.runs.directory import check_report_path

_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})
"""Characters that could end a script or start a comment in HTML, and their JSON escapes."""

_CHUNK = 1 << 16
"""Size of the write buffer in bytes."""

MAX_BYTES = 20_000_000
"""Maximum bytes of a page's conversations, images included: browsers open that in about a second."""


def page(template: str, scripts: Iterable[str], styles: Iterable[str], **values: Any) -> Iterator[str]:
    """Render a page in chunks. `scripts` and `styles` are files in the templates' folder, which are inlined.

    `values` are passed to the template, which consumes iterables only when it reaches them.
    """
    # All scripts are inlined as one element, so that the page's policy needs one hash.
    script = "(() => {\n'use strict';\n" + "".join(map(_asset, scripts)) + "})();\n"
    style = "".join(map(_asset, styles))
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    inlined = {"script": Markup(script), "style": Markup(style)}  # noqa: S704  files of this package
    return _environment().get_template(template).generate(policy=Markup(policy), **inlined, **values)  # noqa: S704


def island(name: str, value: Any) -> Markup:
    """Return a JSON value as a data block that the page's script reads. It never runs and can't end early."""
    text = dumps(_visible(value)).translate(_ESCAPES)
    return Markup(f'<script type="application/json" id="{name}">{text}</script>\n')  # noqa: S704  escaped above


def write_page(path: Path, chunks: Iterable[str]) -> int:
    """Write or replace a page atomically, and return its size in bytes. Raises `UsageError` if it can't be written.

    A device or a pipe is written in place, and counts as 0 bytes.
    """
    check_report_path(path)
    try:
        if device := open_device(path):
            with device:
                device.writelines(chunk.encode(errors="backslashreplace") for chunk in chunks)
            return 0
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from None
    refuse_to_replace(path)
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)  # otherwise a link there would be followed
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
    """Escape controls in text before Jinja escapes it; leave markup unchanged."""
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
    environment.filters |= {"duration": duration, "many": plural, "moment": moment}
    return environment
