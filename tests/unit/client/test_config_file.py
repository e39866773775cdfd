"""Configuration files of MCP clients: server lookup, entry formats, placeholders and error messages."""

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


def read_config(folder: Path, config: Any, name: str = "", *args: str) -> StdioTarget | HttpTarget:
    """Write `config` to a file, a string verbatim and anything else as JSON, and read one of its servers."""
    file = folder / "mcp.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    return read_server(file, name, args, KNOWN)


def error_message(folder: Path, config: Any, name: str = "", *args: str) -> str:
    """Return the error message for a configuration, without the folder."""
    with pytest.raises(UsageError) as raised:
        read_config(folder, config, name, *args)
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
def test_server_is_found_in_the_format_of_each_client(tmp_path: Path, config: Any) -> None:
    """The same server is read from the configuration format of each client."""
    found = read_config(tmp_path, config)
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
def test_url_entries_select_a_transport(tmp_path: Path, entry: dict[str, Any], transport: str) -> None:
    """Every key for the URL and every spelling of the transport is read."""
    found = read_config(tmp_path, {"mcpServers": {"it": {**entry, "headers": {"X": "${SET}"}}}})
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
def test_placeholders_are_expanded(text: str, expected: str) -> None:
    """Variables, their defaults and known folders are expanded. The value of a variable is not expanded again."""
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
def test_unresolvable_placeholders_raise_an_error(text: str, message: str) -> None:
    """The message names the placeholder and the remedy. It omits the default, which may be secret."""
    with pytest.raises(UsageError) as raised:
        expand(text, KNOWN)
    assert message == str(raised.value)[: len(message)]


@given(st.text(alphabet="${}:-/ abSET", max_size=30))
def test_expanded_text_contains_no_placeholder(text: str) -> None:
    """Any text either expands to one without `${` or raises `UsageError`."""
    with contextlib.suppress(UsageError):
        assert "${" not in expand(text, Surroundings({"SET": "yes"}, PurePosixPath("/"), PurePosixPath("/"), "/"))


def test_placeholders_on_windows() -> None:
    """Folders and separators follow the operating system."""
    known = Surroundings({"ProgramFiles(x86)": "P"}, PureWindowsPath(r"C:\work"), PureWindowsPath(r"C:\Users\me"), "\\")
    assert expand("${workspaceFolder}${/}${userHome} ${env:ProgramFiles(x86)}", known) == r"C:\work\C:\Users\me P"


def test_opencode_placeholders_are_expanded_only_in_its_section(tmp_path: Path) -> None:
    """`{env:NAME}` is expanded in OpenCode's `mcp` section and nowhere else. `{file:…}` is an error."""
    assert expand_opencode("{env:SET} ${env:SET} {x}", KNOWN) == "yes yes {x}"
    entry = {"type": "local", "command": ["s"], "environment": {"A": "{env:SET}"}}
    assert read_config(tmp_path, {"mcp": {"it": entry}}).env == {"A": "yes"}  # type: ignore[union-attr]
    assert read_config(tmp_path, {"mcpServers": {"it": entry}}).env == {"A": "{env:SET}"}  # type: ignore[union-attr]
    entry["environment"] = {"A": "{file:~/x}"}
    assert error_message(tmp_path, {"mcp": {"it": entry}}).startswith(
        "mcp.json: mcp.it.environment.A: {file:~/x} can't be"
    )


