"""Secrets appear in no file and no message, neither whole nor in part."""

from __future__ import annotations

import json
import os
import re
import threading
from base64 import b64decode, b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus

import pytest

from mcprun.client.target import HttpTarget, secrets_of
from mcprun.errors import REDACTED, UsageError
from mcprun.evaluation import evaluator
from mcprun.runs.events import AttemptRef, ToolCall
from mcprun.runs.redaction import Redactor
from mcprun.runs.stream_redaction import LineRedactor
from tests.support.cli import RAW, SERVERS, Result, script, stdlib_server, write_jsonl
from tests.support.clouds_api import BareApi, FoundryApi
from tests.support.forks import Forks
from tests.support.messages_api import Answer, MessagesApi, error, scripted, text


def test_events_keep_their_ids() -> None:
    """The query id of an event is not redacted, even if a pattern matches it."""
    event = ToolCall(where=AttemptRef("q1"), turn=0, call=0, tool="add", input={"n": "q1"}, server=1, log_offset=0)
    assert Redactor(patterns=[r"q\d"]).value(event).line("now") == {
        "event": "tool_call", "at": "now", "query": "q1", "repeat": 1, "attempt": 1, "turn": 0, "call": 0, "tool": "add",
        "input": {"n": REDACTED}, "is_error": False, "server": 1, "log_offset": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "message"), [("(", "--redact: invalid regular expression"), ("a*", "matches the empty string")]
)
def test_useless_patterns_are_refused(pattern: str, message: str) -> None:
    """An invalid pattern, and one that matches the empty string, are refused."""
    with pytest.raises(UsageError, match=message):
        Redactor(patterns=[pattern])


SECRET = 'hunter2"é/s3cret'
"""A value that JSON and URLs encode differently."""

PATTERN = r"card-\d{4}"


def all_output(folder: Path, done: Result) -> str:
    """Return everything that a run wrote and printed, without the server and the prompts."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".py" and file.name != "mcp.json"]
    texts = [file.read_text(encoding="utf-8") for file in files if file.name != "p.jsonl"]
    return "\n".join([done.stdout, done.stderr, *texts])


LEAKY = """
import json, os, sys, urllib.parse
secret, mode = os.environ["TOKEN"], sys.argv[1]
print("starting with", secret, file=sys.stderr, flush=True)
if mode == "exit":
    print("x" * 4090 + secret, file=sys.stderr, flush=True)
    sys.exit(3)
if mode == "noise":
    print("x" * 990 + secret, flush=True)
def send(number, **result):
    print(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    number, method = message.get("id"), message.get("method")
    if method == "initialize":
        version = message["params"]["protocolVersion"]
        info = {"name": "leaky " + secret, "version": "0"}
        send(number, protocolVersion=version, capabilities={"tools": {}}, serverInfo=info)
    elif method == "tools/list":
        send(number, tools=[{"name": "tell", "description": secret, "inputSchema": {"type": "object"}}])
    elif method == "tools/call":
        forms = [secret, json.dumps([secret]), urllib.parse.quote(secret, safe=""), "card-1234", "card-12345"]
        if "die" in message["params"]["arguments"]:
            print("x" * 4090, secret, file=sys.stderr, flush=True)
            os._exit(1)
        content = [{"type": "text", "text": item} for item in forms] + [{"type": "text", "text": "y" * 80 + secret}]
        send(number, content=content, structuredContent={"deep": [{secret: [secret]}]}, isError="fail" in message["params"]["arguments"])
    elif number is not None:
        print(json.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": secret}}), flush=True)
"""

ENCODING = """
import base64, html, json, os, sys, urllib.parse
secret = os.environ["TOKEN"]
go = lambda text: json.dumps(text).replace("&", "\\\\u0026").replace("<", "\\\\u003c")
forms = [secret, json.dumps(secret), json.dumps(json.dumps(secret)), go(secret), json.dumps(secret).replace("/", "\\\\/"),
         urllib.parse.quote(secret, safe=""), urllib.parse.quote(secret, safe="").lower(), html.escape(secret), repr(secret),
         base64.b64encode(b"user:" + secret.encode()).decode(), secret.encode().hex(), secret]
encoded = " ".join(forms)
print(encoded, file=sys.stderr, flush=True)
block = {"type": "text", "text": encoded, "id": secret, "role": secret, "tool_use_id": secret, secret: secret}
tool = {"name": "tell", "title": encoded, "description": encoded, "id": secret, "type": secret, "annotations": {"title": encoded},
        "inputSchema": {"type": "object", "properties": {"p": {"default": encoded}}}, "_meta": {secret: encoded}}
item = {"name": "it", "id": secret, "role": secret, "title": encoded, "_meta": {"type": secret, "id": secret}}
for line in sys.stdin:
    message = json.loads(line)
    number, method = message.get("id"), message.get("method")
    result = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "prompts": {}, "resources": {}},
                       "serverInfo": {"name": encoded, "version": encoded}, "instructions": encoded},
        "tools/list": {"tools": [tool]}, "prompts/list": {"prompts": [item]}, "resources/templates/list": {"resourceTemplates": []},
        "resources/list": {"resources": [{**item, "uri": "x:y", "mimeType": encoded}]},
        "tools/call": {"content": [block, {"type": "resource", "resource": {"uri": "x:" + secret, "text": encoded, "id": secret}},
                                   {"type": "resource_link", "uri": "x:" + secret, "name": encoded, "mimeType": encoded, "id": secret},
                                   {"type": "image", "data": "aGFsbG8=", "mimeType": encoded, "_meta": {"id": secret}}],
                       "structuredContent": {"id": secret, "type": secret, "deep": [{"role": secret, secret: 1}]}, "_meta": {"id": encoded}},
    }.get(method)
    if number is not None:
        wrong = {"error": {"code": -32000, "message": encoded, "data": {"id": secret, "type": encoded}}}
        fails = result is None or "fail" in message.get("params", {}).get("arguments", {})
        print(json.dumps({"jsonrpc": "2.0", "id": number, **(wrong if fails else {"result": result})}), flush=True)
