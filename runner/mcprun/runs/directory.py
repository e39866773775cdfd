"""The files of a run directory. Create and remove run directories, protect their files, and maintain `outputs/latest`.

run.json            inputs, model, server and outcome; written at the start, replaced atomically at the end
transcripts.jsonl   one line per query and repeat; in order of completion while running, then of the prompts file
trace.jsonl         one line per event, in order of occurrence; locked while a process writes the run
server.log          the servers' stderr
queries.jsonl       one line per query: its id and digest, to check that the prompts of a resumed run are unchanged
prompts.jsonl       only if the prompts came from stdin, which can't be read again, or from a chat
differences.jsonl   only with a baseline: each query that differs from it, as `mcprun diff --json` prints them
retried.jsonl       only during a retry of queries: their earlier transcripts, until those are replaced
"""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path

from mcprun._util.operating_system import relative_path
from mcprun._util.special_files import kind_of
from mcprun.errors import UsageError

OUTPUTS = Path("outputs")

LATEST = "latest"

RUN, TRANSCRIPTS, TRACE, LOG, QUERIES, PROMPTS, RETRIED, DIFFERENCES = (
    "run.json", "transcripts.jsonl", "trace.jsonl", "server.log", "queries.jsonl", "prompts.jsonl", "retried.jsonl",
    "differences.jsonl",
)  # fmt: skip

FILES = frozenset({RUN, TRANSCRIPTS, TRACE, LOG, QUERIES, PROMPTS, RETRIED, DIFFERENCES})
"""The names of all files of a run."""


def new_directory(stem: str, out: str | None) -> Path:
    """Create the folder of a new run: `out`, or `outputs/<date>-<time>-<stem>`, with a number if that exists.

    Raises `UsageError` if `out` is not empty, or can't be created. Files of a run that was killed before it wrote
    `run.json` are ignored.
    """
    try:
        if out is not None:
            path = Path(out)
            path.mkdir(parents=True, exist_ok=True)
            refuse_links(path)
            if (path / RUN).exists():
                raise UsageError(
                    f"{path} already holds a run: choose another --out, or continue it with --resume {path}"
                )
            transcripts = path / TRANSCRIPTS
            holds_more = any(file.name.removesuffix(".new") not in _BEFORE for file in path.iterdir())
            is_merge = (path / f"{RUN}.new").exists()  # killed between its last two steps
            if holds_more or (transcripts.exists() and transcripts.stat().st_size and not is_merge):
                raise UsageError(f"{path} is not empty: a run needs a folder of its own; choose another --out")
            return path
        base = OUTPUTS / f"{datetime.now():%Y-%m-%d-%H%M%S}-{stem}"
        for path in (base, *(base.with_name(f"{base.name}-{number}") for number in range(2, 1000))):
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True)
                return path
    except OSError as error:
        raise UsageError(f"can't create the run's folder {error.filename}: {error.strerror}") from None
    raise UsageError(f"{base} and {base}-2 to {base}-999 already exist")


_BEFORE = frozenset({RUN, TRACE, TRANSCRIPTS, LOG, QUERIES, PROMPTS})
"""Files that a run may leave if it is killed before it writes `run.json`, which then exists as `run.json.new`."""


def refuse_links(path: Path) -> None:
    """Raise `UsageError` if a file of a run is a link (even a broken one), a hard link, a folder, a pipe or a device.

    Writing to it would write outside the run. Temporary files (`.new`) are checked as well. Raises `OSError` if the
    folder can't be read.
    """
    for file in sorted(path.iterdir()):
        if file.name.removesuffix(".new") not in FILES:
            continue
        status = file.lstat()
        kind, remedy = kind_of(status.st_mode), "remove it"
        if not kind and status.st_nlink > 1:  # writing would also change a copy of the run made with hard links
            kind, remedy = "a hard link", "remove it, or replace it with a copy"
        if kind:
            raise UsageError(f"{file} is {kind}, and mcprun writes a run only to regular files of its own: {remedy}")


def check_report_path(path: Path) -> None:
    """Raise `UsageError` if a report would overwrite a file of a run, or a link in a run's folder."""
    if not (path.parent / RUN).exists():
        return
    if path.name in FILES:
        raise UsageError(f"{path} is a file of a run: choose another name")
    if path.is_symlink():
        raise UsageError(f"{path} is a link in the folder of a run: remove it, or choose another name")


def remove_run(path: Path) -> None:
    """Remove the files of a run, then its folder. Raises `OSError` if that holds other files."""
    for name in _BEFORE:
        (path / name).unlink(missing_ok=True)
    path.rmdir()


def mark_latest(path: Path | None) -> None:
    """Point `outputs/latest` at a run, or remove it if `path` is None.

    It is a link, or a text file with the path on a file system without links. Errors are ignored.
    """
    latest = OUTPUTS / LATEST
    if path is None:
        with contextlib.suppress(OSError):
            latest.unlink(missing_ok=True)
        return
    # With --out, outputs/ may not be writable. `latest` is a convenience, and must not fail the run.
    with contextlib.suppress(OSError):
        OUTPUTS.mkdir(exist_ok=True)
        target = relative_path(path, OUTPUTS)
        new = OUTPUTS / f".{LATEST}.{os.getpid()}"
        try:
            new.symlink_to(target, target_is_directory=True)
        except OSError:
            new.write_text(target, encoding="utf-8")
        new.replace(latest)
