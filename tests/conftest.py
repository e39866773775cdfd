"""Settings for all tests: the Hypothesis profile, the event loop, and default handling of SIGHUP and SIGINT."""

from __future__ import annotations

import asyncio
import signal
import sys

from tests.support.examples import load_profile

load_profile()

# In a process that never set an event loop, older versions of pytest-asyncio create one and never close it.
asyncio.set_event_loop(None)

if sys.platform != "win32":
    # Commands under test inherit ignored signals: SIGHUP under nohup, SIGINT in a shell's background job.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