"""
"""A server that sends its secret in every field and in many encodings."""


def test_encoded_secrets_are_redacted(mcprun: Forks, tmp_path: Path) -> None:
    """An encoded secret reaches no file, report or terminal, and the redacted run still replays without divergence."""
    secret = 'hunter&two/<s3cret>"42'
    (tmp_path / "tells.py").write_text(ENCODING)
    write_jsonl(tmp_path / "p.jsonl", script(("tell", {}), id="a"), script(("tell", {"fail": 1}), id="b"))
    env, reports = ("--env", f"TOKEN={secret}"), ("--junit", "j.xml", "--html", "r.html", "--markdown", "r.md")
    done = mcprun.run("batch", "p.jsonl", "tells.py", *env, *reports, "--out", "run", cwd=tmp_path)
    replayed = mcprun.run("batch", "p.jsonl", "tells.py", *env, "--model", "replay:run", "--out", "again", cwd=tmp_path)
    results = [done, replayed]
    commands: list[tuple[Any, ...]] = [
        ("diff", "run", "again"), ("show", "run", "a"), ("tools", "tells.py", *env, "--all", "--json", "--snapshot", "s.json"),
        ("tools", "tells.py", *env, "--lint"), ("init", "tells.py", *env, "--prompts", "first.jsonl", "--no-workflow"),
    ]  # fmt: skip
    results += [mcprun.run(*command, cwd=tmp_path) for command in commands]
    found = "\n".join(all_output(tmp_path, one) for one in results)
    for part in (
        "hunter",
        "s3cret",
        b64encode(secret.encode()).decode()[2:12],
        "68756e746572",
        b64encode(b"er:" + secret.encode()).decode()[8:16],
    ):
        assert part not in found
    assert (done.verdicts, replayed.verdicts, results[2].code) == (
        {"a": "passed", "b": "failed"},
        {"a": "passed", "b": "failed"},
        0,
    )
    assert [one.code for one in results] == [1, 1, 0, 0, 0, 0, 0]
    assert all(REDACTED in one.stdout for one in results[3:5])
    assert [transcript["calls"][0]["diverged"] for transcript in replayed.transcripts] == [False, False]


@pytest.mark.parametrize("mode", ["", "noise", "exit"])
def test_secrets_from_the_server_are_redacted(mcprun: Forks, tmp_path: Path, mode: str) -> None:
    """Secrets in stderr, names, results, errors and noise, whole or cut, are neither written nor printed."""
    (tmp_path / "leaky.py").write_text(LEAKY)
    entry = {"command": "python", "args": ["leaky.py", mode], "env": {"TOKEN": SECRET, "SHORT": "true"}}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"leaky": entry}}))
    queries = [
        script(("tell", {"arg": SECRET, "ok": True}), text=f"It is {SECRET}.", id="passes"),
        script(("tell", {"fail": 1}), id="fails", prompt=f"Tell me {SECRET} of card-0000"),
        script(("tell", {"die": 1}), id="dies"),
        {"id": "broken", "prompt": "x", "script": [
            {"calls": [{"tool": "tell"}]},
            {"calls": [{"tool": "tell", "input": {"a": {"$from": 0, "match": "nothing"}}}]},
            {"text": "x"},
        ]},
    ]  # fmt: skip
    write_jsonl(tmp_path / "p.jsonl", *queries)
    done = mcprun.run("batch", "p.jsonl", "mcp.json", "--redact", PATTERN, cwd=tmp_path)
    assert done.code == (3 if mode == "exit" else 1)
    found = all_output(tmp_path, done)
    for part in ("hunter2", "s3cret", "card-1", "card-0"):
        assert part not in found
    assert found.count(REDACTED) > (3 if mode == "exit" else 20)
    if mode != "exit":
        shown = mcprun.run("show", "latest", "passes", cwd=tmp_path)
        assert f"It is {REDACTED}." in shown.stdout
        assert done.transcripts[0]["calls"][0]["input"] == {"arg": REDACTED, "ok": True}
        assert done.transcripts[0]["calls"][0]["content"][4]["text"] == f"{REDACTED}5"


def test_api_key_in_a_response_is_redacted(mcprun: Forks, tmp_path: Path) -> None:
    """An API key that the endpoint repeats in responses and errors appears in no output of mcprun."""
    key = "sk-ant-verysecret"
    refusal = error(400, "invalid_request_error", f"bad key {key}")
    answers: dict[str, list[Answer]] = {"Which key?": [text(f"Your key is {key}.")], "Is it good?": [refusal]}
    with MessagesApi(scripted(answers), api_key=key) as api:
        write_jsonl(tmp_path / "p.jsonl", *answers)
        env = {"ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": api.url}
        done = mcprun.run("batch", "p.jsonl", SERVERS / "raw.py", cwd=tmp_path, env=env)
    assert [one["verdict"] for one in done.transcripts] == ["passed", "error"]
    found = all_output(tmp_path, done)
    assert (key in found, found.count(REDACTED) >= 2) == (False, True)


@pytest.mark.parametrize("is_flag", [True, False])
@pytest.mark.parametrize("model", ["claude-x", "foundry:x"])
def test_credentials_in_the_base_url_are_redacted(mcprun: Forks, tmp_path: Path, model: str, is_flag: bool) -> None:
    """User and password of the endpoint's URL are redacted, also as a Basic header, if the endpoint repeats them."""
    basic = b64encode(b"sekret-user:sekret-word").decode()
    reported = error(400, "invalid_request_error", f"sekret-user, your sekret-word ({basic}) is not mine")
    with FoundryApi(lambda _: reported) if ":" in model else BareApi(lambda _: reported) as api:
        write_jsonl(tmp_path / "p.jsonl", "Hi")
        url = api.url.replace("//", "//sekret-user:sekret-word@") + ("/anthropic" if ":" in model else "")
        variable = "ANTHROPIC_FOUNDRY_BASE_URL" if ":" in model else "ANTHROPIC_BASE_URL"
        keys = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_FOUNDRY_API_KEY": FoundryApi.key}
        flags, env = (("--base-url", url), keys) if is_flag else ((), {**keys, variable: url})
        done = mcprun.run("batch", "p.jsonl", RAW, "--model", model, "--bare-api", *flags, cwd=tmp_path, env=env)
    found = all_output(tmp_path, done)
    assert (done.code, len(api.requests)) == (3, 1)
    assert ("sekret" in found, basic in found, f"{REDACTED}, your {REDACTED}" in found) == (False, False, True)


