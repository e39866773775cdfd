"""Is this a release that can be installed, and stays so? `python -m tests.release` tries it: see `__main__.py`."""
