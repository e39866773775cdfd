"""A prompts file that was verified before yields the same queries from any position."""

from __future__ import annotations

import hashlib
import io
import json
from typing import IO

from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.compact_index import Digests
from mcprun.prompts.file import PromptsFile, read_prompts
from mcprun.prompts.verified_file import VerifiedFile

PROMPTS = st.lists(st.sampled_from(["a", "b", "c\u2028", "é"]), min_size=1, max_size=8)

BLANK = st.lists(st.sampled_from(["", "\n", "\r\n", " \n", "\t\n"]), min_size=8, max_size=8)


def encode_prompts(prompts: list[str], blank: list[str]) -> bytes:
    """Return the bytes of a prompts file with blank lines after each prompt."""
    return "".join(f"{json.dumps(prompt)}\n{after}" for prompt, after in zip(prompts, blank, strict=False)).encode()


def build_verified_file(prompts: PromptsFile, source: IO[bytes]) -> VerifiedFile:
    """Return the `VerifiedFile` that a run records for a checked file."""
    digests = Digests()
    for name, digest in prompts.digests.items():
        digests.add(name, digest)
    return VerifiedFile(hashlib.sha256(source.getvalue()).hexdigest(), digests, 0, 0)  # type: ignore[attr-defined]


@given(PROMPTS, BLANK, st.sets(st.integers(0, 7)))
def test_skipping_queries_does_not_change_the_others(prompts: list[str], blank: list[str], skipped: set[int]) -> None:
    """The remaining queries, and their generated and numbered ids, are the same whichever queries are skipped."""
    source = io.BytesIO(encode_prompts(prompts, blank))
    first_reading = read_prompts("-", stored_path=source)
    ids = list(first_reading.digests)
    skipped_ids = {ids[number] for number in skipped if number < len(ids)}
    remaining = [one for one in first_reading.numbered_queries() if one[1].id not in skipped_ids]
    assert list(build_verified_file(first_reading, source).queries(source, skipped_ids.__contains__)) == remaining


@given(PROMPTS, BLANK, st.integers(0, 7), st.booleans())
def test_a_changed_line_ends_the_queries(prompts: list[str], blank: list[str], index: int, is_removed: bool) -> None:
    """A changed or missing line ends the queries with None."""
    source = io.BytesIO(encode_prompts(prompts, blank))
    verified = build_verified_file(read_prompts("-", stored_path=source), source)
    index %= len(prompts)
    changed = prompts[:index] + ([] if is_removed else ["something else"]) + prompts[index + 1 :]
    found = verified.queries(io.BytesIO(encode_prompts(changed, blank)), lambda _: False)
    *before, last = (query for _, query in found)
    assert last is None
    assert [query.prompt for query in before if query] == changed[: len(before)]
    assert len(before) >= index
    assert None not in before
