"""Release tests: `python -m tests.release` builds and installs the release. See `__main__.py`."""
