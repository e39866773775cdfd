"""SERVER on the command line: a file, a configuration, a URL or a command line, on each system."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.command_line import split_command_line
from mcprun.client.server_argument import check_command, parse_target
from mcprun.client.target import StdioTarget
from mcprun.errors import UsageError


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command_of(server: str, *, is_windows: bool = False) -> list[str]:
    """Return the command and arguments that SERVER starts."""
    found = parse_target(server, is_windows=is_windows)
    assert isinstance(found, StdioTarget)
    return [found.command, *found.args]


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("npx -y some-server --config ./x.json", ["npx", "-y", "some-server", "--config", "./x.json"]),
        ("npx some-server --config ./x.json#name", ["npx", "some-server", "--config", "./x.json#name"]),
        ("npx some-server --config './a b.json'", ["npx", "some-server", "--config", "./a b.json"]),
        ('npx some-server "x.json"#name', ["npx", "some-server", "x.json#name"]),
        ("python server.py data.json", ["python", "server.py", "data.json"]),
        ("node s.js --out=x.jsonc", ["node", "s.js", "--out=x.jsonc"]),
        ("python server.py X.JSON", ["python", "server.py", "X.JSON"]),
        ("'my cmd' x.json", ["my cmd", "x.json"]),
    ],
)
def test_command_line_may_end_in_a_json_file(working_folder: Path, server: str, words: list[str]) -> None:
    """SERVER with several words is a command line, whether or not the file exists."""
    assert words == command_of(server)
    (working_folder / "data.json").write_text("{}")
    (working_folder / "x.json").write_text("{}")
    assert words == command_of(server)


@pytest.mark.parametrize(
    "name", ["mcp.json", "my mcp.json", "it's.json", "a#b.json", "x.jsonc", "MCP.JSON", "node s.json", "a\\b.json"]
)
def test_existing_json_file_is_a_configuration(working_folder: Path, name: str) -> None:
    """The file name may contain spaces, quotes, `#` and backslashes, with or without a server name after it."""
    (working_folder / name).write_text(json.dumps({"mcpServers": {"a#b c": {"command": "it"}}}))
    for server in (name, f"{name}#a#b c", f"./{name}", *([f'"{name}"'] if "\\" not in name else [])):
        assert command_of(server) == ["it"]


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("mpc.json", "server file not found: mpc.json; did you mean mcp.json?"),
        ("mpc.json#x", "server file not found: mpc.json; did you mean mcp.json?"),
        ("'no such.json'", "server file not found: no such.json"),
        (r"C:\dir\server.py", r"server file not found: C:\dir\server.py"),
        ("C:/dir/server.py", "server file not found: C:/dir/server.py"),
        (r"\\share\x\server.py", r"server file not found: \\share\x\server.py"),
        (r"C:\dir\mcp.json#x", r"server file not found: C:\dir\mcp.json"),
        ('"C:\\my dir\\server.js"', r"server file not found: C:\my dir\server.js"),
        ("python 's3cret", "SERVER is not a valid command line: no closing quotation"),
        ("''", "SERVER contains no command; pass a server file, a command line, a URL or FILE.json#name"),
    ],
)
def test_missing_file_is_reported(working_folder: Path, server: str, message: str) -> None:
    """The message has the path as written, including backslashes, and suggests a similar file."""
    (working_folder / "mcp.json").write_text("{}")
    with pytest.raises(UsageError) as raised:
        parse_target(server)
    assert message == str(raised.value).removesuffix("; did you mean mcp.json?" if "mpc" not in server else "")


@pytest.mark.parametrize(
    "path", [r"C:\dir\server.py", r"C:\my dir\server.py", "C:/dir/server.py", r"\\share\x\server.py"]
)
def test_windows_paths_are_server_files(working_folder: Path, path: str) -> None:
    """Paths may have backslashes or slashes, a drive or a share, and quotes, and may be part of a command line."""
    file = working_folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    expected = [sys.executable, path]
    for is_windows in (True, False):
        assert expected[1:] == command_of(path, is_windows=is_windows)[1:]
        assert expected[1:] == command_of(f'"{path}"', is_windows=is_windows)[1:]
    assert ["py", "-3", path] == command_of(f'py -3 "{path}"', is_windows=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r"py C:\a\b.py --x", ["py", r"C:\a\b.py", "--x"]),
        (r'"C:\Program Files\node.exe" C:\a.js', [r"C:\Program Files\node.exe", r"C:\a.js"]),
        (r"py C:\Users\O'Brien\a.py", ["py", r"C:\Users\O'Brien\a.py"]),
        (r'py "C:\dir\\" x', ["py", "C:\\dir\\", "x"]),
        (r'py C:\x "say \"hi\"" ""', ["py", r"C:\x", 'say "hi"', ""]),
        (r"py --config=C:\x.json", ["py", r"--config=C:\x.json"]),
        (r"\\host\share\a.exe b", [r"\\host\share\a.exe", "b"]),
        ("", []),
    ],
)
def test_windows_command_lines_keep_their_backslashes(text: str, words: list[str]) -> None:
    """Windows rules apply on Windows, and wherever a drive or a share is named."""
    assert words == split_command_line(text, is_windows=True)
    assert words == split_command_line(text, is_windows=False)


def test_other_command_lines_are_split_like_a_shell() -> None:
    """A backslash escapes on POSIX, and is literal on Windows."""
    assert split_command_line(r'''sh -c "echo 'a' \\n"''', is_windows=False) == ["sh", "-c", "echo 'a' \\n"]
    assert split_command_line(r"a\ b", is_windows=False) == ["a b"]
    assert split_command_line(r"a\ b", is_windows=True) == ["a\\", "b"]
    with pytest.raises(ValueError, match="No closing quotation"):
        split_command_line('"a', is_windows=True)


@given(st.lists(st.text(alphabet="ab \\\"'", max_size=8), max_size=4))
def test_windows_split_inverts_list2cmdline(words: list[str]) -> None:
    """Words quoted by `subprocess.list2cmdline` are split into the same words."""
    from subprocess import list2cmdline

    assert words == split_command_line(list2cmdline(words), is_windows=True)


def test_long_command_line_is_not_a_path(working_folder: Path) -> None:
    """A command line may exceed the maximum length of a file name."""
    assert len(command_of(f"python {'x' * 5000}")) == 2
    assert command_of("x" * 5000) == ["x" * 5000]


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("server", "no such file or command: server"),
        ("quickstart", "no such file or command: quickstart; did you mean quickstart.py?"),
        ("server.ts", 'server file not found: server.ts; a TypeScript server needs a command line, such as "npx tsx server.ts"'),
        ("server.rb", "server file not found: server.rb"),
        ("quickstart.yp", "server file not found: quickstart.yp; did you mean quickstart.py?"),
    ],
)  # fmt: skip
def test_a_word_that_is_neither_a_file_nor_a_command_is_reported(
    working_folder: Path, server: str, message: str
) -> None:
    """A single word must be a file or a command of the server's `PATH`; a similar file is suggested."""
    (working_folder / "quickstart.py").touch()
    with pytest.raises(UsageError) as raised:
        check_command(parse_target(server))
    assert message == str(raised.value)


