"""Claude at cloud providers over real HTTP: the SDK's own clients against stand-ins."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mcprun.models.prices import price
from mcprun.runs.transcript import Usage
from tests.support.cli import SERVERS, Result, clean_environment, run_mcprun, script, write_jsonl
from tests.support.clouds_api import BareApi, BedrockApi, FoundryApi, VertexApi
from tests.support.messages_api import Answer, Body, MessagesApi, calls, error, scripted, text

KINDS = SERVERS / "kinds.py"

CONVERSATION: dict[str, list[Answer]] = {"Greet Ada.": [calls(("structured", {"name": "Ada"})), text("Greeted.")]}

SONNET, TEN = "claude-sonnet-5-5", {"input_tokens": 5, "output_tokens": 5}

PAID = price(SONNET, Usage(input_tokens=5, output_tokens=5)) or 0.0
"""Dollars that such a reply costs, at Foundry as at the API."""

ALONE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_GCE_CHECK": "true",
    "AWS_CONFIG_FILE": "none",
    "CLOUDSDK_CONFIG": "none",
}
"""Keeps the providers' libraries from looking for credentials of the machine that the tests run on."""

SIGNED = {
    "AWS_ACCESS_KEY_ID": "AKIAMADEUP",
    "AWS_SECRET_ACCESS_KEY": BedrockApi.secret,
    "AWS_REGION": BedrockApi.region,
}


def ask(
    folder: Path, model: str, *args: str, env: dict[str, str], queries: tuple[Any, ...] = ("Greet Ada.",)
) -> Result:
    """Run queries with a model, as its provider's users have set their environment up."""
    prompts = write_jsonl(folder / "p.jsonl", *queries)
    return run_mcprun("batch", prompts, KINDS, "--model", model, *args, cwd=folder, env={**ALONE, **env})


def hidden(done: Result, *secrets: str) -> bool:
    """Whether a secret is in no file of the run and in nothing that was printed."""
    written = b"".join(file.read_bytes() for file in done.run.iterdir()).decode()
    return not any(secret in place for secret in secrets for place in (written, done.stdout, done.stderr))


def cached(body: Body) -> list[Any]:
    """Where a request asks for caching: the last block of its last message, as a list of one."""
    return [block for sent in body["messages"] for block in sent["content"] if "cache_control" in block]


def replayed(done: Result, folder: Path) -> bool:
    """Whether a run can be played back without any credentials, to the same bytes."""
    again = run_mcprun("batch", "p.jsonl", KINDS, "--model", f"replay:{done.run}", cwd=folder, env=ALONE)
    return (again.code, again.bytes) == (done.code, done.bytes)


def test_bedrock_signs_with_aws_credentials(tmp_path: Path) -> None:
    """The model's name is in the path, untouched, and the signature is one that AWS would make of the request."""
    with BedrockApi(scripted(CONVERSATION)) as api:
        done = ask(
            tmp_path,
            "bedrock:eu.anthropic.claude-sonnet-5-5-v1:0",
            env={**SIGNED, "ANTHROPIC_BEDROCK_BASE_URL": api.url},
        )
    assert (done.code, done.transcripts[0]["text"]) == (0, "Greeted."), done.stderr
    first, second = api.requests
    assert first.path == "/model/eu.anthropic.claude-sonnet-5-5-v1:0/invoke"
    assert first.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAMADEUP/")
    assert first.body["max_tokens"] == 16000
    assert [len(cached(one.body)) for one in (first, second)] == [1, 1]
    assert second.body["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert done.record["model"] == {
        "kind": "bedrock", "name": "bedrock:eu.anthropic.claude-sonnet-5-5-v1:0", "chosen": "asked for"
    }  # fmt: skip
    assert hidden(done, BedrockApi.secret)
    assert "cache_control" not in done.bytes.decode()
    assert replayed(done, tmp_path)


