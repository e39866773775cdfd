"""Files that are not prompts files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from mcprun.errors import PromptsError
from mcprun.prompts.file import read_prompts
from mcprun.prompts.formats import FORMATS


def problems_of(name: str, text: str) -> list[str]:
    with pytest.raises(PromptsError) as error:
        read_prompts(name, stored_path=io.BytesIO(text.encode()))
    return str(error.value).splitlines()


OTHER = f" is not a prompts file; the formats are {FORMATS}"
LIST = ":1: line: the file is a JSON list; write each query on a line of its own, as jq -c '.[]' does"
SPANS = ":1: line: a query spans several lines; write it on one, as jq -c . does"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("p.csv", "id,prompt\na,hello\n", f"p.csv{OTHER}"),
        ("p.TXT", "hello\n", f"p.TXT{OTHER}"),
        ("p.md", "# Title\n", f"p.md{OTHER}"),
        ("-", "- prompt: hello\n", f"<stdin>{OTHER}"),
        ("p", "---\nprompt: hello\n", f"p{OTHER}"),
        ("p.json", '[\n {"prompt": "hello"}\n]\n', f"p.json{LIST}"),
        ("p.jsonl", '[\n{"prompt": "hello"},\n"b"\n]', f"p.jsonl{LIST}"),
        ("p.jsonl", '\ufeff{\n "prompt": "hello"\n}\n{\n "prompt": "b"\n}\n', f"p.jsonl{SPANS}"),
    ],
)
def test_other_formats_are_named_once(name: str, text: str, problem: str) -> None:
    """A file in another format is one problem, and not one for each of its lines."""
    assert problems_of(name, text) == [problem]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": "a", "prompt": "x"', "Expecting ',' delimiter, at column 26, where the line ends"),
        ('{"id": "a", "prompt":', "Expecting value, at column 22, where the line ends"),
        ('{"id": "a",', "Expecting property name enclosed in double quotes, at column 12, where the line ends"),
        ('{"id": "a", "prompt": "x', "Unterminated string, at column 25, where the line ends"),
        ('{"id": "é", "prompt": "x"', "Expecting ',' delimiter, at column 26, where the line ends"),
        ("[1", "Expecting ',' delimiter, at column 3, where the line ends"),
        ('{"id": "a"}}', "Extra data, at column 12"),
        ('{"id": "a\tb"}', "Invalid control character, at column 10"),
        ('{"id": tru}', "Expecting value, at column 8"),
    ],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "  \n"])
def test_columns_are_those_of_the_line(line: str, problem: str, end: str) -> None:
    """A line that is cut off is reported at the column after its last character, however it ends."""
    if end == "  \n" and "Unterminated" in problem:
        end = "\n"
    assert problems_of("p.jsonl", line + end) == [f"p.jsonl:1: line: not JSON: {problem}"]


def test_a_list_among_lines_is_one_bad_line(tmp_path: Path) -> None:
    """A list on one line does not hide the problems of other lines."""
    text = '[{"prompt": "a"}]\n{"prompt": "b"}\n{"prompt": \n'
    assert [problem.split(" ")[0] for problem in problems_of("p.jsonl", text)] == ["p.jsonl:1:", "p.jsonl:3:"]
