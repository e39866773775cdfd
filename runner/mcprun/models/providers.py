"""Find the client arguments for Claude at other providers: Amazon Bedrock, Google Vertex AI and Microsoft Foundry.

Missing settings are reported before anything runs. The SDK is not imported here, and a provider's own library only if
its credentials have to be looked up.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mcprun.errors import UsageError

Environment = Mapping[str, str]
"""Variables of the environment, and those that `.env` adds."""

_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """A provider of Claude: `kind` is its name in mcprun, `title` its own.

    `settings` are arguments of the SDK's client, and `secrets` the values in them to redact. `refusals` are the
    exceptions that the provider's library raises if it turns out to have no credentials.
    """

    kind: str
    title: str
    settings: Mapping[str, Any] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    refusals: tuple[type[Exception], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests go: the URL of a Messages API and its credentials, or a `cloud`, which has its own."""

    api_key: str | None = field(default=None, repr=False)
    auth_token: str | None = field(default=None, repr=False)
    base_url: str | None = None
    cloud: Cloud | None = None


def split(spec: str) -> tuple[str | None, str]:
    """Split `bedrock:NAME` into provider and model name. The provider is None if the name has no such prefix."""
    kind, mark, name = spec.partition(":")
    return (kind, name) if mark and kind in _FINDERS else (None, spec)


def find(spec: str, environment: Environment, base_url: str | None = None) -> Cloud | None:
    """Return the provider of the model `spec` and its client settings, or None if it names no provider.

    `base_url` takes precedence over the provider's own variable. Raises `UsageError`, with what to set or to install,
    if something is missing.
    """
    kind, name = split(spec)
    if kind is None:
        return None
    if not name:
        raise UsageError(f"the model name is missing: use {kind}:NAME, with the provider's own name for the model")
    return _FINDERS[kind](spec, environment, base_url)


def _bedrock(spec: str, environment: Environment, base_url: str | None) -> Cloud:
    """Find the settings of Amazon Bedrock's InvokeModel: a Bedrock API key, or credentials from boto3 to sign with."""
    key = _value(environment, "AWS_BEARER_TOKEN_BEDROCK")
    region = _value(environment, "AWS_REGION") or _value(environment, "AWS_DEFAULT_REGION")
    url = _url(base_url, environment, "ANTHROPIC_BEDROCK_BASE_URL")
    if key and region:
        return Cloud(
            kind="bedrock", title="Bedrock", settings={"api_key": key, "aws_region": region, **url}, secrets=(key,)
        )
    if key:
        raise UsageError(f"the model {spec} needs a region: set AWS_REGION, such as us-east-1")
    boto3 = _library("boto3", "bedrock", spec)
    boto_error = importlib.import_module("botocore.exceptions").BotoCoreError
    signing = {
        name: value
        for name, value in (
            ("aws_access_key", _value(environment, "AWS_ACCESS_KEY_ID")),
            ("aws_secret_key", _value(environment, "AWS_SECRET_ACCESS_KEY")),
            ("aws_session_token", _value(environment, "AWS_SESSION_TOKEN")),
        )
        if value
    }
    if not signing and (profile := _value(environment, "AWS_PROFILE")):
        signing = {"aws_profile": profile}
    try:
        session = boto3.Session(
            region_name=region,
            profile_name=signing.get("aws_profile"),
            aws_access_key_id=signing.get("aws_access_key"),
            aws_secret_access_key=signing.get("aws_secret_key"),
            aws_session_token=signing.get("aws_session_token"),
        )
        found = session.get_credentials()
        frozen = found.get_frozen_credentials() if found else None
    except (boto_error, ValueError) as error:
        raise UsageError(f"no AWS credentials for the model {spec}: {error}") from None
    if frozen is None:
        raise UsageError(
            f"the model {spec} needs AWS credentials: set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if not session.region_name:
        raise UsageError(f"the model {spec} needs a region: set AWS_REGION, such as us-east-1")
    return Cloud(
        kind="bedrock",
        title="Bedrock",
        settings={"aws_region": session.region_name, **signing, **url},
        secrets=tuple(secret for secret in (frozen.access_key, frozen.secret_key, frozen.token) if secret),
        refusals=(boto_error,),
    )


def _vertex(spec: str, environment: Environment, base_url: str | None) -> Cloud:
    """Find the settings of Google Vertex AI: an access token as for gcloud, or application default credentials."""
    region, project = _value(environment, "CLOUD_ML_REGION"), _value(environment, "ANTHROPIC_VERTEX_PROJECT_ID")
    url = _url(base_url, environment, "ANTHROPIC_VERTEX_BASE_URL")
    if not region:
        raise UsageError(f"the model {spec} needs a region: set CLOUD_ML_REGION, such as global")
    settings: dict[str, Any] = {}
    refusals: tuple[type[Exception], ...] = ()
    token = _value(environment, "CLOUDSDK_AUTH_ACCESS_TOKEN")
    if token:
        settings["access_token"] = token
    else:
        auth = _library("google.auth", "vertex", spec)
        _library("google.auth.transport.requests", "vertex", spec)
        google_error = importlib.import_module("google.auth.exceptions").GoogleAuthError
        try:
            credentials, default_project = auth.default(scopes=[_GOOGLE_SCOPE])
        except google_error as error:
            raise UsageError(
                f"the model {spec} needs Google credentials: set CLOUDSDK_AUTH_ACCESS_TOKEN or"
                f" GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login ({_first_line(error)})"
            ) from None
        settings["credentials"] = credentials
        refusals = (google_error,)
        project = project or default_project
    if not project:
        raise UsageError(f"the model {spec} needs a project: set ANTHROPIC_VERTEX_PROJECT_ID")
    return Cloud(
        kind="vertex",
        title="Vertex AI",
        settings={"region": region, "project_id": project, **settings, **url},
        secrets=(token,) if token else (),
        refusals=refusals,
    )


def _foundry(spec: str, environment: Environment, base_url: str | None) -> Cloud:
    """Find the settings of Microsoft Foundry, which needs a key."""
    key, resource = _value(environment, "ANTHROPIC_FOUNDRY_API_KEY"), _value(environment, "ANTHROPIC_FOUNDRY_RESOURCE")
    location = _url(base_url, environment, "ANTHROPIC_FOUNDRY_BASE_URL") or ({"resource": resource} if resource else {})
    if not key:
        raise UsageError(f"the model {spec} needs a key: set ANTHROPIC_FOUNDRY_API_KEY")
    if not location:
        raise UsageError(
            f"the model {spec} needs a resource: set ANTHROPIC_FOUNDRY_RESOURCE to its name, or"
            " ANTHROPIC_FOUNDRY_BASE_URL to its URL"
        )
    return Cloud(kind="foundry", title="Foundry", settings={"api_key": key, **location}, secrets=(key,))


_FINDERS: Mapping[str, Callable[[str, Environment, str | None], Cloud]] = MappingProxyType(
    {"bedrock": _bedrock, "vertex": _vertex, "foundry": _foundry}
)

KINDS = tuple(_FINDERS)
"""The names of the providers, as they are prefixed to a model's name."""


def _value(environment: Environment, name: str) -> str | None:
    return environment.get(name, "").strip() or None


def _url(base_url: str | None, environment: Environment, name: str) -> dict[str, str]:
    url = base_url or _value(environment, name)
    return {"base_url": url} if url else {}


def _library(name: str, extra: str, spec: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        needed = name.split(".transport")[0]
        raise UsageError(f"the model {spec} needs {needed}: pip install 'mcprun[{extra}]'") from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