def test_bedrock_takes_a_key_of_its_own(tmp_path: Path) -> None:
    """A key of Bedrock's goes as it is, from `.env` as well, and needs no library."""
    (tmp_path / ".env").write_text(f"AWS_BEARER_TOKEN_BEDROCK={BedrockApi.token}\nAWS_REGION=eu-west-7\n")
    with BedrockApi(scripted(CONVERSATION)) as api:
        done = ask(tmp_path, "bedrock:m", "--base-url", api.url, env={})
    assert (done.code, api.requests[0].headers["authorization"]) == (0, f"Bearer {BedrockApi.token}"), done.stderr
    assert hidden(done, BedrockApi.token)


def test_a_chat_with_bedrock(tmp_path: Path) -> None:
    """Its streams are of another form: the answer is asked for in one piece, and shown."""
    with BedrockApi(scripted({"hi": [text("Hello there.")]})) as api:
        env = {**SIGNED, "ANTHROPIC_BEDROCK_BASE_URL": api.url, "XDG_STATE_HOME": str(tmp_path)}
        done = run_mcprun("chat", KINDS, "--model", "bedrock:m", cwd=tmp_path, env=env, input="hi\nquit\n")
    assert (done.code, "Hello there." in done.stdout) == (0, True), done.stderr
    assert api.requests[0].path == "/model/m/invoke"


def test_vertex_takes_an_access_token(tmp_path: Path) -> None:
    """Project, region and model are in the path; the version of the API is in the body."""
    env = {
        "CLOUD_ML_REGION": "europe-west9",
        "ANTHROPIC_VERTEX_PROJECT_ID": "shop",
        "CLOUDSDK_AUTH_ACCESS_TOKEN": VertexApi.token,
    }
    with VertexApi(scripted(CONVERSATION)) as api:
        done = ask(
            tmp_path, "vertex:claude-sonnet-5-5@20260901", env={**env, "ANTHROPIC_VERTEX_BASE_URL": f"{api.url}/v1"}
        )
    assert done.code == 0, done.stderr
    assert {one.path for one in api.requests} == {
        "/v1/projects/shop/locations/europe-west9/publishers/anthropic/models/claude-sonnet-5-5@20260901:rawPredict"
    }
    assert [len(cached(one.body)) for one in api.requests] == [1, 1]
    assert done.record["model"]["kind"] == "vertex"
    assert hidden(done, VertexApi.token)
    assert replayed(done, tmp_path)


@pytest.fixture
def account(tmp_path: Path) -> dict[str, Any]:
    """Make a service account with a key of its own."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "type": "service_account", "project_id": "shop", "private_key_id": "1", "client_id": "1",
        "private_key": key.private_bytes(*form).decode(), "client_email": "me@shop.example",
    }  # fmt: skip


@pytest.mark.parametrize("grants", [True, False])
def test_vertex_asks_for_a_token_as_a_service_account(tmp_path: Path, account: dict[str, Any], grants: bool) -> None:
    """Google's own library finds the account, its project too; an account that gets no token is one message."""
    with VertexApi(lambda _: text("ok")) as api:
        api.grants = grants
        file = tmp_path / "account.json"
        file.write_text(json.dumps({**account, "token_uri": f"{api.url}/token"}))
        env = {"CLOUD_ML_REGION": "europe-west9", "GOOGLE_APPLICATION_CREDENTIALS": str(file)}
        done = ask(tmp_path, "vertex:m", "--base-url", f"{api.url}/v1", env=env, queries=("One", "Two"))
        claims = jwt.decode(api.assertion(), options={"verify_signature": False}) if grants else {}
    if grants:
        assert (done.code, claims["iss"]) == (0, "me@shop.example"), done.stderr
    else:
        assert (done.code, done.stderr.count("no credentials for the API")) == (3, 1)
        assert done.record["error"]["kind"] == "api_refused"
    assert hidden(done, account["private_key"].splitlines()[5])


