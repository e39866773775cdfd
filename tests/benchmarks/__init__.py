"""Benchmarks: `python -m tests.benchmarks`. Each figure is a ratio of two measurements that alternate within one run."""

from pathlib import Path

SERVER = Path(__file__).with_name("server.py")
"""An MCP server that takes almost no processor time."""

SDK_SERVER = Path(__file__).with_name("sdkserver.py")
"""The same tool on a server built with the SDK."""
