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

pytestmark = pytest.mark.usefixtures("each_transport")

KINDS = SERVERS / "kinds.py"

CONVERSATION: dict[str, list[Answer]] = {"Greet Ada.": [calls(("structured", {"name": "Ada"})), text("Greeted.")]}

SONNET, TEN = "claude-sonnet-5-5", {"input_tokens": 5, "output_tokens": 5}

PAID = price(SONNET, Usage(input_tokens=5, output_tokens=5)) or 0.0
"""Price of such a reply in dollars, the same at Foundry and at the API."""

NO_CREDENTIALS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_GCE_CHECK": "true",
    "AWS_CONFIG_FILE": "none",
    "CLOUDSDK_CONFIG": "none",
}
"""Keeps the providers' libraries from using credentials of the machine."""

SIGNED = {
    "AWS_ACCESS_KEY_ID": "AKIAMADEUP",
    "AWS_SECRET_ACCESS_KEY": BedrockApi.secret,
    "AWS_REGION": BedrockApi.region,
}


def run_with_model(
    folder: Path, model: str, *args: str, env: dict[str, str], queries: tuple[Any, ...] = ("Greet Ada.",)
) -> Result:
    """Run queries with a model of a provider, in the environment that its users set up."""
    prompts = write_jsonl(folder / "p.jsonl", *queries)
    return run_mcprun("batch", prompts, KINDS, "--model", model, *args, cwd=folder, env={**NO_CREDENTIALS, **env})


def has_no_secret(done: Result, *secrets: str) -> bool:
    """Return whether no secret appears in the run's files or in its output."""
    written = b"".join(file.read_bytes() for file in done.run.iterdir()).decode()
    return not any(secret in place for secret in secrets for place in (written, done.stdout, done.stderr))


def cache_marks(body: Body) -> list[Any]:
    """Return the blocks of a request's messages that are marked for caching."""
    return [block for sent in body["messages"] for block in sent["content"] if "cache_control" in block]


def replays_identically(done: Result, folder: Path) -> bool:
    """Return whether the run replays to the same bytes without credentials."""
    replay = run_mcprun("batch", "p.jsonl", KINDS, "--model", f"replay:{done.run}", cwd=folder, env=NO_CREDENTIALS)
    return (replay.code, replay.bytes) == (done.code, done.bytes)


def test_bedrock_signs_with_aws_credentials(tmp_path: Path) -> None:
    """The path has the model's name unchanged, and the request is signed as AWS requires."""
    with BedrockApi(scripted(CONVERSATION)) as api:
        done = run_with_model(
            tmp_path,
            "bedrock:eu.anthropic.claude-sonnet-5-5-v1:0",
            env={**SIGNED, "ANTHROPIC_BEDROCK_BASE_URL": api.url},
        )
    assert (done.code, done.transcripts[0]["text"]) == (0, "Greeted."), done.stderr
    first, second = api.requests
    assert first.path == "/model/eu.anthropic.claude-sonnet-5-5-v1:0/invoke"
    assert first.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAMADEUP/")
    assert first.body["max_tokens"] == 16000
    assert [len(cache_marks(one.body)) for one in (first, second)] == [1, 1]
    assert second.body["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert done.record["model"] == {
        "kind": "bedrock", "name": "bedrock:eu.anthropic.claude-sonnet-5-5-v1:0", "chosen": "requested"
    }  # fmt: skip
    assert has_no_secret(done, BedrockApi.secret)
    assert "cache_control" not in done.bytes.decode()
    assert replays_identically(done, tmp_path)


def test_bedrock_accepts_a_bearer_token(tmp_path: Path) -> None:
    """A Bedrock API key is sent as a bearer token, also from `.env`."""
    (tmp_path / ".env").write_text(f"AWS_BEARER_TOKEN_BEDROCK={BedrockApi.token}\nAWS_REGION=eu-west-7\n")
    with BedrockApi(scripted(CONVERSATION)) as api:
        done = run_with_model(tmp_path, "bedrock:m", "--base-url", api.url, env={})
    assert (done.code, api.requests[0].headers["authorization"]) == (0, f"Bearer {BedrockApi.token}"), done.stderr
    assert has_no_secret(done, BedrockApi.token)


