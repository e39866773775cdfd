"""Hypothesis strategies for values that a server makes anew in each run, and for those that it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

NOW = datetime(2026, 11, 30, 10, 24, 45, tzinfo=UTC)

_HEX = "0123456789abcdef"

times = st.integers(0, 3_000).map(lambda seconds: NOW + timedelta(seconds=seconds))

scrubbed_values = {
    "uuid": st.uuids(version=4).map(str) | st.uuids(version=4).map(lambda one: one.hex),
    "timestamp": times.map(lambda at: at.isoformat())
    | times.map(lambda at: f"{at:%Y-%m-%d %H:%M:%S}")
    | times.map(lambda at: f"{at:%a, %d %b %Y %H:%M:%S GMT}"),
    "epoch": times.map(lambda at: str(int(at.timestamp() * 1000))),
    "tmp": st.text("abcdefgh_0123456789", min_size=8, max_size=8).map(lambda name: f"/tmp/tmp{name}/out.txt"),
    "hash": st.text(_HEX, min_size=40, max_size=40),
    "port": st.integers(32_768, 60_999).map(lambda port: f"http://localhost:{port}/mcp"),
    "duration": st.integers(1, 9_999).map(lambda number: f"{number} ms"),
}
"""Strategies for texts with one volatile value, by the scrub that covers it."""

scrubs = st.sampled_from(sorted(scrubbed_values))

words = st.sampled_from(["apple", "pear", "plum", "good", "bad", "open", "closed", "a b", "x-y"])
"""Texts without any volatile part."""

constants = st.none() | st.booleans() | st.integers(-1_000, 1_000) | words


@st.composite
def tries(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw two results of one query: equal but for values that are volatile, and for the order of their list."""
    one: dict[str, Any] = {"kept": draw(constants)}
    other = dict(one)
    for name in draw(st.lists(st.sampled_from(["id", "at", "odd key", 'a"b', "note"]), unique=True)):
        value = scrubbed_values[draw(scrubs)]
        prefix = draw(words)
        one[name], other[name] = (f"{prefix} {draw(value)}" for _ in range(2))
    for name in draw(st.lists(st.sampled_from(["n", "ms"]), unique=True)):
        one[name], other[name] = (draw(st.integers(0, 99) | st.floats(0, 1)) for _ in range(2))
    items = draw(st.lists(constants, max_size=4))
    one["items"] = [{"name": item, "id": draw(scrubbed_values["uuid"])} for item in items]
    copies = [{**item, "id": draw(scrubbed_values["uuid"])} for item in one["items"]]
    other["items"] = draw(st.permutations(copies))
    return one, other
