"""Find what a workflow can install mcprun from: the package index, or the repository that this copy came from."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from mcprun._version import __version__

UNKNOWN = "git+https://github.com/OWNER/mcprun@main"
"""The source to write if none is found: its owner must be replaced."""

_SECONDS = 10
_SSH = re.compile(r"(?:ssh://)?git@([\w.-]+)[:/](.+)")


def install_source() -> str:
    """Return a requirement for pip that installs this version of mcprun elsewhere; `UNKNOWN` if there is none.

    pip records where a package was installed from (PEP 610, `direct_url.json`). Without that record, it came from a
    package index.
    """
    try:
        return _source(distribution("mcprun"))
    except (PackageNotFoundError, ValueError, TypeError, AttributeError):
        return UNKNOWN


def _source(installed: Distribution) -> str:
    text = installed.read_text("direct_url.json")
    if text is None:
        return f"mcprun=={__version__}"
    record = json.loads(text)
    url = str(record["url"])
    if vcs := record.get("vcs_info"):
        return f"{vcs['vcs']}+{_public(url)}@{vcs['commit_id']}"
    if not url.startswith("file:"):
        return UNKNOWN
    return _pushed_commit(Path(url2pathname(urlsplit(url).path)))


def _pushed_commit(clone: Path) -> str:
    """Return the commit of a clone in its remote repository, or `UNKNOWN` if it was not pushed there."""
    remote, commit = _git(clone, "remote", "get-url", "origin"), _git(clone, "rev-parse", "HEAD")
    if not remote or not commit or not _git(clone, "branch", "--remotes", "--contains", commit):
        return UNKNOWN
    url = _public(remote)
    return f"git+{url}@{commit}" if url.startswith("https://") else UNKNOWN


def _public(url: str) -> str:
    """Return the HTTPS form of a repository's URL, without a user and password."""
    if found := _SSH.fullmatch(url):
        url = f"https://{found[1]}/{found[2]}"
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _git(clone: Path, *arguments: str) -> str:
    """Return the output of git in a clone; empty if it fails or is not installed."""
    command = ["git", "-C", str(clone), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
