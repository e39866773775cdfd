"""Prompts files: read as a stream, validated completely."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.errors import PromptsError, UsageError
from mcprun.prompts.file import QueryFilter, lines_of, read_prompts


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jsonl", b"", "empty.jsonl:1: the file has no queries"),
        ("blank.jsonl", b"\n \n", "blank.jsonl:1: the file has no queries"),
        (
            "folder",
            None,
            "folder is a folder; expected a prompts file: JSONL (.jsonl, one query per line) and YAML (.yaml or .yml, a list of queries)",
        ),
        ("missing.jsonl", None, "there is no prompts file missing.jsonl; . contains there.jsonl"),
    ],
)
def test_an_unusable_prompts_file_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, message: str
) -> None:
    """An empty file, a folder and a missing file have different messages."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.jsonl").write_text('"hi"')
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as raised:
        read_prompts(name)
    assert str(raised.value) == message


def test_equal_prompts_get_numbered_ids(tmp_path: Path) -> None:
    """Equal prompts without ids get numbered ids, and an inserted line does not change the other ids."""
    file = tmp_path / "p.jsonl"
    file.write_text('"a"\n"b"\n"a"\n')
    with read_prompts(str(file)) as prompts:
        before = list(prompts.digests)
    file.write_text('"new"\n"a"\n"b"\n"a"\n')
    with read_prompts(str(file)) as prompts:
        assert list(prompts.digests)[1:] == before
    assert before[2] == f"{before[0]}-2"


def test_a_repeated_id_is_rejected_with_both_lines(tmp_path: Path) -> None:
    """An id that the user set twice is an error that names both lines."""
    file = tmp_path / "p.jsonl"
    file.write_text('{"id": "x", "prompt": "a"}\n{"custom_id": "x", "prompt": "b"}\n')
    with pytest.raises(PromptsError) as raised:
        read_prompts(str(file))
    assert raised.value.problems == (f"{file}:2: id: 'x' is already used on line 1",)


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=8), st.integers(1, 10))
def test_the_stream_yields_the_validated_queries(prompts: list[str], limit: int) -> None:
    """The second reading yields the queries of the first with the same ids, in order, up to the limit."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write("\n".join(json.dumps(prompt) for prompt in prompts).encode())
        file.flush()
        with read_prompts(file.name, QueryFilter(limit=limit)) as prompts_file:
            queries = list(prompts_file.queries())
    assert {query.id: query.digest for query in queries} == prompts_file.digests
    assert [query.id for query in queries] == list(prompts_file.digests)
    assert [query.prompt for query in queries] == prompts[:limit]
    assert prompts_file.total == len(prompts)


def test_the_hash_covers_the_whole_file(tmp_path: Path) -> None:
    """`sha256` is the hash of all bytes of the file, whatever the filter selects."""
    file = tmp_path / "p.jsonl"
    file.write_bytes(b'"a"\r\n"b"')
    with read_prompts(str(file), QueryFilter(limit=1)) as prompts:
        assert prompts.sha256 == hashlib.sha256(b'"a"\r\n"b"').hexdigest()


def test_a_pipe_is_stored_for_the_second_reading(tmp_path: Path) -> None:
    """Input that cannot be reopened, such as a shell's `<(…)`, is stored for the second reading."""
    if sys.platform == "win32":
        pytest.skip("named pipes of POSIX")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=('"a"\n"b"\n',))
    writer.start()
    with read_prompts(str(pipe)) as prompts:
        assert [query.prompt for query in prompts.queries()] == ["a", "b"]
    writer.join()


@pytest.mark.parametrize("after", ['"a"\n', '"a"\n"b"\n"c"\n', '"a"\n"x"\n', '"a"\n{bad\n'])
def test_a_file_that_changes_during_the_run_is_an_error(tmp_path: Path, after: str) -> None:
    """If the file has more, fewer, other or invalid lines in the second reading, an error is raised."""
    file = tmp_path / "p.jsonl"
    file.write_text('"a"\n"b"\n')
    with read_prompts(str(file)) as prompts:
        queries = prompts.queries()
        file.write_text(after)
        with pytest.raises(UsageError, match="changed during the run"):
            list(queries)


def test_a_line_of_100_megabytes_is_rejected_without_loading_it(tmp_path: Path) -> None:
    """The line is reported by its number without being loaded, and the other lines are validated."""
    file = tmp_path / "p.jsonl"
    with file.open("wb") as stream:
        stream.write(b'"fine"\n"')
        for _ in range(100):
            stream.write(b"x" * 1_000_000)
        stream.write(b'"\n{"promt": "x"}\n')
    resource = pytest.importorskip("resource", reason="getrusage is POSIX")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PromptsError) as raised:
        read_prompts(str(file))
    assert raised.value.problems == (
        f"{file}:2: line: has more than 67,108,864 bytes",
        f"{file}:3: promt: unknown key; did you mean 'prompt'?",
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000 * (
        1024 if sys.platform == "darwin" else 1
    )


def test_a_changed_prompt_with_an_unchanged_id_is_an_error(tmp_path: Path) -> None:
    """A prompt that changes during the run is an error even if its id stays the same."""
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps({"id": f"q{n}", "prompt": "as it was"}) + "\n" for n in range(9)))
    with read_prompts(str(file)) as prompts:
        with file.open("r+b") as stream:
            stream.write(file.read_bytes().replace(b"as it was", b"otherwise"))
        with pytest.raises(UsageError, match="changed during the run"):
            list(prompts.queries())


def test_line_numbers_of_queries(tmp_path: Path) -> None:
    """Line numbers count blank lines. A changed file, a missing file and a folder have none."""
    file = tmp_path / "p.jsonl"
    file.write_text('{"id": "a", "prompt": "x"}\n\n"b"\n{"id": "c", "prompt": "x"}\n')
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    lines = lines_of(file, sha256)
    assert (lines["a"], lines["c"], sorted(lines.values())) == (1, 4, [1, 3, 4])
    assert lines_of(tmp_path, sha256) == lines_of(tmp_path / "none.jsonl", sha256) == {}
    file.write_text('"c"\n')
    assert lines_of(file, sha256) == {}