def test_foundry_takes_a_key(tmp_path: Path) -> None:
    """The API is the same as Anthropic's, behind another place and key; caching is asked for as there."""
    with FoundryApi(scripted(CONVERSATION)) as api:
        env = {"ANTHROPIC_FOUNDRY_API_KEY": FoundryApi.key, "ANTHROPIC_FOUNDRY_RESOURCE": "shop"}
        done = ask(
            tmp_path, "foundry:claude-sonnet-5-5", "--base-url", f"{api.url}/anthropic", "--effort", "low", env=env
        )
    assert done.code == 0, done.stderr
    body = api.requests[0].body
    assert (body["model"], body["cache_control"], body["output_config"]) == (
        "claude-sonnet-5-5", {"type": "ephemeral"}, {"effort": "low"}
    )  # fmt: skip
    assert done.record["model"]["kind"] == "foundry"
    assert hidden(done, FoundryApi.key)
    assert replayed(done, tmp_path)


@pytest.mark.parametrize(
    ("stub", "model", "path", "secret", "env"),
    [
        (BedrockApi, "bedrock:m", "", BedrockApi.secret, SIGNED),
        (BedrockApi, "bedrock:m", "", BedrockApi.token, {"AWS_BEARER_TOKEN_BEDROCK": BedrockApi.token, "AWS_REGION": "r"}),
        (VertexApi, "vertex:m", "/v1", VertexApi.token, {"CLOUD_ML_REGION": "europe-west9", "ANTHROPIC_VERTEX_PROJECT_ID": "shop", "CLOUDSDK_AUTH_ACCESS_TOKEN": VertexApi.token}),
        (FoundryApi, "foundry:m", "/anthropic", FoundryApi.key, {"ANTHROPIC_FOUNDRY_API_KEY": FoundryApi.key}),
    ],
)  # fmt: skip
def test_credentials_are_secrets(
    tmp_path: Path, stub: type[MessagesApi], model: str, path: str, secret: str, env: dict[str, str]
) -> None:
    """Whoever repeats them, a model or a provider's error, they are in no file and no message."""
    answers: dict[str, list[Answer]] = {
        "One": [text(f"It is {secret}.")],
        "Two": [error(400, "invalid_request_error", f"no {secret}")],
    }
    with stub(scripted(answers)) as api:
        done = ask(tmp_path, model, "--base-url", f"{api.url}{path}", env=env, queries=("One", "Two"))
    assert sorted(done.verdicts.values()) == ["error", "passed"], done.stderr
    assert hidden(done, secret)
    assert done.transcripts[0]["text"] == "It is [redacted]."


VERTEX = {"CLOUD_ML_REGION": "global"}


@pytest.mark.parametrize(
    ("model", "env", "message"),
    [
        ("bedrock:", {}, "the model name is missing: use bedrock:NAME"),
        ("bedrock:m", {"AWS_REGION": "r"}, "the model bedrock:m needs AWS credentials: set AWS_BEARER_TOKEN_BEDROCK, or"),
        ("bedrock:m", {"AWS_BEARER_TOKEN_BEDROCK": "token-made-up"}, "the model bedrock:m needs a region: set AWS_REGION"),
        ("bedrock:m", {**SIGNED, "AWS_REGION": ""}, "the model bedrock:m needs a region: set AWS_REGION"),
        ("bedrock:m", {"AWS_PROFILE": "gone"}, "no AWS credentials for the model bedrock:m: The config profile (gone)"),
        ("vertex:m", {}, "the model vertex:m needs a region: set CLOUD_ML_REGION"),
        ("vertex:m", VERTEX, "the model vertex:m needs Google credentials: set CLOUDSDK_AUTH_ACCESS_TOKEN or"),
        ("vertex:m", {**VERTEX, "CLOUDSDK_AUTH_ACCESS_TOKEN": "t"}, "needs a project: set ANTHROPIC_VERTEX_PROJECT_ID"),
        ("foundry:m", {}, "the model foundry:m needs a key: set ANTHROPIC_FOUNDRY_API_KEY"),
        ("foundry:m", {"ANTHROPIC_FOUNDRY_API_KEY": "k"}, "needs a resource: set ANTHROPIC_FOUNDRY_RESOURCE"),
    ],
)  # fmt: skip
def test_what_a_provider_lacks_is_said_before_anything_runs(
    tmp_path: Path, model: str, env: dict[str, str], message: str
) -> None:
    """Credentials, a region, a project: one message with what to set, exit 2, and no run."""
    done = ask(tmp_path, model, env={"HOME": str(tmp_path), **env})
    assert (done.code, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("model", "package", "extra"), [("bedrock:m", "boto3", "bedrock"), ("vertex:m", "google.auth", "vertex")]
)
def test_a_missing_library_is_named_with_its_command(tmp_path: Path, model: str, package: str, extra: str) -> None:
    """Without the extra, nothing runs, and one line says what to install."""
    write_jsonl(tmp_path / "p.jsonl", script())
    hidden = f"import sys; sys.modules['{package}'] = None; from mcprun.cli import main; main()"
    command = [sys.executable, "-c", hidden, "batch", "p.jsonl", str(KINDS), "--model", model]
    env = clean_environment() | VERTEX
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2, f"Error: the model {model} needs {package}: pip install 'mcprun[{extra}]'\n"
    )  # fmt: skip


