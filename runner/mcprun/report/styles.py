"""Styles of text in a terminal."""

from __future__ import annotations

from mcprun.runs.transcript import Verdict

AMBER = "color(130)"
"""The style of errors and warnings: #af5f00, which is readable on black (contrast 4.5) and on white (4.7).

The terminal's yellow is not: on white, its contrast is 2 or less.
"""

STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.ERROR: AMBER, Verdict.SKIPPED: "dim"}
"""The style of each verdict."""
