"""Test third-party servers from npm and PyPI, and write the README's table of results."""
