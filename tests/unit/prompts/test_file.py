"""Prompts files: read as a stream, validated completely."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.errors import PromptsError, UsageError
from mcprun.prompts.file import QueryFilter, lines_of, read_prompts

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jsonl", b"", "empty.jsonl:1: line: the file has no queries"),
        ("blank.jsonl", b"\n \n", "blank.jsonl:1: line: the file has no queries"),
        ("folder", None, "folder is a folder; expected a prompts file (JSONL, one query per line)"),
        ("missing.jsonl", None, "there is no prompts file missing.jsonl; . contains there.jsonl"),
    ],
)
def test_a_file_without_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, message: str
) -> None:
    """An empty file, a folder and a wrong path are told apart."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.jsonl").write_text('"hi"')
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_prompts(name)
    assert str(error.value) == message


def test_the_same_prompt_twice_gets_numbered_ids(tmp_path: Path) -> None:
    """Equal prompts without ids stay apart, and inserting a line renames none of the others."""
    file = tmp_path / "p.jsonl"
    file.write_text('"a"\n"b"\n"a"\n')
    with read_prompts(str(file)) as found:
        before = list(found.digests)
    file.write_text('"new"\n"a"\n"b"\n"a"\n')
    with read_prompts(str(file)) as found:
        assert list(found.digests)[1:] == before
    assert before[2] == f"{before[0]}-2"


def test_an_id_that_looks_made_is_still_the_users(tmp_path: Path) -> None:
    """A repeated id that the user wrote is an error, with both lines."""
    file = tmp_path / "p.jsonl"
    file.write_text('{"id": "x", "prompt": "a"}\n{"custom_id": "x", "prompt": "b"}\n')
    with pytest.raises(PromptsError) as error:
        read_prompts(str(file))
    assert error.value.problems == (f"{file}:2: id: 'x' is already used on line 1",)


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=8), st.integers(1, 10))
def test_the_stream_holds_what_was_checked(prompts: list[str], limit: int) -> None:
    """The second reading gives the ids of the first, in order, and as many as were asked for."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write("\n".join(json.dumps(prompt) for prompt in prompts).encode())
        file.flush()
        with read_prompts(file.name, QueryFilter(limit=limit)) as found:
            queries = list(found.queries())
    assert {query.id: query.digest for query in queries} == found.digests
    assert [query.id for query in queries] == list(found.digests)
    assert [query.prompt for query in queries] == prompts[:limit]
    assert found.total == len(prompts)


def test_the_hash_is_the_files(tmp_path: Path) -> None:
    """`sha256` is that of all the file's bytes, whatever was selected."""
    file = tmp_path / "p.jsonl"
    file.write_bytes(b'"a"\r\n"b"')
    with read_prompts(str(file), QueryFilter(limit=1)) as found:
        assert found.sha256 == hashlib.sha256(b'"a"\r\n"b"').hexdigest()


def test_a_pipe_is_read_twice_all_the_same(tmp_path: Path) -> None:
    """What can't be read again, such as a shell's `<(…)`, is kept for the second reading."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=('"a"\n"b"\n',))
    writer.start()
    with read_prompts(str(pipe)) as found:
        assert [query.prompt for query in found.queries()] == ["a", "b"]
    writer.join()


@pytest.mark.parametrize("after", ['"a"\n', '"a"\n"b"\n"c"\n', '"a"\n"x"\n', '"a"\n{bad\n'])
def test_a_file_that_changes_while_it_is_run_is_noticed(tmp_path: Path, after: str) -> None:
    """Only what was checked is run: a file that has become another is an error, not a shorter run."""
    file = tmp_path / "p.jsonl"
    file.write_text('"a"\n"b"\n')
    with read_prompts(str(file)) as found:
        queries = found.queries()
        file.write_text(after)
        with pytest.raises(UsageError, match="changed during the run"):
            list(queries)


def test_a_line_of_a_hundred_megabytes(tmp_path: Path) -> None:
    """It is refused by its number, without being read whole, and the lines around it are checked."""
    file = tmp_path / "p.jsonl"
    with file.open("wb") as stream:
        stream.write(b'"fine"\n"')
        for _ in range(100):
            stream.write(b"x" * 1_000_000)
        stream.write(b'"\n{"promt": "x"}\n')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PromptsError) as error:
        read_prompts(str(file))
    assert error.value.problems == (
        f"{file}:2: line: has more than 67,108,864 bytes",
        f"{file}:3: promt: unknown key; did you mean 'prompt'?",
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000 * (
        1024 if sys.platform == "darwin" else 1
    )


def test_prompts_that_change_while_they_are_run_are_noticed(tmp_path: Path) -> None:
    """Also when every id stays: what was checked and written down is what is run, or nothing."""
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps({"id": f"q{n}", "prompt": "as it was"}) + "\n" for n in range(9)))
    with read_prompts(str(file)) as found:
        with file.open("r+b") as stream:
            stream.write(file.read_bytes().replace(b"as it was", b"otherwise"))
        with pytest.raises(UsageError, match="changed during the run"):
            list(found.queries())


def test_lines_of_queries(tmp_path: Path) -> None:
    """Each query stands on its line, blank lines counted; a file that has changed, or is none, tells nothing."""
    file = tmp_path / "p.jsonl"
    file.write_text('{"id": "a", "prompt": "x"}\n\n"b"\n{"id": "c", "prompt": "x"}\n')
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    lines = lines_of(file, sha256)
    assert (lines["a"], lines["c"], sorted(lines.values())) == (1, 4, [1, 3, 4])
    assert lines_of(tmp_path, sha256) == lines_of(tmp_path / "none.jsonl", sha256) == {}
    file.write_text('"c"\n')
    assert lines_of(file, sha256) == {}
