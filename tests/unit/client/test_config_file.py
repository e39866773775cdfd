"""Configuration files of MCP clients: where servers are found, what entries mean, what is refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util import jsonc
from mcprun.client.config_file import read_server
from mcprun.client.placeholders import Surroundings, expand, expand_opencode
from mcprun.client.target import HttpTarget, StdioTarget
from mcprun.errors import UsageError

KNOWN = Surroundings(
    {"SET": "yes", "EMPTY": "", "WITH_BRACES": "${NOT_SET}"},
    PurePosixPath("/home/me/proj"),
    PurePosixPath("/home/me"),
    "/",
)

ENTRY = {"command": "server", "args": ["-v"]}


def read(folder: Path, config: Any, name: str = "", *args: str) -> StdioTarget | HttpTarget:
    """Write a configuration, a string as it is, and read one of its servers."""
    file = folder / "mcp.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    return read_server(file, name, args, KNOWN)


def refusal(folder: Path, config: Any, name: str = "", *args: str) -> str:
    """Return the message by which a configuration is refused, without the folder."""
    with pytest.raises(UsageError) as raised:
        read(folder, config, name, *args)
    return str(raised.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    "config",
    [
        {"mcpServers": {"it": ENTRY}},
        {"servers": {"it": {"type": "stdio", **ENTRY}}, "inputs": []},
        {"mcp": {"servers": {"it": ENTRY}, "inputs": []}, "editor.fontSize": 12},
        {"mcp.servers": {"it": ENTRY}},
        {"context_servers": {"it": {"source": "custom", **ENTRY}}},
        {"context_servers": {"it": {"command": {"path": "server", "args": ["-v"]}, "settings": {}}}},
        {"mcp": {"it": {"type": "local", "command": ["server", "-v"], "enabled": True}}},
        {"amp.mcpServers": {"it": ENTRY}},
        {"mcpServers": {}, "projects": {"/home/me/proj": {"mcpServers": {"it": ENTRY}}}},
        {"mcpServers": {"it": {"transport": {"type": "stdio", **ENTRY}}}},
        {"mcpServers": {"it": {**ENTRY, "url": None, "cwd": None, "env": None}}},
        {"mcpServers": {"it": {**ENTRY, "autoApprove": ["x"], "alwaysAllow": [], "trust": True, "tools": ["*"], "_note": 1}}},
        {"mcpServers": {"it": ENTRY}, "mcp": {"allowed": ["it"], "excluded": []}},
        {"mcpServers": {"it": {"type": "stdio", "url": "http://x/", **ENTRY}}},
    ],
)  # fmt: skip
def test_each_clients_servers_are_found(tmp_path: Path, config: Any) -> None:
    """The same server, as seven clients write it."""
    found = read(tmp_path, config)
    assert (found.command, found.args) == ("server", ("-v",))  # type: ignore[union-attr]
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("entry", "transport"),
    [
        ({"url": "http://x/mcp"}, "http"),
        ({"type": "http", "url": "http://x/mcp"}, "http"),
        ({"type": "streamable-http", "url": "http://x/mcp"}, "http"),
        ({"type": "streamableHttp", "url": "http://x/mcp"}, "http"),
        ({"type": "remote", "url": "http://x/mcp", "enabled": True}, "http"),
        ({"type": "sse", "url": "http://x/mcp"}, "sse"),
        ({"transport": "sse", "url": "http://x/mcp"}, "sse"),
        ({"transportType": "sse", "url": "http://x/mcp"}, "sse"),
        ({"transport": {"type": "sse", "url": "http://x/mcp"}}, "sse"),
        ({"serverUrl": "http://x/mcp"}, "http"),
        ({"httpUrl": "http://x/mcp"}, "http"),
    ],
)
def test_urls_and_their_transports(tmp_path: Path, entry: dict[str, Any], transport: str) -> None:
    """Whatever a client calls the URL, and however it names the transport."""
    found = read(tmp_path, {"mcpServers": {"it": {**entry, "headers": {"X": "${SET}"}}}})
    assert HttpTarget("http://x/mcp", {"X": "yes"}, transport) == found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $HOME {x} $", "plain $HOME {x} $"),
        ("${SET}${env:SET}", "yesyes"),
        ("<${EMPTY}>", "<>"),
        ("${EMPTY:-default}", ""),
        ("${UNSET:-default}", "default"),
        ("${env:UNSET:-a:b}", "a:b"),
        ("${UNSET:-}", ""),
        ('${UNSET:-{"a": {"b": 1}}}!', '{"a": {"b": 1}}!'),
        ("${UNSET:-${SET}}", "yes"),
        ("${WITH_BRACES}", "${NOT_SET}"),
        ("${workspaceFolder}${/}x", "/home/me/proj/x"),
        ("${workspaceFolder:proj}", "/home/me/proj"),
        ("${workspaceFolderBasename}", "proj"),
        ("${userHome}${pathSeparator}${cwd}", "/home/me//home/me/proj"),
    ],
)
def test_what_placeholders_stand_for(text: str, expected: str) -> None:
    """Variables, with their defaults, and the folders that mcprun knows; what a variable holds is not expanded."""
    assert expected == expand(text, KNOWN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${UNSET}", "${UNSET} needs the environment variable UNSET, which is not set"),
        ("${env:UNSET}", "${env:UNSET} needs the environment variable UNSET, which is not set"),
        ("${input:key}", "${input:key} can't be resolved: mcprun never prompts; write ${env:NAME}, and set that variable"),
        ("${config:a.b}", "${config:a.b} can't be resolved: mcprun does not read an editor's settings"),
        ("${command:a.b}", "${command:a.b} can't be resolved: mcprun runs no commands of an editor"),
        ("${lineNumber}", "${lineNumber} is available only in an editor"),
        ("${workspaceFolder:other}", "${workspaceFolder:other} names a workspace folder, but mcprun knows only /home/me/proj"),
        ("${secret:a}", "${secret:a} is an unknown placeholder; write the value or ${env:NAME}"),
        ("${user.name}", "${user.name} is an unknown placeholder"),
        ("${}", "${} is an unknown placeholder"),
        ("${env:}", "${env:} is an unknown placeholder"),
        ("${a b:-s3cret}", "${a b:-…} is an unknown placeholder"),
        ("${UNSET:?s3cret}", "${UNSET:?s3cret} is an unknown placeholder"),
        ("x ${SET", "unclosed placeholder: ${SET"),
        ("${UNSET:-${NOPE}}", "${NOPE} needs the environment variable NOPE, which is not set"),
    ],
)  # fmt: skip
def test_placeholders_that_stand_for_nothing(text: str, message: str) -> None:
    """Each is named, with what to do; a default, which may be secret, is not."""
    with pytest.raises(UsageError) as raised:
        expand(text, KNOWN)
    assert message == str(raised.value)[: len(message)]


@given(st.text(alphabet="${}:-/ abSET", max_size=30))
def test_no_placeholder_is_ever_passed_on(text: str) -> None:
    """Whatever the text, it comes out without a placeholder, or is refused by mcprun's own error."""
    with contextlib.suppress(UsageError):
        assert "${" not in expand(text, Surroundings({"SET": "yes"}, PurePosixPath("/"), PurePosixPath("/"), "/"))