def test_prompts_from_stdin_with_secrets_are_not_saved(mcprun: Forks, tmp_path: Path) -> None:
    """Prompts from stdin that contain secrets are not saved with the run, and a resume requires them again."""
    lines = "".join(json.dumps(script(("ok", {}), id=name, prompt=f"card-000{name}")) + "\n" for name in "12")
    args = (SERVERS / "raw.py", "--redact", PATTERN)
    (tmp_path / "p.jsonl").write_text(lines)
    point = mcprun.lines("batch", "p.jsonl", *args, "--out", "counted", cwd=tmp_path) * 3 // 4
    killed = mcprun.run("batch", "-", *args, "--out", "run", cwd=tmp_path, input=lines, kill=point)
    assert killed.code < 0
    resumed = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert (resumed.code, "pass them again, as -" in resumed.stderr) == (2, True)
    resumed = mcprun.run("batch", "--resume", "run", "-", cwd=tmp_path, input=lines)
    assert (resumed.code, [one["prompt"] for one in resumed.transcripts]) == (0, [REDACTED, REDACTED])
    assert not re.search(PATTERN, all_output(tmp_path, resumed))


def test_pattern_that_is_a_secret_is_not_saved(mcprun: Forks, tmp_path: Path) -> None:
    """A `--redact` pattern that matches itself is not recorded, and a resume requires it again."""
    write_jsonl(tmp_path / "p.jsonl", script(id="a"))
    done = mcprun.run("batch", "p.jsonl", SERVERS / "raw.py", "--redact", "hunter2", "--out", "run", cwd=tmp_path)
    assert (done.code, "hunter2" in all_output(tmp_path, done)) == (0, False)
    resumed = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert (
        resumed.code,
        "--redact of this run contains a secret and was not recorded: pass it again" in resumed.stderr,
    ) == (2, True)
    assert mcprun.run("batch", "--resume", "run", "--redact", "hunter2", cwd=tmp_path).code == 0


