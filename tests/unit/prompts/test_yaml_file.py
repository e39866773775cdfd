"""Prompts files in YAML."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.errors import PromptsError
from mcprun.prompts.append import PromptsAppender
from mcprun.prompts.file import lines_of, read_prompts
from mcprun.prompts.yaml_file import lines_of_yaml, plain_value
from mcprun.prompts.yaml_text import yaml_text


def values_of(text: str | bytes, tmp_path: Path) -> dict[int, Any]:
    """Return the queries of a YAML file by line."""
    path = tmp_path / "p.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with path.open("rb") as source, lines_of_yaml(source, "p.yaml") as lines:
        lines.seek(0)
        return {number: json.loads(line) for number, line in enumerate(lines, 1) if line.strip()}


def problems_of(text: str | bytes, tmp_path: Path) -> list[str]:
    """Return the problems that reading a YAML file reports."""
    path = tmp_path / "p.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PromptsError) as error:
        read_prompts(str(path))
    return [line.replace(str(path), "p.yaml") for line in str(error.value).splitlines()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, text) for text in ("no", "on", "Yes", "off", "y", "2026-01-01", "2026-01-01T10:00:00Z", "12:30:00", "1_000", "0x", "1.2.3", "nullish", "=", "0o9", "+", ".", "1e", "-.", "0b1")),
        *((text, None) for text in ("", "~", "null", "NULL")),
        ("true", True),
        ("FALSE", False),
        ("-3", -3),
        ("007", 7),
        ("0o17", 15),
        ("0xfF", 255),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
    ],
)  # fmt: skip
def test_plain_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    """The examples of YAML 1.2.2, section 10.3, and what YAML 1.1 would read as something else."""
    found = plain_value(text)
    assert (found, type(found)) == (value, type(value))


def test_queries_keep_their_lines(tmp_path: Path) -> None:
    """Block and flow style, quotes, literal blocks, comments, anchors and tags are read, each query at its line."""
    text = """\ufeff# a suite
- id: a
  prompt: &text |
    two
    lines
- {id: "b", prompt: *text, metadata: {no: [on, "1", '2', !!str 3, ! 4, !!float 5], 1: 2}}

- just text
"""
    assert values_of(text, tmp_path) == {
        2: {"id": "a", "prompt": "two\nlines\n"},
        6: {"id": "b", "prompt": "two\nlines\n", "metadata": {"no": ["on", "1", "2", "3", "4", 5.0], "1": 2}},
        8: "just text",
    }
    path = tmp_path / "q.yaml"
    path.write_text(text.replace("\n", "\r\n"), encoding="utf-8", newline="")
    with read_prompts(str(path)) as prompts:
        assert [(line, query.id) for line, query in prompts.numbered_queries()][:2] == [(2, "a"), (6, "b")]
        assert lines_of(path, prompts.sha256)["b"] == 6
        assert not prompts.is_stream


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("- prompt: x\n  prompt: y\n", ["p.yaml:2: line: the key 'prompt' appears twice in one object"]),
        ("- prompt: .nan\n  timeout: -.inf\n", ["p.yaml:1: prompt: .nan is not JSON", "p.yaml:2: timeout: -.inf is not JSON"]),
        ("- timeout: 1e999\n", ["p.yaml:1: timeout: the number 1e999 is too large"]),
        (f"- max_turns: {'1' * 5000}\n", ["p.yaml:1: max_turns: a number has more than 4,300 digits"]),
        (f"- max_turns: 0x{'f' * 5000}\n", ["p.yaml:1: max_turns: a number has more than 4,300 digits"]),
        (f"- max_turns: 0o{'7' * 5000}\n", ["p.yaml:1: max_turns: a number has more than 4,300 digits"]),
        (f"- max_turns: !!float {'1' * 4000}\n", ["p.yaml:1: max_turns: the number is too large for a float"]),
        ("prompt: x\n", ["p.yaml:1: line: the file must be a list of queries, each beginning with a dash: - id: …"]),
        ("", ["p.yaml:1: the file has no queries"]),
        ("# nothing\n", ["p.yaml:1: the file has no queries"]),
        ("- a\n---\n- b\n", ["p.yaml:2: line: the file has more than one document; write one list of queries"]),
        ("[a, b]\n", ["p.yaml:1: line: has two queries; write each on a line of its own"]),
        ("- &a [*a]\n", ["p.yaml:1: [0]: the alias *a refers to a value that contains it"]),
        ("- a: *x\n", ["p.yaml:1: a: the alias *x has no anchor before it"]),
        ("- {<<: {a: b}}\n", ["p.yaml:1: line: merge keys (<<) are not supported; write out the keys"]),
        ("- prompt: {{a}} is\n", ['p.yaml:1: prompt: a key must be text, not a list, an object or an alias; put text that begins with {{ in quotes: "{{name}}"']),
        ("- ? [a]\n  : b\n", ["p.yaml:1: line: a key must be text, not a list, an object or an alias"]),
        ("- a: !!python/object:os.system x\n", ["p.yaml:1: a: the tag 'tag:yaml.org,2002:python/object:os.system' is not supported; values are those of JSON"]),
        ("- a: !!timestamp 2026-01-01\n", ["p.yaml:1: a: the tag 'tag:yaml.org,2002:timestamp' is not supported; values are those of JSON"]),
        ("- a: !!int x\n", ["p.yaml:1: a: 'x' is not of the type of its tag, !!int"]),
        ("- a: b: c\n", ["p.yaml:1: line: not YAML: mapping values are not allowed in this context, at column 7"]),
        ("- x\n- \x07\n", ["p.yaml:2: line: not YAML: control characters are not allowed"]),
        (b"- x\n- \xff\n", ["p.yaml:2: line: not UTF-8: byte 0xff"]),
        ("- " * 1000 + "x\n", ["p.yaml:1: line: nested too deeply (more than 200 levels)"]),
        ("- id: a\n  prompt: x\n- prompt: y\n  id: a\n", ["p.yaml:4: id: 'a' is already used on line 1"]),
        ("- prompt: x\n\n  expect:\n    calls:\n      - tool: a\n      - tol: b\n", ["p.yaml:6: expect.calls[1].tool: is missing", "p.yaml:6: expect.calls[1].tol: unknown key; did you mean 'tool'?"]),
        ("- id: a\n", ["p.yaml:1: prompt: is missing"]),
        ("- 5\n", ["p.yaml:1: line: must be an object or a string, not the number 5"]),
    ],
)  # fmt: skip
def test_problems_have_the_line_of_the_field(text: str | bytes, problems: list[str], tmp_path: Path) -> None:
    """What JSON can't hold, what is ambiguous and what is no query is refused, at its own line."""
    assert problems_of(text, tmp_path) == problems


