"""Benchmarks: `python -m tests.benchmarks`. Each figure is a ratio of two things, measured in turns within one run."""

from pathlib import Path

SERVER = Path(__file__).with_name("server.py")
"""The MCP server that is called: it costs next to nothing."""

SDK_SERVER = Path(__file__).with_name("sdkserver.py")
"""The same tool on a server of the SDK."""