def test_a_command_of_the_path_is_accepted(working_folder: Path) -> None:
    """A command is searched for in the server's `PATH`, and one with arguments or in a configuration is not checked."""
    command = working_folder / "bin" / "my-server"
    command.parent.mkdir()
    command.touch()
    command.chmod(0o755)
    target = parse_target("my-server")
    with pytest.raises(UsageError):
        check_command(target)
    assert isinstance(target, StdioTarget)
    check_command(replace(target, env={"PATH": str(command.parent)}))
    check_command(parse_target("no-such-command --flag"))
    (working_folder / "mcp.json").write_text(json.dumps({"mcpServers": {"a": {"command": "no-such-command"}}}))
    check_command(parse_target("mcp.json"))


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("http:/127.0.0.1/mcp", "http://127.0.0.1/mcp"),
        ("https:example.com/mcp", "https://example.com/mcp"),
        ("HTTP:/localhost:9/mcp", "http://localhost:9/mcp"),
        ("http:/me:s3cret@h/mcp?key=s3cret", "http://[redacted]@h/mcp?[redacted]"),
    ],
)
def test_a_url_without_its_slashes_is_reported(server: str, url: str) -> None:
    """A URL with one slash or none is shown with two, and without its secrets."""
    with pytest.raises(UsageError) as raised:
        parse_target(server)
    assert str(raised.value) == f"SERVER looks like a URL: write {url}, with two slashes"
