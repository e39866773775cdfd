"""Replace a file by a pipe, socket, device or folder, for tests that mcprun rejects these or does not hang."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path


def place(kind: str, file: Path) -> None:
    """Replace a file by `a folder`, `a pipe`, `a socket` or, for any other kind, a link to `/dev/zero`."""
    if sys.platform == "win32":
        raise NotImplementedError
    file.unlink(missing_ok=True)
    match kind:
        case "a folder":
            file.mkdir()
        case "a pipe":
            os.mkfifo(file)
        case "a socket":
            with socket.socket(socket.AF_UNIX) as one:
                cwd = Path.cwd()
                os.chdir(file.parent)  # unix(7): sun_path has 108 bytes
                one.bind(file.name)
                os.chdir(cwd)
        case _:
            file.symlink_to("/dev/zero")