def test_chat_with_bedrock(tmp_path: Path) -> None:
    """A chat with Bedrock requests its reply without streaming, and prints it."""
    with BedrockApi(scripted({"hi": [text("Hello there.")]})) as api:
        env = {**SIGNED, "ANTHROPIC_BEDROCK_BASE_URL": api.url, "XDG_STATE_HOME": str(tmp_path)}
        done = run_mcprun("chat", KINDS, "--model", "bedrock:m", cwd=tmp_path, env=env, input="hi\nquit\n")
    assert (done.code, "Hello there." in done.stdout) == (0, True), done.stderr
    assert api.requests[0].path == "/model/m/invoke"


def test_vertex_accepts_an_access_token(tmp_path: Path) -> None:
    """Project, region and model are in the path of each request, and the access token is redacted."""
    env = {
        "CLOUD_ML_REGION": "europe-west9",
        "ANTHROPIC_VERTEX_PROJECT_ID": "shop",
        "CLOUDSDK_AUTH_ACCESS_TOKEN": VertexApi.token,
    }
    with VertexApi(scripted(CONVERSATION)) as api:
        done = run_with_model(
            tmp_path, "vertex:claude-sonnet-5-5@20260901", env={**env, "ANTHROPIC_VERTEX_BASE_URL": f"{api.url}/v1"}
        )
    assert done.code == 0, done.stderr
    assert {one.path for one in api.requests} == {
        "/v1/projects/shop/locations/europe-west9/publishers/anthropic/models/claude-sonnet-5-5@20260901:rawPredict"
    }
    assert [len(cache_marks(one.body)) for one in api.requests] == [1, 1]
    assert done.record["model"]["kind"] == "vertex"
    assert has_no_secret(done, VertexApi.token)
    assert replays_identically(done, tmp_path)


@pytest.fixture
def account(tmp_path: Path) -> dict[str, Any]:
    """Return a service account with a generated key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "type": "service_account", "project_id": "shop", "private_key_id": "1", "client_id": "1",
        "private_key": key.private_bytes(*form).decode(), "client_email": "me@shop.example",
    }  # fmt: skip


@pytest.mark.parametrize("grants", [True, False])
def test_vertex_requests_a_token_for_a_service_account(tmp_path: Path, account: dict[str, Any], grants: bool) -> None:
    """Google's library reads the account and its project; an account that is refused a token is one message."""
    with VertexApi(lambda _: text("ok")) as api:
        api.grants = grants
        file = tmp_path / "account.json"
        file.write_text(json.dumps({**account, "token_uri": f"{api.url}/token"}))
        env = {"CLOUD_ML_REGION": "europe-west9", "GOOGLE_APPLICATION_CREDENTIALS": str(file)}
        done = run_with_model(tmp_path, "vertex:m", "--base-url", f"{api.url}/v1", env=env, queries=("One", "Two"))
        claims = jwt.decode(api.assertion(), options={"verify_signature": False}) if grants else {}
    if grants:
        assert (done.code, claims["iss"]) == (0, "me@shop.example"), done.stderr
    else:
        assert (done.code, done.stderr.count("no credentials for the API")) == (3, 1)
        assert done.record["error"]["kind"] == "api_refused"
    assert has_no_secret(done, account["private_key"].splitlines()[5])


def test_foundry_accepts_a_key(tmp_path: Path) -> None:
    """Requests equal those to Anthropic's API, including caching, with Foundry's URL and key."""
    with FoundryApi(scripted(CONVERSATION)) as api:
        env = {"ANTHROPIC_FOUNDRY_API_KEY": FoundryApi.key, "ANTHROPIC_FOUNDRY_RESOURCE": "shop"}
        done = run_with_model(
            tmp_path, "foundry:claude-sonnet-5-5", "--base-url", f"{api.url}/anthropic", "--effort", "low", env=env
        )
    assert done.code == 0, done.stderr
    body = api.requests[0].body
    assert (body["model"], body["cache_control"], body["output_config"]) == (
        "claude-sonnet-5-5", {"type": "ephemeral"}, {"effort": "low"}
    )  # fmt: skip
    assert done.record["model"]["kind"] == "foundry"
    assert has_no_secret(done, FoundryApi.key)
    assert replays_identically(done, tmp_path)


