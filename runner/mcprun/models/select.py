"""Select the model of a run: `--model`, or what the key and the scripts allow. Models are imported only when opened."""

from __future__ import annotations

import asyncio
import importlib
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace

from mcprun.errors import NoJudgeError, UsageError
from mcprun.models.access_policy import RUN_CLIENT
from mcprun.models.base import Model, ModelSettings
from mcprun.models.credentials import Credentials
from mcprun.models.model_context import ModelContext
from mcprun.models.name_suggestions import similar_model
from mcprun.models.providers import KINDS, Endpoint, split
from mcprun.runs.locate import is_run
from mcprun.runs.run import Run
from mcprun.runs.run_record import ModelRecord

DEFAULT_MODEL = "claude-sonnet-5-5"
"""The Claude model that is used if none is named."""

_REPLAY = "replay:"


@dataclass(frozen=True, slots=True)
class SelectedModel:
    """The model of a run, or its judge, and why it was chosen. A judge may share the client of the run's model.

    If it `is_batched`, its turns go through Message Batches. `recording` is the run to replay, already read.
    """

    record: ModelRecord
    account: Credentials
    base_url: str | None = None
    settings: ModelSettings = field(default_factory=ModelSettings)
    shares_client: bool = False
    is_batched: bool = False
    recording: Run | None = None

    @property
    def api_name(self) -> str:
        """The model's name in the API, without its provider."""
        return split(self.record.name)[1] if self.record.is_asked else self.record.name

    async def load(self) -> None:
        """Import what the model needs in a thread, so that a server can start meanwhile.

        For Claude the import takes most of a second, which no other model needs.
        """
        if self.record.is_asked:
            await asyncio.to_thread(importlib.import_module, "mcprun.models.claude")

    @property
    def endpoint(self) -> Endpoint:
        """Where requests to the model go."""
        account = self.account
        return Endpoint(
            api_key=account.api_key,
            auth_token=None if account.api_key else account.auth_token,
            base_url=self.base_url or account.base_url,
            cloud=account.clouds.get(self.record.kind),
        )

    @asynccontextmanager
    async def open(self, context: ModelContext, client: str = RUN_CLIENT) -> AsyncIterator[Model]:
        """Open the model. Claude comes with its budget and retries. `client` identifies the credentials."""
        if self.record.kind == "script":
            from mcprun.models.script import ScriptModel

            yield ScriptModel(context.formatter)
        elif self.recording:
            from mcprun.models.replay import ReplayModel

            with closing(self.recording) as run:
                yield ReplayModel(run, context.scrubber, context.formatter, context.limits.concurrency)
        else:
            await self.load()
            from mcprun.models.claude import open_claude

            context = context if self.is_batched else replace(context, batch_context=None)
            async with open_claude(self.api_name, self.endpoint, self.settings, context, client) as model:
                yield model


def needs_script(spec: str | None) -> bool:
    """Return whether `--model` asks for the queries' scripts."""
    return spec == "script"


def choose(spec: str | None, account: Credentials, *, all_scripted: bool, base_url: str | None = None) -> SelectedModel:
    """Choose the model. `spec` is `--model` or `MCPRUN_MODEL`: a model's API name, `script` or `replay:RUN`.

    The name may have a provider as a prefix (`bedrock:NAME`), whose settings must be in `account`
    (`Credentials.at_clouds`). Without a `spec`, use Claude if there is a key, else the scripts if every query has one.

    Raises `UsageError` if neither applies, with the three options; if a named model has no key; if a recording can't be
    read, or is slim; or if there is a `base_url` and no model to use it.
    """
    choice = _choose(spec, account, all_scripted=all_scripted, base_url=base_url)
    if base_url and not choice.record.is_asked and not spec:  # a project may set it for all its runs
        raise UsageError(
            "--base-url needs an API key: set ANTHROPIC_API_KEY (to any value, if the endpoint needs none),"
            " or use --model script"
        )
    return choice