def test_env_values_reach_only_the_server(mcprun: Forks, tmp_path: Path) -> None:
    """`--env` values appear in no file, and a resume requires those that its own environment does not provide."""
    write_jsonl(tmp_path / "p.jsonl", script())
    server, env = SERVERS / "environment.py", {"B_TOKEN": "from-outside"}
    flags = ("--env", f"A_TOKEN={SECRET}", "--env", "B_TOKEN", "--out", "run")
    done = mcprun.run("batch", "p.jsonl", server, *flags, cwd=tmp_path, env=env)
    log = (done.run / "server.log").read_text()
    assert f"'A_TOKEN': '{REDACTED}'" in log
    assert f"'B_TOKEN': '{REDACTED}'" in log
    assert done.record["arguments"]["env"] == [f"A_TOKEN={REDACTED}", "B_TOKEN"]
    found = all_output(tmp_path, done)
    assert "hunter2" not in found
    assert "from-outside" not in found
    resumed = mcprun.run("batch", "--resume", "run", cwd=tmp_path, env=env)
    assert (resumed.code, "the value of A_TOKEN is a secret and was not recorded: pass it again" in resumed.stderr) == (
        2,
        True,
    )
    resumed = mcprun.run("batch", "--resume", "run", "--env", "A_TOKEN=x", "--env", "B_TOKEN=y", cwd=tmp_path)
    assert resumed.code == 0


