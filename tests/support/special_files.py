"""Put a pipe, socket, device or folder in place of a file."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path


def place(kind: str, file: Path) -> None:
    """Put something in place of a file."""
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
                here = Path.cwd()
                os.chdir(file.parent)  # the path of a socket holds 108 characters
                one.bind(file.name)
                os.chdir(here)
        case _:
            file.symlink_to("/dev/zero")