def choose_judge(spec: str | None, model: SelectedModel, judged: int) -> SelectedModel | None:
    """Choose the judge of the `judged` queries that have a rubric. `spec` is `--judge-model`; `none` means no judge.

    Without a `spec`, use the recorded judgements in a replay, else the run's own Claude, else the default model if
    there is a key. Raises `NoJudgeError` if no judge is available.
    """
    account = model.account
    if not judged or spec == "none":
        return None
    if not spec and model.record.kind == "replay":
        return SelectedModel(model.record, account)
    is_own = not spec and model.record.is_asked
    name = spec or (model.record.name if is_own else DEFAULT_MODEL)
    kind = split(name)[0] or "claude"
    base_url = model.base_url if kind == model.record.kind else None
    _check_name(name, base_url or account.base_url)
    if kind == "claude" and not account.has_key:
        raise NoJudgeError(
            f"queries that a model grades (expect.judge): {judged:,}, but there is no API key: set ANTHROPIC_API_KEY,"
            " replay a graded run, or skip grading with --judge-model none (in mcprun.toml:"
            ' judge-model = "none")'
        )
    why = "requested" if spec else "the run's own model" if is_own else "there is an API key"
    record = ModelRecord.model_validate({"kind": kind, "name": name, "chosen": why})
    return SelectedModel(record, account, base_url, settings=model.settings, shares_client=kind == model.record.kind)


def _choose(spec: str | None, account: Credentials, *, all_scripted: bool, base_url: str | None) -> SelectedModel:
    if spec == "script":
        return _selected("script", "script", "requested", account)
    if spec and spec.startswith(_REPLAY):
        if spec == _REPLAY:
            raise UsageError("--model replay: names no run; use --model replay:RUN, such as replay:latest")
        name = spec.removeprefix(_REPLAY)
        record = f"record one with: mcprun batch PROMPTS SERVER --out {shlex.quote(name)}"
        run = Run.read(name, noun="recording", advice=record)
        if run.record.slim:
            raise UsageError(
                f"{run.path} is a slim baseline, which holds no conversations to replay: replay the run that it was"
                " made from, or make the baseline without --slim"
            )
        _ = run.index  # raises for a broken recording before anything runs
        return replace(_selected("replay", f"{_REPLAY}{run.path}", "requested", account), recording=run)
    if spec and (kind := split(spec)[0]):
        return _selected(kind, spec, "requested", account, base_url)
    if spec:
        _check_name(spec, base_url or account.base_url)
    if spec and not account.has_key:
        raise UsageError(
            f"the model {spec} needs an API key: set ANTHROPIC_API_KEY in the environment or in .env"
            " (to any value, if the endpoint of --base-url needs none), or use --model script or --model replay:RUN"
        )
    if spec:
        return _selected("claude", spec, "requested", account, base_url)
    if account.has_key:
        return _selected("claude", DEFAULT_MODEL, "there is an API key", account, base_url)
    if all_scripted:
        return _selected("script", "script", "there is no API key, and every query has a script", account)
    raise UsageError(
        "no model: set ANTHROPIC_API_KEY (in the environment or in .env) to use Claude, give every query a script,"
        " or replay a recorded run with --model replay:RUN"
    )


def _check_name(spec: str, base_url: str | None) -> None:
    """Raise `UsageError` if a model's name is misspelled, names a run, or has a prefix that is not a known provider.

    The names of Claude's own models contain no colon. Those of an endpoint with a `base_url` may be anything.
    """
    if base_url or split(spec)[0]:
        return
    meant = similar_model(spec) or (f"{_REPLAY}{spec}" if is_run(spec) else "")
    if meant:
        raise UsageError(f"there is no model {spec}; did you mean {meant}?")
    if ":" in spec:
        *others, last = (f"{kind}:NAME" for kind in KINDS)
        raise UsageError(
            f"Claude's API has no model {spec}: the providers are {', '.join(others)} and {last}; any other endpoint"
            " needs --base-url"
        )


def _selected(kind: str, name: str, why: str, account: Credentials, base_url: str | None = None) -> SelectedModel:
    record = ModelRecord.model_validate({"kind": kind, "name": name, "chosen": why})
    return SelectedModel(record, account, base_url)