def test_unused_placeholders_are_ignored(tmp_path: Path) -> None:
    """Placeholders of another server or in a description raise no error."""
    it = {**ENTRY, "description": "what ${input:x} is"}
    found = read_config(tmp_path, {"mcpServers": {"it": it, "other": {"command": "${UNSET}"}}}, "it")
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
def test_invalid_value_is_reported_with_its_path(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    """The message has the path in the file, the expected and the actual type, but never the value."""
    reported = error_message(tmp_path, {"mcpServers": {"it": entry}})
    assert f"mcp.json: mcpServers.it.{message}" == reported[: len(message) + len("mcp.json: mcpServers.it.")]
    assert "s3cret" not in reported


ZED_EXTENSION = (
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
        ({"context_servers": {"it": {"source": "extension", "settings": {}}}}, "", f"mcp.json: context_servers.it {ZED_EXTENSION}"),
        ({"context_servers": {"it": {"settings": {"url": "s3cret"}}}}, "", f"mcp.json: context_servers.it {ZED_EXTENSION}"),
        ({"mcpServers": {"it": {"type": "sse", "command": "x"}}}, "", "mcp.json: mcpServers.it has type sse but no url"),
        ({"mcpServers": {"it": {"type": "ws", "url": "ws://x"}}}, "", "mcp.json: mcpServers.it.type is 'ws'; expected stdio, http or sse"),
        ({"mcpServers": {"it": {"command": "x", "url": "http://x"}}}, "", "mcp.json: mcpServers.it has both command and url: remove one, or set type"),
        ({"mcpServers": {"it": {"httpUrl": "http://x", "url": "http://x"}}}, "", "mcp.json: mcpServers.it has both url and httpUrl: remove one"),
        ({"it": ENTRY}, "", 'mcp.json has no servers: put them into "mcpServers": {"NAME": {…}}'),
        (ENTRY, "", 'mcp.json has no servers: put them into "mcpServers": {"NAME": {…}}'),
        ({"protocol": "x", "tools": []}, "", "mcp.json has no servers: it is a snapshot of a server's tools"),
        ({"id": "a", "prompt": "x"}, "", "mcp.json has no servers: it is a prompts file"),
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
def test_invalid_configuration_is_one_message(tmp_path: Path, config: Any, name: str, message: str) -> None:
    """The message says where the problem is and what to do."""
    assert message == error_message(tmp_path, config, name)


def test_tilde_is_expanded_in_paths(tmp_path: Path) -> None:
    """`~` is expanded in the command, `cwd` and `envFile`, as in VS Code.

    A command with a space in its path is one path.
    """
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


def test_extra_arguments_are_appended_to_a_command(tmp_path: Path) -> None:
    """Arguments follow the entry's own. For a URL they are an error."""
    assert read_config(tmp_path, {"mcpServers": {"it": ENTRY}}, "", "-w").args == ("-v", "-w")  # type: ignore[union-attr]
    reported = error_message(tmp_path, {"mcpServers": {"it": {"url": "http://x"}}}, "", "--key", "s3cret")
    assert reported == "mcp.json#it is a URL; arguments after -- apply only to a server that mcprun starts"


@pytest.mark.parametrize(
    ("extra", "warning"),
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
def test_ignored_settings_produce_a_warning(tmp_path: Path, extra: dict[str, Any], warning: str) -> None:
    """The warning names the key. A disabled server can still be selected by name."""
    found = read_config(tmp_path, {"mcpServers": {"it": {**ENTRY, **extra}, "other": ENTRY}}, "it")
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
def test_comments_and_trailing_commas_are_ignored(text: str, expected: Any) -> None:
    """Comments and trailing commas are skipped outside strings, and so is a byte order mark."""
    for encoding in ("utf-8", "utf-16"):
        assert expected == jsonc.parse(text.removeprefix("\ufeff" if encoding == "utf-16" else "").encode(encoding))


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("[,]", 1, 2), ("{,}", 1, 2), ("[1,,]", 1, 4), ("[1] /* x", 1, 5), ("[\n// x\n  1 2]", 3, 5), ('{"a":,}', 1, 6), ("[1", 1, 3), ("/", 1, 1)],
)  # fmt: skip
def test_error_position_counts_comments(text: str, line: int, column: int) -> None:
    """Line and column refer to the file, including comments."""
    with pytest.raises(jsonc.JsoncError) as raised:
        jsonc.parse(text.encode())
    assert (line, column) == (raised.value.line, raised.value.column)


@pytest.mark.parametrize("data", [b'{"a": ' + b"9" * 5000 + b"}", b"[" * 100_000, b"\xff\xfe\xfa", b'"\x80"'])
def test_unparsable_data_is_a_jsonc_error(data: bytes) -> None:
    """Long integers, deep nesting and invalid encodings raise `JsoncError`."""
    with pytest.raises(jsonc.JsoncError):
        jsonc.parse(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)  # fmt: skip


@given(json_values, st.sampled_from([None, 1]))
def test_json_is_jsonc(value: Any, indent: int | None) -> None:
    """Any JSON document parses to the same value."""
    assert value == jsonc.parse(json.dumps(value, indent=indent).encode())
