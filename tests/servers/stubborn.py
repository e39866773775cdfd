"""A server that ignores SIGTERM and the end of its stdin, and writes its process id to `stubborn.pid`."""

import os
import signal
import sys
from pathlib import Path

if sys.platform == "win32":
    raise NotImplementedError
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path("stubborn.pid").write_text(str(os.getpid()))
for _ in sys.stdin:
    pass
signal.pause()
