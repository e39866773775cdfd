"""A prompts file that was verified before yields the same queries from any position."""

from __future__ import annotations

import hashlib
import io
import json
from typing import IO

from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.compact import Digests
from mcprun.prompts.file import PromptsFile, read_prompts
from mcprun.prompts.verified_file import VerifiedFile

PROMPTS = st.lists(st.sampled_from(["a", "b", "c\u2028", "é"]), min_size=1, max_size=8)

BLANK = st.lists(st.sampled_from(["", "\n", "\r\n", " \n", "\t\n"]), min_size=8, max_size=8)


def written(prompts: list[str], blank: list[str]) -> bytes:
    """A prompts file with blank lines here and there."""
    return "".join(f"{json.dumps(prompt)}\n{after}" for prompt, after in zip(prompts, blank, strict=False)).encode()


def known_of(found: PromptsFile, source: IO[bytes]) -> VerifiedFile:
    """What a run writes down of a file that it has checked."""
    digests = Digests()
    for name, digest in found.digests.items():
        digests.add(name, digest)
    return VerifiedFile(hashlib.sha256(source.getvalue()).hexdigest(), digests, 0, 0)  # type: ignore[attr-defined]


@given(PROMPTS, BLANK, st.sets(st.integers(0, 7)))
def test_what_is_left_is_what_the_first_reading_gave(prompts: list[str], blank: list[str], over: set[int]) -> None:
    """Ids, also those that were made and numbered, are the same whatever is passed over."""
    source = io.BytesIO(written(prompts, blank))
    found = read_prompts("-", stored_path=source)
    names = list(found.digests)
    gone = {names[number] for number in over if number < len(names)}
    left = [query for query in found.queries() if query.id not in gone]
    assert list(known_of(found, source).queries(source, gone.__contains__)) == left


@given(PROMPTS, BLANK, st.integers(0, 7), st.booleans())
def test_another_line_ends_it(prompts: list[str], blank: list[str], place: int, is_gone: bool) -> None:
    """A line that says something else, one more, or one less gives nothing from there on."""
    source = io.BytesIO(written(prompts, blank))
    known = known_of(read_prompts("-", stored_path=source), source)
    place %= len(prompts)
    changed = prompts[:place] + ([] if is_gone else ["something else"]) + prompts[place + 1 :]
    *before, last = known.queries(io.BytesIO(written(changed, blank)), lambda _: False)
    assert last is None
    assert [query.prompt for query in before if query] == changed[: len(before)]
    assert len(before) >= place
    assert None not in before
