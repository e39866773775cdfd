"""Names of the folders in `prompts/` whose queries run published servers."""

from __future__ import annotations

FOLDERS = ("everything", "fetch", "filesystem", "git", "time")