def test_a_query_names_a_model_of_the_same_provider(tmp_path: Path) -> None:
    """Its name goes to the run's provider untouched; a provider of its own is refused with the line."""
    env = {"AWS_BEARER_TOKEN_BEDROCK": BedrockApi.token, "AWS_REGION": "eu-west-7"}
    queries = ("One", {"prompt": "Two", "model": "us.anthropic.claude-haiku-5-5"})
    with BedrockApi(lambda _: text("ok")) as api:
        done = ask(tmp_path, "bedrock:m", "--base-url", api.url, env=env, queries=queries)
    assert done.code == 0
    assert {one.path for one in api.requests} == {"/model/m/invoke", "/model/us.anthropic.claude-haiku-5-5/invoke"}
    done = ask(tmp_path, "bedrock:m", env=env, queries=({"prompt": "Two", "model": "vertex:m"},))
    assert (
        done.code,
        "model: must be a model name without a provider: that can only be set for the whole run" in done.stderr,
    ) == (
        2,
        True,
    )


def test_a_judge_may_be_at_another_provider(tmp_path: Path) -> None:
    """Model and judge each name their provider, and are asked at their own places; `--base-url` is the model's."""
    graded = {"prompt": "Hi", "expect": {"judge": "Is polite."}}
    env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_FOUNDRY_API_KEY": FoundryApi.key}
    verdict = json.dumps({"reason": "It is.", "passed": True})

    def answer(body: Body) -> Answer:
        return text(verdict if "conversation" in str(body.get("system")) else "Hello.")

    with MessagesApi(answer) as api, FoundryApi(answer) as foundry:
        place = f"{foundry.url}/anthropic"
        there = {**env, "ANTHROPIC_BASE_URL": api.url}
        flags = ("--judge-model", "claude-grader", "--base-url", place)
        first = ask(tmp_path, "foundry:m", *flags, env=there, queries=(graded,))
        here = {**env, "ANTHROPIC_FOUNDRY_BASE_URL": place}
        flags = ("--judge-model", "foundry:grader", "--base-url", api.url)
        second = ask(tmp_path, "claude-sonnet-5-5", *flags, env=here, queries=(graded,))
    assert (first.code, second.code) == (0, 0), first.stderr + second.stderr
    assert [one.body["model"] for one in api.requests] == ["claude-grader", "claude-sonnet-5-5"]
    assert [one.body["model"] for one in foundry.requests] == ["m", "grader"]
    assert second.record["judge"] == {"kind": "foundry", "name": "foundry:grader", "chosen": "asked for"}