def test_variable_that_is_not_utf8_is_redacted(mcprun: Forks, tmp_path: Path) -> None:
    """A variable that is not UTF-8 reaches the server as the same bytes, and is redacted in its log."""
    write_jsonl(tmp_path / "p.jsonl", script())
    (tmp_path / "tells.py").write_text(
        f"import os, sys\nsys.stderr.buffer.write(os.environb[b'A_TOKEN'] + b'\\n')\nexec(open({str(RAW)!r}).read())\n"
    )
    value = os.fsdecode(b"sekret\xff\xfetoken")
    done = mcprun.run("batch", "p.jsonl", "tells.py", "--env", "A_TOKEN", cwd=tmp_path, env={"A_TOKEN": value})
    assert (done.code, (done.run / "server.log").read_text().startswith(f"{REDACTED}\n")) == (0, True)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((SERVERS / "raw.py", "--header", "A: b"), "--header applies only to a URL"),
        (("http://127.0.0.1:1/mcp", "--env", "A=b"), "--env applies only to a server that mcprun starts"),
        (
            (SERVERS / "raw.py", "--env", "NOT_SET"),
            "'--env': expected NAME=VALUE, or the NAME of a variable that is set",
        ),
        (("http://127.0.0.1:1/mcp", "--header", "A"), "'--header': expected 'NAME: VALUE', in quotes"),
    ],
)
def test_invalid_env_and_header_are_refused(
    mcprun: Forks, tmp_path: Path, args: tuple[str | Path, ...], message: str
) -> None:
    """A malformed value, and a flag that does not apply to the server, are refused."""
    write_jsonl(tmp_path / "p.jsonl", script())
    done = mcprun.run("batch", "p.jsonl", *args, cwd=tmp_path)
    assert (done.code, message in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "secret", ["passed", "started", "content", "script", "messages", "assistant", "end_turn", "prompts"]
)
def test_secret_may_be_a_word_of_the_file_format(mcprun: Forks, tmp_path: Path, secret: str) -> None:
    """A secret that equals a key or value of the file format is redacted without making the files unreadable."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {"it": f"is {secret}"}), id="a"))
    done = mcprun.run("batch", "p.jsonl", SERVERS / "raw.py", "--env", f"WORD={secret}", "--out", "run", cwd=tmp_path)
    assert (done.code, done.transcripts[0]["calls"][0]["input"]) == (0, {"it": f"is {REDACTED}"})
    assert mcprun.run("show", "run", "a", cwd=tmp_path).code == 0
    resumed = mcprun.run("batch", "--resume", "run", "--env", f"WORD={secret}", "--redact", "[a-z]+ed", cwd=tmp_path)
    assert (resumed.code, resumed.verdicts) == (0, {"a": "passed"})


def test_keys_redacted_alike_stay_distinct() -> None:
    """If two keys of an object are redacted alike, both values are kept."""
    assert Redactor(patterns=[r"\d+"]).value({"1": "a", "2": "b"}) == {REDACTED: "a", f"{REDACTED} 1": "b"}


def test_scheme_of_a_header_is_not_secret(mcprun: Forks, tmp_path: Path) -> None:
    """`Bearer` alone is not redacted, but the credentials after it are."""
    target = HttpTarget("https://h/mcp", {"Authorization": "Bearer abcdefgh", "Accept": "application/json"})
    assert (
        Redactor(secrets_of(target)).text("a Bearer abcdefgh or application/json")
        == f"a {REDACTED} or application/json"
    )
    assert Redactor(secrets_of(target)).text("a Bearer token abcdefgh") == f"a Bearer token {REDACTED}"


@pytest.mark.parametrize("kind", ["http", "sse"])
@pytest.mark.parametrize(
    "place",
    [
        "sekret-token@{}/mcp",
        "sekret-token:@{}/mcp",
        "somebody:sekret%2ftoken%3D@{}/mcp",
        "sekret token:sekret^token%21@{}/mcp",
        "{}/mcp?key=sekret%2ftoken&debug",
        "{}/mcp?sekret-token&debug=true",
        "{}/mcp?key=sekret{{to+ken}}",
        "{}/mcp?key=value#sekret-token",
    ],
)
def test_secrets_in_a_server_url_are_redacted(mcprun: Forks, tmp_path: Path, kind: str, place: str) -> None:
    """User, password, query and fragment of a server's URL are redacted as written, as sent and as decoded.

    The server repeats them over HTTP, and fails over SSE.
    """
    entry = {"type": kind}
    (tmp_path / "p.jsonl").write_text(json.dumps(script(id="a")))
    with ThreadingHTTPServer(("127.0.0.1", 0), RevealingHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        entry["url"] = f"http://{place}".format(f"127.0.0.1:{server.server_port}")
        (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry}}))
        done = mcprun.run("batch", "p.jsonl", "mcp.json", cwd=tmp_path)
        server.shutdown()
    found = all_output(tmp_path, done)
    assert done.code == (0 if kind == "http" else 3)
    assert ("sekret" in found, "to+ken" in found, "c2Vrc" in found, REDACTED in found) == (False, False, False, True)


class RevealingHandler(BaseHTTPRequestHandler):
    """Repeat the path and the credentials of a request, encoded and decoded; answer GET with an error."""

    def do_GET(self) -> None:
        self.send_error(500)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        scheme, _, encoded = (self.headers["authorization"] or "").partition(" ")
        lines = [
            self.path,
            unquote_plus(self.path),
            encoded,
            b64decode(encoded).decode(),
            quote(b64decode(encoded), safe=""),
        ]
        info = {"name": " ".join([scheme, *lines, *b64decode(encoded).decode().split(":")]), "version": "0"}
        initialized = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
        results = {
            "initialize": initialized,
            "tools/list": {"tools": [{"name": "ok", "inputSchema": {"type": "object"}}]},
        }
        method = request["method"]
        answer = {"result": results[method]} if method in results else {"error": {"code": -32601, "message": "no"}}
        body = json.dumps({"jsonrpc": "2.0", "id": request.get("id"), **answer}).encode()
        self.send_response(200 if "id" in request else 202)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


def test_secrets_in_an_endless_line_are_redacted(mcprun: Forks, tmp_path: Path) -> None:
    """In a stderr line without a newline, each occurrence of a secret is redacted, and no other character is lost."""
    (tmp_path / "bar.py").write_text(BAR)
    write_jsonl(tmp_path / "p.jsonl", script(id="a"))
    secret = "sekret-token-0123456789"
    done = mcprun.run("batch", "p.jsonl", "bar.py", "--env", f"TOKEN={secret}", cwd=tmp_path)
    log = (done.run / "server.log").read_text()
    assert (done.code, secret in all_output(tmp_path, done), log.count(REDACTED)) == (0, False, 150)
    assert log.startswith(("." * 970 + REDACTED + "." * 7) * 150)


@pytest.mark.parametrize("pattern", [r"card-\d{4}", r"card-\d+", "card-.*?;", "(?s)card-.*?;", r"\S+"])
def test_stream_is_not_cut_inside_a_match(pattern: str) -> None:
    """A match of a pattern is never cut in two, and the buffer stays bounded even for a match that never ends."""
    redactor = Redactor(patterns=[pattern])
    lines, written = LineRedactor(redactor, 10_000), ""
    for _ in range(9_000):
        written += redactor.text(lines.take("card-1234; "[:7])) + redactor.text(lines.take("card-1234; "[7:]))
        assert len(lines.held) < 10_100
    assert "1234" not in written + redactor.text(lines.flush())


BAR = stdlib_server("""
import os, sys
for _ in range(150):
    sys.stderr.write("." * 970 + os.environ["TOKEN"] + "." * 7)
    sys.stderr.flush()
