"""Build the run plan of `mcprun chat`, and find all usage errors before the chat begins."""

from __future__ import annotations

from dataclasses import replace

from mcprun._util.json_value import JsonObject
from mcprun.chat.session import prompts_of
from mcprun.engine.options import Options
from mcprun.engine.plan import check_api, model_settings
from mcprun.engine.run import RunPlan
from mcprun.engine.server_options import client_features, resolve_server
from mcprun.errors import UsageError
from mcprun.models.credentials import Credentials
from mcprun.models.select import choose
from mcprun.tools.toolset import ToolFilter

_NEEDS_MODEL = (
    "needs a live model: set ANTHROPIC_API_KEY (in the environment or in .env) to use Claude, or name an endpoint of"
    " the Messages API with --base-url and --model; use mcprun batch for scripts and recordings"
)


def make_chat_plan(server: str, options: Options, arguments: JsonObject) -> RunPlan:
    """Validate the options, read the files that they name, and return the plan.

    `arguments` are the user's, as `run.json` records them. Raises `UsageError`, also if no model can answer the chat.
    """
    account = Credentials.find()
    spec = options.model or account.model
    account = account.at_clouds(spec, None, options.base_url)
    target, redactor = resolve_server(server, options, account)
    if options.limits.budget_usd is not None:
        import mcprun.models.prices  # noqa: F401  raises `UsageError` if the extra is missing
    if options.elicit == "script":
        raise UsageError(
            "--elicit script takes answers from queries, and a chat has none: use --elicit decline or --elicit defaults"
        )
    if not spec and not account.has_key:
        raise UsageError(f"a chat {_NEEDS_MODEL}")
    model = choose(spec, account, all_scripted=False, base_url=options.base_url)
    if model.record.kind in ("script", "replay"):
        raise UsageError(f"the model is {model.record.name} ({model.record.chosen}), but a chat {_NEEDS_MODEL}")
    check_api(model)
    return RunPlan(
        prompts=prompts_of([]),
        target=target,
        protocol=options.protocol,
        model=replace(model, settings=model_settings(options)),
        limits=options.limits,
        system=options.system,
        permit=ToolFilter(tuple(options.allow_tool), tuple(options.deny_tool), options.read_only),
        features=client_features(options),
        out=options.out,
        redactor=redactor,
        arguments=arguments,
    )