@pytest.mark.parametrize(
    ("stub", "model", "path", "secret", "env"),
    [
        (BedrockApi, "bedrock:m", "", BedrockApi.secret, SIGNED),
        (BedrockApi, "bedrock:m", "", BedrockApi.token, {"AWS_BEARER_TOKEN_BEDROCK": BedrockApi.token, "AWS_REGION": "r"}),
        (VertexApi, "vertex:m", "/v1", VertexApi.token, {"CLOUD_ML_REGION": "europe-west9", "ANTHROPIC_VERTEX_PROJECT_ID": "shop", "CLOUDSDK_AUTH_ACCESS_TOKEN": VertexApi.token}),
        (FoundryApi, "foundry:m", "/anthropic", FoundryApi.key, {"ANTHROPIC_FOUNDRY_API_KEY": FoundryApi.key}),
    ],
)  # fmt: skip
def test_credentials_are_redacted(
    tmp_path: Path, stub: type[MessagesApi], model: str, path: str, secret: str, env: dict[str, str]
) -> None:
    """Credentials that a model or a provider's error repeats appear in no file and no message."""
    answers: dict[str, list[Answer]] = {
        "One": [text(f"It is {secret}.")],
        "Two": [error(400, "invalid_request_error", f"no {secret}")],
    }
    with stub(scripted(answers)) as api:
        done = run_with_model(tmp_path, model, "--base-url", f"{api.url}{path}", env=env, queries=("One", "Two"))
    assert sorted(done.verdicts.values()) == ["error", "passed"], done.stderr
    assert has_no_secret(done, secret)
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
def test_missing_settings_of_a_provider_are_named_before_the_run(
    tmp_path: Path, model: str, env: dict[str, str], message: str
) -> None:
    """Missing credentials, region or project exit with 2, one message that names the variable, and no run."""
    done = run_with_model(tmp_path, model, env={"HOME": str(tmp_path), **env})
    assert (done.code, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("model", "package", "extra"), [("bedrock:m", "boto3", "bedrock"), ("vertex:m", "google.auth", "vertex")]
)
def test_missing_library_is_named_with_its_extra(tmp_path: Path, model: str, package: str, extra: str) -> None:
    """Without the provider's library nothing runs, and one line names the extra to install."""
    write_jsonl(tmp_path / "p.jsonl", script())
    has_no_secret = f"import sys; sys.modules['{package}'] = None; from mcprun.cli import main; main()"
    command = [sys.executable, "-c", has_no_secret, "batch", "p.jsonl", str(KINDS), "--model", model]
    env = clean_environment() | VERTEX
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2, f"Error: the model {model} needs {package}: pip install 'mcprun[{extra}]'\n"
    )  # fmt: skip


def test_query_may_name_a_model_of_the_same_provider(tmp_path: Path) -> None:
    """The model's name is sent unchanged to the run's provider; a name with a provider is a bad line."""
    env = {"AWS_BEARER_TOKEN_BEDROCK": BedrockApi.token, "AWS_REGION": "eu-west-7"}
    queries = ("One", {"prompt": "Two", "model": "us.anthropic.claude-haiku-5-5"})
    with BedrockApi(lambda _: text("ok")) as api:
        done = run_with_model(tmp_path, "bedrock:m", "--base-url", api.url, env=env, queries=queries)
    assert done.code == 0
    assert {one.path for one in api.requests} == {"/model/m/invoke", "/model/us.anthropic.claude-haiku-5-5/invoke"}
    done = run_with_model(tmp_path, "bedrock:m", env=env, queries=({"prompt": "Two", "model": "vertex:m"},))
    assert (
        done.code,
        "model: must be a model name without a provider: that can only be set for the whole run" in done.stderr,
    ) == (
        2,
        True,
    )


def test_judge_may_use_another_provider(tmp_path: Path) -> None:
    """Model and judge are requested at their own providers, and `--base-url` applies to the model."""
    graded = {"prompt": "Hi", "expect": {"judge": "Is polite."}}
    env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_FOUNDRY_API_KEY": FoundryApi.key}
    verdict = json.dumps({"reason": "It is.", "passed": True})

    def answer(body: Body) -> Answer:
        return text(verdict if "conversation" in str(body.get("system")) else "Hello.")

    with MessagesApi(answer) as api, FoundryApi(answer) as foundry:
        foundry_url = f"{foundry.url}/anthropic"
        anthropic_env = {**env, "ANTHROPIC_BASE_URL": api.url}
        flags = ("--judge-model", "claude-grader", "--base-url", foundry_url)
        first = run_with_model(tmp_path, "foundry:m", *flags, env=anthropic_env, queries=(graded,))
        foundry_env = {**env, "ANTHROPIC_FOUNDRY_BASE_URL": foundry_url}
        flags = ("--judge-model", "foundry:grader", "--base-url", api.url)
        second = run_with_model(tmp_path, "claude-sonnet-5-5", *flags, env=foundry_env, queries=(graded,))
    assert (first.code, second.code) == (0, 0), first.stderr + second.stderr
    assert [one.body["model"] for one in api.requests] == ["claude-grader", "claude-sonnet-5-5"]
    assert [one.body["model"] for one in foundry.requests] == ["m", "grader"]
    assert second.record["judge"] == {"kind": "foundry", "name": "foundry:grader", "chosen": "requested"}


