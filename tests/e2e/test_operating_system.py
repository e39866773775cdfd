"""Windows compatibility that can be tested on POSIX: imports without POSIX modules, functions and signals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.cli import ROOT, clean_environment

IMPORTS = """
import importlib, importlib.util, os, signal, sys
from pathlib import Path
import mcprun

package = Path(mcprun.__file__).parent
files = [file.relative_to(package.parent).with_suffix("") for file in sorted(package.rglob("*.py"))]
has_ray = importlib.util.find_spec("ray") is not None
names = [".".join(file.parts).removesuffix(".__init__") for file in files if file.name != "__main__"]


def import_all():
    for name in names:
        if has_ray or not name.startswith("mcprun.engine.ray."):  # an extra, which need not be installed
            importlib.import_module(name)


import_all()  # what others import, they import as on this system
for name in [name for name in sys.modules if name.partition(".")[0] == "mcprun"]:
    del sys.modules[name]
sys.platform = "win32"
for name in ("fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
for name in ("fork", "getppid", "killpg", "mkfifo", "setsid", "set_blocking", "waitpid", "WNOHANG"):
    delattr(os, name)
for name in ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "pthread_sigmask", "sigwait", "SIG_BLOCK", "SIG_SETMASK"):
    delattr(signal, name)
signal.SIGBREAK = signal.SIGTERM
import_all()
print(len(names))
"""


def test_every_module_imports_without_posix(tmp_path: Path) -> None:
    """Every module can be imported without the modules, signals and functions that Windows lacks."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=120
    )  # fmt: skip
    files = [file for file in (ROOT / "runner" / "mcprun").rglob("*.py") if file.name != "__main__.py"]
    assert (done.stderr, done.stdout.strip()) == ("", str(len(files)))