def test_aliases_can_not_multiply_without_bound(tmp_path: Path) -> None:
    """A small file whose aliases expand to a huge value is refused at once."""
    names = "abcdefghij"
    rows = [f"- &{one} [{', '.join([f'*{before}'] * 10)}]" for before, one in pairwise(names)]
    (problem,) = problems_of("\n".join(["- &a [x]", *rows]), tmp_path)
    assert "the aliases of the file expand to more than 50,000,000 characters" in problem


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """YAML is read as a whole, so its size is bounded."""
    assert problems_of(b"#" * 10_000_001, tmp_path) == [
        "p.yaml:1: line: the file has more than 10,000,000 bytes; write it as JSONL"
    ]


TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [
        "no",
        "1e3",
        "0o17",
        "1_000",
        "~",
        "",
        " a\n b",
        "a\n\n",
        "#",
        "- a",
        "<<",
        "=",
        "\x85",
        "2026-01-01",
        ".nan",
        "a: b",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)


@given(st.lists(st.dictionaries(TEXT, JSON, min_size=1, max_size=4), min_size=1, max_size=3))
def test_written_queries_are_read_back(tmp_path_factory: pytest.TempPathFactory, queries: list[dict[str, Any]]) -> None:
    """Any JSON that is written as YAML is read back unchanged, whatever YAML 1.1 makes of it."""
    found = values_of(yaml_text(queries), tmp_path_factory.getbasetemp())
    assert list(found.values()) == queries


@pytest.mark.parametrize("before", [None, "", "- id: a\n  prompt: x\n", "- {id: a, prompt: x}"])
def test_queries_are_appended_to_yaml(tmp_path: Path, before: str | None) -> None:
    """A query is appended in block style; comments and other queries stay as they are."""
    path = tmp_path / "p.yml"
    if before is not None:
        path.write_text(before, encoding="utf-8")
    PromptsAppender.open(path).append({"id": "b", "prompt": "no"})
    with read_prompts(str(path)) as prompts:
        assert [query.id for query in prompts.queries()] == [*(["a"] if before else []), "b"]
    assert path.read_text(encoding="utf-8").startswith(before or "- id: b\n")


@pytest.mark.parametrize("before", ["[{id: a, prompt: x}]\n", "  - id: a\n    prompt: x\n"])
def test_yaml_that_can_not_be_appended_to_stays(tmp_path: Path, before: str) -> None:
    """A list in brackets or with an indentation is not damaged."""
    path = tmp_path / "p.yaml"
    path.write_text(before, encoding="utf-8")
    with pytest.raises(PromptsError.__base__, match="was not changed"):  # type: ignore[arg-type]
        PromptsAppender.open(path).append({"id": "b", "prompt": "y"})
    assert path.read_text(encoding="utf-8") == before