@pytest.mark.parametrize(
    ("flag", "limit", "then"),
    [("--budget-tokens", "30", "60"), ("--budget-usd", f"{PAID * 2.5:.9f}", f"{PAID * 5.5:.9f}")],
)
def test_model_and_judge_share_a_budget_across_providers(tmp_path: Path, flag: str, limit: str, then: str) -> None:
    """Usage of both is added up, and that of earlier processes counts once."""
    queries = tuple({"id": f"q{number}", "prompt": "Hi", "expect": {"judge": "Is polite."}} for number in range(4))
    verdict = text(json.dumps({"reason": "So it is.", "passed": True})) | {"usage": TEN}
    env = {"ANTHROPIC_FOUNDRY_API_KEY": FoundryApi.key, "ANTHROPIC_API_KEY": "sk-ant-test"}
    with FoundryApi(lambda _: text("Hello.") | {"usage": TEN}) as model, MessagesApi(lambda _: verdict) as judge:
        urls = {"ANTHROPIC_FOUNDRY_BASE_URL": f"{model.url}/anthropic", "ANTHROPIC_BASE_URL": judge.url}
        flags = ("--judge-model", SONNET, "--concurrency", "1", "--out", "run")
        done = run_with_model(tmp_path, f"foundry:{SONNET}", *flags, flag, limit, env={**env, **urls}, queries=queries)
        assert (done.code, list(done.verdicts.values())) == (3, ["passed"] + ["skipped"] * 3)
        assert (len(model.requests), len(judge.requests)) == (2, 1)
        resumed = run_mcprun(
            "batch", "--resume", "run", flag, then, cwd=tmp_path, env={**NO_CREDENTIALS, **env, **urls}
        )
        assert list(resumed.verdicts.values()) == ["passed", "passed", "skipped", "skipped"]
        assert len(model.requests) + len(judge.requests) == 6


def test_unknown_provider_is_refused(tmp_path: Path) -> None:
    """The message lists the providers, for the model and the judge; other endpoints accept names with a colon."""
    env = {"ANTHROPIC_API_KEY": "sk-ant-test"}
    message = (
        "Error: Claude's API has no model openai:gpt-4: the providers are bedrock:NAME, vertex:NAME and foundry:NAME"
    )
    graded = {"prompt": "Hi", "expect": {"judge": "Is polite."}}
    for model, flags in (("openai:gpt-4", ()), ("claude-sonnet-5-5", ("--judge-model", "openai:gpt-4"))):
        done = run_with_model(tmp_path, model, *flags, env=env, queries=(graded,))
        assert (done.code, message in done.stderr) == (2, True)
    with MessagesApi(lambda _: text("ok")) as api:
        for flags, environment in ((("--base-url", api.url), env), ((), {**env, "ANTHROPIC_BASE_URL": api.url})):
            assert run_with_model(tmp_path, "llama3:8b", *flags, env=environment, queries=("One",)).code == 0


def test_unused_judge_needs_no_credentials(tmp_path: Path) -> None:
    """Without a rubric, `--judge-model` needs no credentials."""
    done = run_with_model(tmp_path, "script", "--judge-model", "foundry:grader", env={}, queries=(script(),))
    assert done.code == 0, done.stderr