StdlibServer("bar").run()
""")


def test_redact_patterns_with_values_are_not_saved(mcprun: Forks, tmp_path: Path) -> None:
    """Neither the run nor `--show-config` contains a pattern that spells out a value; a resume requires it again."""
    server, value = SERVERS / "raw.py", r"s3cr3t\$word"
    write_jsonl(tmp_path / "p.jsonl", script(id="a"), script(id="b"))
    flags = ("--redact", value, "--redact", r"sk-\w+", "--redact", "another[.]one")
    shown = mcprun.run("batch", "p.jsonl", server, *flags, "--show-config", cwd=tmp_path)
    done = mcprun.run("batch", "p.jsonl", server, *flags, "--limit", "1", "--out", "run", cwd=tmp_path)
    files = "".join(file.read_text() for file in (tmp_path / "run").iterdir())
    assert (shown.code, done.code) == (0, 0)
    assert all("s3cr3t" not in text and "another" not in text for text in (shown.stdout, files))
    assert done.record["arguments"]["redact"] == [REDACTED, r"sk-\w+", REDACTED]
    resume = ("batch", "--resume", "run", "--limit", "2")
    for flags_again, expected in (
        ((), "--redact of this run contains a secret and was not recorded"),
        (flags[:2], "2 --redact patterns of this run contain secrets and were not recorded"),
    ):
        done = mcprun.run(*resume, *flags_again, cwd=tmp_path)
        assert (done.code, expected in done.stderr, "s3cr3t" in done.stderr) == (2, True, False)
    assert mcprun.run(*resume, *flags[:2], *flags[4:], cwd=tmp_path).code == 0


def test_warning_about_a_slow_pattern_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning shows the pattern even if the pattern matches itself, but redacts values in it."""
    monkeypatch.setattr(evaluator, "MATCH_SECONDS", 0.05)
    for pattern, shown in (
        ("^(a+)+$|takes.*", "^(a+)+$|takes.*"),
        ("^(a+)+$|.*hunter2-2", "^(a+)+$|.*[redacted]-2 (2 of 2)"),
        ("^(a+)+$|swordfish", "[redacted] (2 of 2)"),
        ("^(a+)+$|.*sk-secret-1", "^(a+)+$|.*[redacted]"),
    ):
        redactor = Redactor(["sk-secret-1"], ["hunter2", pattern])
        assert redactor.text("a" * 40 + "!") == REDACTED
        message = f"--redact {shown!r} took too long to match; the texts concerned are redacted as a whole"
        assert [message] == redactor.take_warnings()


def test_warning_about_a_slow_pattern_is_printed_and_traced(mcprun: Forks, tmp_path: Path) -> None:
    """The warning is printed and traced, even if the pattern matches every text."""
    write_jsonl(tmp_path / "p.jsonl", script(text="a" * 40 + "!", id="q"))
    done = mcprun.run("batch", "p.jsonl", SERVERS / "raw.py", "--redact", "^(a+)+$|(long|takes).*", cwd=tmp_path)
    message = "--redact '^(a+)+$|(long|takes).*' took too long to match; the texts concerned are redacted as a whole"
    assert f"Warning: {message}" in done.stderr
    assert [message] == [event["message"] for event in done.trace if event["event"] == "warning"]
