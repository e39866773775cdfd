"""Test third-party servers from npm and PyPI, and write the table of results in docs/servers-tried.md."""
