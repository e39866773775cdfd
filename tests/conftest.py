"""Settings of every test: Hypothesis, the event loop and the signals that a shell may have ignored."""

from __future__ import annotations

import asyncio
import signal
import sys

from tests.support.examples import load_profile

load_profile()

# In a process that never set a loop, older versions of pytest-asyncio make one that nobody closes.
asyncio.set_event_loop(None)

if sys.platform != "win32":
    # Commands under test inherit what this process ignores: SIGHUP under nohup, SIGINT in the background of a shell.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