def test_placeholders_on_windows() -> None:
    """Folders and separators are those of the system."""
    known = Surroundings({"ProgramFiles(x86)": "P"}, PureWindowsPath(r"C:\work"), PureWindowsPath(r"C:\Users\me"), "\\")
    assert expand("${workspaceFolder}${/}${userHome} ${env:ProgramFiles(x86)}", known) == r"C:\work\C:\Users\me P"


def test_opencode_writes_variables_in_its_own_way(tmp_path: Path) -> None:
    """`{env:NAME}` is expanded in its section and nowhere else; `{file:…}` is refused."""
    assert expand_opencode("{env:SET} ${env:SET} {x}", KNOWN) == "yes yes {x}"
    entry = {"type": "local", "command": ["s"], "environment": {"A": "{env:SET}"}}
    assert read(tmp_path, {"mcp": {"it": entry}}).env == {"A": "yes"}  # type: ignore[union-attr]
    assert read(tmp_path, {"mcpServers": {"it": entry}}).env == {"A": "{env:SET}"}  # type: ignore[union-attr]
    entry["environment"] = {"A": "{file:~/x}"}
    assert refusal(tmp_path, {"mcp": {"it": entry}}).startswith("mcp.json: mcp.it.environment.A: {file:~/x} can't be")


def test_placeholders_of_what_is_not_used_do_no_harm(tmp_path: Path) -> None:
    """Another server's, and those of a description."""
    it = {**ENTRY, "description": "what ${input:x} is"}
    found = read(tmp_path, {"mcpServers": {"it": it, "other": {"command": "${UNSET}"}}}, "it")
    assert found.args == ("-v",)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"command": "s", "args": ["-p", 8080]}, "args[1]: expected a string, got a number; put it in quotes"),
        ({"command": "s", "args": [None]}, "args[0]: expected a string, got null"),
        ({"command": "s", "args": "-v"}, "args: expected a list of strings, got a string"),
        ({"command": "s", "args": ["-k", "${input:key}"]}, "args[1]: ${input:key} can't be resolved: mcprun never"),
        ({"command": 7}, "command: expected a string, got a number"),
        ({"command": ["s", {}]}, "command[1]: expected a string, got an object"),
        ({"command": "s", "env": {"PORT": 8080}}, "env.PORT: expected a string, got a number; put it in quotes"),
        ({"command": "s", "env": {"A": None}}, "env.A: expected a string, got null"),
        ({"command": "s", "env": {"A": True}}, "env.A: expected a string, got true; put it in quotes"),
        ({"command": "s", "env": ["A=b"]}, "env: expected an object, got a list"),
        ({"command": "s", "env": {"A": "${nope.x}"}}, "env.A: ${nope.x} is an unknown placeholder"),
        ({"command": "s", "cwd": 1}, "cwd: expected a string, got a number"),
        ({"command": "s", "envFile": []}, "envFile: expected a string, got a list"),
        ({"command": "s", "envFile": "nope.env"}, "envFile: can't read nope.env: No such file"),
        ({"command": "npx -y server --key s3cret"}, "command is a complete command line; move its arguments to args"),
        ({"command": ["bun x server"]}, "command is a complete command line; move its arguments to args"),
        ({"command": "s", "disabled": "yes"}, "disabled: expected true or false, got a string"),
        ({"url": "http://x", "headers": {"X": 1}}, "headers.X: expected a string, got a number"),
        ({"url": "http://x", "headers": {"X": None}}, "headers.X: expected a string, got null"),
        ({"url": 1}, "url: expected a string, got a number"),
        ({"url": "unix:///run/x"}, "url is not an http:// or https:// URL with a host"),
        ({"url": "http://x", "headersHelper": "get-token s3cret"}, "headersHelper is not supported; pass the URL as SERVER, and what it prints with --header 'NAME: VALUE'"),
        ({"url": "http://x", "oauth": {"clientId": "${UNSET}"}}, "oauth.clientId: ${UNSET} needs the environment variable"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_named_by_its_path(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    """The path in the file, what was expected and what is there; never the value."""
    reported = refusal(tmp_path, {"mcpServers": {"it": entry}})
    assert f"mcp.json: mcpServers.it.{message}" == reported[: len(message) + len("mcp.json: mcpServers.it.")]
    assert "s3cret" not in reported


OF_ZED = (
    "has neither a command nor a url: an extension of Zed starts it; write the command, args and env that the"
    " extension runs"
)


@pytest.mark.parametrize(
    ("config", "name", "message"),
    [
        ([], "", "mcp.json: expected an object, got a list"),
        ({"mcpServers": []}, "", "mcp.json: mcpServers: expected an object, got a list"),
        ({"mcpServers": {"it": "npx"}}, "", "mcp.json: mcpServers.it: expected an object, got a string"),
        ({"mcpServers": {"it": {}}}, "", "mcp.json: mcpServers.it has neither a command nor a url"),
        ({"mcpServers": {"it": {"cmd": "x"}}}, "", "mcp.json: mcpServers.it has neither a command nor a url; did you mean command instead of 'cmd'?"),
        ({"mcp": {"it": {"type": "local", "command": []}}}, "", "mcp.json: mcp.it has neither a command nor a url"),
        ({"mcp": {"it": {"type": "local", "command": [" "]}}}, "", "mcp.json: mcp.it has neither a command nor a url"),
        ({"context_servers": {"it": {"source": "extension", "settings": {}}}}, "", f"mcp.json: context_servers.it {OF_ZED}"),
        ({"context_servers": {"it": {"settings": {"url": "s3cret"}}}}, "", f"mcp.json: context_servers.it {OF_ZED}"),
        ({"mcpServers": {"it": {"type": "sse", "command": "x"}}}, "", "mcp.json: mcpServers.it has type sse but no url"),
        ({"mcpServers": {"it": {"type": "ws", "url": "ws://x"}}}, "", "mcp.json: mcpServers.it.type is 'ws'; expected stdio, http or sse"),
        ({"mcpServers": {"it": {"command": "x", "url": "http://x"}}}, "", "mcp.json: mcpServers.it has both command and url: remove one, or set type"),
        ({"mcpServers": {"it": {"httpUrl": "http://x", "url": "http://x"}}}, "", "mcp.json: mcpServers.it has both url and httpUrl: remove one"),
        ({"it": ENTRY}, "", 'mcp.json has no servers: put them into "mcpServers": {"NAME": {…}}'),
        (ENTRY, "", 'mcp.json has no servers: put them into "mcpServers": {"NAME": {…}}'),
        ({}, "", "mcp.json has no servers: expected an object under mcpServers, servers, mcp.servers, context_servers or mcp"),
        ({"mcpServers": {"a": ENTRY, "b": ENTRY}}, "", "mcp.json has 2 servers; select one, such as mcp.json#a"),
        ({"mcpServers": {"git": ENTRY, "other": ENTRY}}, "gti", "mcp.json has no server 'gti'; did you mean git?"),
        ({"mcpServers": {"a": {**ENTRY, "disabled": True}, "b": ENTRY, "c": ENTRY}}, "", "mcp.json has 2 servers; select one, such as mcp.json#b"),
        ({"mcpServers": {"a": {**ENTRY, "disabled": True}, "b": ENTRY}}, "x", "mcp.json has no server 'x'; it has b"),
        ({"mcp": {"a": {**ENTRY, "enabled": False}}}, "", "every server in mcp.json is disabled; select one by name: a"),
        ('{"mcpServers": {"a": {}, "a": {}}}', "", "mcp.json: not valid JSON: mcpServers.a occurs twice in the same object"),
        ('{\n  "mcpServers": {\n    "a" {}\n', "", "mcp.json:3:9: not valid JSON: expecting ':' delimiter"),
        ('{"mcpServers": {"a": {"timeout": NaN}}}', "", "mcp.json: not valid JSON: NaN is not JSON"),
        ("", "", "mcp.json:1:1: not valid JSON: expecting value"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_configuration(tmp_path: Path, config: Any, name: str, message: str) -> None:
    """One message, which says where and what to do."""
    assert message == refusal(tmp_path, config, name)


def test_the_home_folder_may_be_written_short(tmp_path: Path) -> None:
    """As VS Code has it, in what names a file or a folder; a command with a space in its path is a path."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "e.env").write_text("A=1\n")
    known = Surroundings({}, tmp_path, tmp_path / "home")
    entry = {"command": "~/my server/run", "args": ["~/x"], "cwd": "~/work", "envFile": "~/e.env", "env": {"B": "~/y"}}
    (tmp_path / "mcp.json").write_text(json.dumps({"servers": {"it": entry}}))
    found = read_server(tmp_path / "mcp.json", "it", (), known)
    assert isinstance(found, StdioTarget)
    home = str(tmp_path / "home")
    assert (found.command, found.args, found.cwd) == (f"{home}/my server/run", ("~/x",), f"{home}/work")
    assert found.env == {"A": "1", "B": "~/y"}


def test_arguments_go_to_a_command_only(tmp_path: Path) -> None:
    """They come after its own."""
    assert read(tmp_path, {"mcpServers": {"it": ENTRY}}, "", "-w").args == ("-v", "-w")  # type: ignore[union-attr]
    reported = refusal(tmp_path, {"mcpServers": {"it": {"url": "http://x"}}}, "", "--key", "s3cret")
    assert reported == "mcp.json#it is a URL; arguments after -- apply only to a server that mcprun starts"


@pytest.mark.parametrize(
    ("more", "warning"),
    [
        ({"disabled": True}, " is disabled (disabled: true), but used because it was selected by name"),
        ({"enabled": False}, " is disabled (enabled: false), but used because it was selected by name"),
        ({"timeout": 60}, ".timeout is ignored, since clients disagree on its unit; use --call-timeout SECONDS"),
        ({"enviroment": {}}, ".enviroment is unknown and ignored; did you mean environment?"),
        ({"zzz": 1}, ".zzz is unknown and ignored"),
        ({"disabledTools": ["a"]}, ".disabledTools is ignored; use --allow-tool and --deny-tool"),
        ({"headers": {"X": "y"}}, ".headers is ignored, since the server is a command"),
        ({"env": {"KEY": "$KEY"}}, ".env.KEY looks like a shell variable, which is not expanded; write ${NAME}"),
    ],
)
def test_what_is_not_honoured_is_warned_of(tmp_path: Path, more: dict[str, Any], warning: str) -> None:
    """By its key; a server that is disabled can still be chosen by its name."""
    found = read(tmp_path, {"mcpServers": {"it": {**ENTRY, **more}, "other": ENTRY}}, "it")
    assert (f"{tmp_path / 'mcp.json'}: mcpServers.it{warning}",) == found.warnings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1, /* x */ "b": [1, 2,], // y\n}', {"a": 1, "b": [1, 2]}),
        ('\ufeff{"a": "// no, /* */, ]"}', {"a": "// no, /* */, ]"}),
        ('{"a": "\\"// x", }//', {"a": '"// x'}),
        ("[1 /* , */ , ]", [1]),
        ("// a\r\n[]\r\n", []),
    ],
)
def test_comments_and_trailing_commas(text: str, expected: Any) -> None:
    """They are passed over outside of strings, and a byte order mark is."""
    for encoding in ("utf-8", "utf-16"):
        assert expected == jsonc.parse(text.removeprefix("\ufeff" if encoding == "utf-16" else "").encode(encoding))


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("[,]", 1, 2), ("{,}", 1, 2), ("[1,,]", 1, 4), ("[1] /* x", 1, 5), ("[\n// x\n  1 2]", 3, 5), ('{"a":,}', 1, 6), ("[1", 1, 3), ("/", 1, 1)],
)  # fmt: skip
def test_places_of_errors(text: str, line: int, column: int) -> None:
    """Line and column are those of the file, comments counted."""
    with pytest.raises(jsonc.JsoncError) as raised:
        jsonc.parse(text.encode())
    assert (line, column) == (raised.value.line, raised.value.column)


@pytest.mark.parametrize("data", [b'{"a": ' + b"9" * 5000 + b"}", b"[" * 100_000, b"\xff\xfe\xfa", b'"\x80"'])
def test_what_no_parser_takes(data: bytes) -> None:
    """Bounds of Python's parser, and bytes that are no text, are errors of the file."""
    with pytest.raises(jsonc.JsoncError):
        jsonc.parse(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)  # fmt: skip


@given(json_values, st.sampled_from([None, 1]))
def test_json_is_jsonc(value: Any, indent: int | None) -> None:
    """Whatever is JSON is read as it is."""
    assert value == jsonc.parse(json.dumps(value, indent=indent).encode())