@pytest.mark.parametrize(
    ("flag", "limit", "then"),
    [("--budget-tokens", "30", "60"), ("--budget-usd", f"{PAID * 2.5:.9f}", f"{PAID * 5.5:.9f}")],
)
def test_a_judge_at_another_provider_has_no_budget_of_its_own(tmp_path: Path, flag: str, limit: str, then: str) -> None:
    """What both take is counted together, and what earlier processes took counts once."""
    queries = tuple({"id": f"q{number}", "prompt": "Hi", "expect": {"judge": "Is polite."}} for number in range(4))
    verdict = text(json.dumps({"reason": "So it is.", "passed": True})) | {"usage": TEN}
    env = {"ANTHROPIC_FOUNDRY_API_KEY": FoundryApi.key, "ANTHROPIC_API_KEY": "sk-ant-test"}
    with FoundryApi(lambda _: text("Hello.") | {"usage": TEN}) as model, MessagesApi(lambda _: verdict) as judge:
        urls = {"ANTHROPIC_FOUNDRY_BASE_URL": f"{model.url}/anthropic", "ANTHROPIC_BASE_URL": judge.url}
        asked = ("--judge-model", SONNET, "--concurrency", "1", "--out", "run")
        done = ask(tmp_path, f"foundry:{SONNET}", *asked, flag, limit, env={**env, **urls}, queries=queries)
        assert (done.code, list(done.verdicts.values())) == (3, ["passed"] + ["skipped"] * 3)
        assert (len(model.requests), len(judge.requests)) == (2, 1)
        again = run_mcprun("batch", "--resume", "run", flag, then, cwd=tmp_path, env={**ALONE, **env, **urls})
        assert list(again.verdicts.values()) == ["passed", "passed", "skipped", "skipped"]
        assert len(model.requests) + len(judge.requests) == 6


def test_a_provider_that_there_is_not(tmp_path: Path) -> None:
    """Those that there are get named, with a key too, and for the judge; an endpoint may have any names."""
    env = {"ANTHROPIC_API_KEY": "sk-ant-test"}
    message = (
        "Error: Claude's API has no model openai:gpt-4: the providers are bedrock:NAME, vertex:NAME and foundry:NAME"
    )
    graded = {"prompt": "Hi", "expect": {"judge": "Is polite."}}
    for model, flags in (("openai:gpt-4", ()), ("claude-sonnet-5-5", ("--judge-model", "openai:gpt-4"))):
        done = ask(tmp_path, model, *flags, env=env, queries=(graded,))
        assert (done.code, message in done.stderr) == (2, True)
    with MessagesApi(lambda _: text("ok")) as api:
        for flags, there in ((("--base-url", api.url), env), ((), {**env, "ANTHROPIC_BASE_URL": api.url})):
            assert ask(tmp_path, "llama3:8b", *flags, env=there, queries=("One",)).code == 0


def test_a_judge_that_nobody_needs_lacks_nothing(tmp_path: Path) -> None:
    """Without a rubric, the judge's credentials are not looked for."""
    done = ask(tmp_path, "script", "--judge-model", "foundry:grader", env={}, queries=(script(),))
    assert done.code == 0, done.stderr


def test_throttling_and_refusals_are_those_of_claude(tmp_path: Path) -> None:
    """A provider's 429 is retried; keys and models that it does not know end the run with one message."""
    env = {"AWS_BEARER_TOKEN_BEDROCK": BedrockApi.token, "AWS_REGION": "eu-west-7"}
    answers: Iterator[Answer] = iter([error(429, "", "Too many requests", headers={"retry-after": "0"}), text("ok")])
    with BedrockApi(lambda _: next(answers), unknown_models={"gone"}) as api:
        flags = ("--base-url", api.url)
        throttled = ask(tmp_path, "bedrock:m", *flags, env=env, queries=("One",))
        unknown = ask(tmp_path, "bedrock:gone", *flags, env=env, queries=("One", "Two"))
        refused = ask(
            tmp_path,
            "bedrock:m",
            *flags,
            env={**env, "AWS_BEARER_TOKEN_BEDROCK": "wrong-token"},
            queries=("One", "Two"),
        )
    (retry,) = (event for event in throttled.trace if event["event"] == "retry")
    assert (throttled.code, retry["status"]) == (0, 429)
    message = "the API has no model 'gone': 400: The provided model identifier is invalid."
    assert (unknown.code, unknown.stderr.count(message)) == (3, 1)
    assert (
        refused.stderr.count("the API refused the key: 403: The security token included in the request is invalid.")
        == 1
    )