def test_provider_errors_are_handled_like_the_apis(tmp_path: Path) -> None:
    """A provider's 429 is retried; a refused key and an unknown model end the run with one message."""
    env = {"AWS_BEARER_TOKEN_BEDROCK": BedrockApi.token, "AWS_REGION": "eu-west-7"}
    answers: Iterator[Answer] = iter([error(429, "", "Too many requests", headers={"retry-after": "0"}), text("ok")])
    with BedrockApi(lambda _: next(answers), unknown_models={"gone"}) as api:
        flags = ("--base-url", api.url)
        throttled = run_with_model(tmp_path, "bedrock:m", *flags, env=env, queries=("One",))
        unknown = run_with_model(tmp_path, "bedrock:gone", *flags, env=env, queries=("One", "Two"))
        refused = run_with_model(
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


def test_budget_uses_the_providers_prices(tmp_path: Path) -> None:
    """Regional models of Bedrock cost 10% more; a model missing from a provider's list costs what the API charges."""
    usage = Usage(input_tokens=1000, output_tokens=1000)
    api = price("claude-sonnet-4-5", usage)
    assert api is not None
    assert price("us.anthropic.claude-sonnet-4-5-20250929-v1:0", usage, "bedrock") == pytest.approx(1.1 * api)
    assert price("claude-sonnet-4-5@20250929", usage, "vertex") == api
    assert price("claude-sonnet-4-5@20250929", usage, "bedrock") == api
    env = {"AWS_BEARER_TOKEN_BEDROCK": BedrockApi.token, "AWS_REGION": "eu-west-7"}
    with BedrockApi(lambda _: text("ok") | {"usage": {"input_tokens": 9, "output_tokens": 1}}) as stub:
        flags = ("--base-url", stub.url, "--budget-usd", "0.00001", "--concurrency", "1")
        done = run_with_model(
            tmp_path, "bedrock:us.anthropic.claude-sonnet-5-5", *flags, env=env, queries=("One", "Two")
        )
    assert (done.code, list(done.verdicts.values()), "no price" in done.stderr) == (3, ["passed", "skipped"], False)


def test_bare_api_works_without_caching_and_stop_reasons(tmp_path: Path) -> None:
    """With `--bare-api`, a query passes at an endpoint that rejects `cache_control` and sends no stop reason."""
    with BareApi(scripted(CONVERSATION)) as api:
        env = {"ANTHROPIC_API_KEY": "anything", "ANTHROPIC_BASE_URL": api.url}
        refused = run_with_model(tmp_path, "local-model", env=env)
        done = run_with_model(tmp_path, "local-model", "--bare-api", env=env)
    assert refused.code == 3
    assert refused.stderr.count("the API does not accept cache_control; use --bare-api to leave it out: 400") == 1
    assert (done.code, done.transcripts[0]["text"], done.transcripts[0]["usage"]["cache_read_input_tokens"]) == (
        0,
        "Greeted.",
        0,
    )
    assert [turn["stop_reason"] for turn in done.transcripts[0]["turns"]] == ["tool_use", "end_turn"]
    assert set(api.requests[-1].body) == {"model", "max_tokens", "messages", "tools"}
    assert replays_identically(done, tmp_path)


def test_judge_with_bare_api_gets_no_schema(tmp_path: Path) -> None:
    """With `--bare-api`, the judge's request has no output schema, and its instructions suffice for a verdict."""
    answers = iter([text("Hello."), text(json.dumps({"reason": "It is.", "passed": True}))])
    with BareApi(lambda _: next(answers)) as api:
        env = {"ANTHROPIC_API_KEY": "anything", "ANTHROPIC_BASE_URL": api.url}
        graded = {"prompt": "Hi", "expect": {"judge": "Is polite."}}
        done = run_with_model(tmp_path, "local-model", "--bare-api", env=env, queries=(graded,))
    assert done.code == 0, done.stderr


def test_missing_stop_reason_is_an_error(tmp_path: Path) -> None:
    """A reply without a stop reason is an error unless `--bare-api` is set."""
    with MessagesApi(lambda _: {**text("ok"), "stop_reason": None}) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        done = run_with_model(tmp_path, "claude-sonnet-5-5", "--no-retry", env=env)
    assert (done.code, done.transcripts[0]["error"]["message"]) == (
        3,
        "the API's response is not a message: stop_reason",
    )


def test_bare_api_cannot_be_combined_with_effort(tmp_path: Path) -> None:
    """`--bare-api` with `--effort` is refused."""
    done = run_with_model(tmp_path, "m", "--bare-api", "--effort", "low", env={"ANTHROPIC_API_KEY": "any"})
    assert (done.code, "--bare-api cannot be combined with --effort or --thinking" in done.stderr) == (2, True)