def test_a_budget_knows_a_providers_prices(tmp_path: Path) -> None:
    """Regional models of Bedrock cost more than the API; what a provider's list lacks costs what it does there."""
    usage = Usage(input_tokens=1000, output_tokens=1000)
    api = price("claude-sonnet-4-5", usage)
    assert api is not None
    assert price("us.anthropic.claude-sonnet-4-5-20250929-v1:0", usage, "bedrock") == pytest.approx(1.1 * api)
    assert price("claude-sonnet-4-5@20250929", usage, "vertex") == api
    assert price("claude-sonnet-4-5@20250929", usage, "bedrock") == api
    env = {"AWS_BEARER_TOKEN_BEDROCK": BedrockApi.token, "AWS_REGION": "eu-west-7"}
    with BedrockApi(lambda _: text("ok") | {"usage": {"input_tokens": 9, "output_tokens": 1}}) as stub:
        flags = ("--base-url", stub.url, "--budget-usd", "0.00001", "--concurrency", "1")
        done = ask(tmp_path, "bedrock:us.anthropic.claude-sonnet-5-5", *flags, env=env, queries=("One", "Two"))
    assert (done.code, list(done.verdicts.values()), "no price" in done.stderr) == (3, ["passed", "skipped"], False)


def test_a_server_that_knows_the_bare_api(tmp_path: Path) -> None:
    """With `--bare-api` and any key, a local server that takes no caching and gives no stop reason ends passed."""
    with BareApi(scripted(CONVERSATION)) as api:
        env = {"ANTHROPIC_API_KEY": "anything", "ANTHROPIC_BASE_URL": api.url}
        refused = ask(tmp_path, "local-model", env=env)
        done = ask(tmp_path, "local-model", "--bare-api", env=env)
    assert refused.code == 3
    assert refused.stderr.count("the API does not accept cache_control; use --bare-api to leave it out: 400") == 1
    assert (done.code, done.transcripts[0]["text"], done.transcripts[0]["usage"]["cache_read_input_tokens"]) == (
        0,
        "Greeted.",
        0,
    )
    assert [turn["stop_reason"] for turn in done.transcripts[0]["turns"]] == ["tool_use", "end_turn"]
    assert set(api.requests[-1].body) == {"model", "max_tokens", "messages", "tools"}
    assert replayed(done, tmp_path)


def test_a_bare_judge_is_asked_without_a_schema(tmp_path: Path) -> None:
    """What the judge is told says what to answer; a schema is not sent where nobody knows it."""
    answers = iter([text("Hello."), text(json.dumps({"reason": "It is.", "passed": True}))])
    with BareApi(lambda _: next(answers)) as api:
        env = {"ANTHROPIC_API_KEY": "anything", "ANTHROPIC_BASE_URL": api.url}
        graded = {"prompt": "Hi", "expect": {"judge": "Is polite."}}
        done = ask(tmp_path, "local-model", "--bare-api", env=env, queries=(graded,))
    assert done.code == 0, done.stderr


def test_no_stop_reason_is_no_answer_of_the_api(tmp_path: Path) -> None:
    """Only an endpoint that is said to be bare may leave it out."""
    with MessagesApi(lambda _: {**text("ok"), "stop_reason": None}) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        done = ask(tmp_path, "claude-sonnet-5-5", "--no-retry", env=env)
    assert (done.code, done.transcripts[0]["error"]["message"]) == (
        3,
        "the API's response is not a message: stop_reason",
    )


def test_flags_that_a_bare_api_does_not_know(tmp_path: Path) -> None:
    """Effort and thinking can't be asked for and left out at once."""
    done = ask(tmp_path, "m", "--bare-api", "--effort", "low", env={"ANTHROPIC_API_KEY": "any"})
    assert (done.code, "--bare-api cannot be combined with --effort or --thinking" in done.stderr) == (2, True)
