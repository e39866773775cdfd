"""Rename the keys of other formats to those of a query. Pure, and independent of pydantic.

Accepted: the Message Batches API (`custom_id`, `params.messages`), chat-style datasets (`messages`), inspect
(`input`, `target`), question sets (`question`, `query`) and tool-call datasets (`expected_tool_calls`, with
`name` and `arguments` in a call).
"""

from __future__ import annotations

from typing import Any

from mcprun._util.json_value import JsonObject

Problem = tuple[str, str]
"""A field as the user wrote it (`script[0].calls`), and the message about it."""

_ID = ("custom_id",)
_PROMPT = ("input", "query", "question")
_PARAMS = ("messages", "model", "max_tokens", "system")
_TARGET = ("target", "expected_output")
_TOOL = ("name",)
_INPUT = ("arguments", "args")
_CALL = frozenset({"tool", "input"})

ALIASES = (*_ID, *_PROMPT, *_TARGET, "messages", "params", "expected_tool_calls")
"""Every alias of a query's own keys."""


class Canonical:
    """One line with mcprun's own keys (`value`).

    `written` maps the path of a key to the one that the user wrote. `problems` lists conflicts and unsupported keys.
    """

    def __init__(self, raw: JsonObject) -> None:
        self.value = dict(raw)
        self.written: dict[str, str] = {}
        self.problems: list[Problem] = []
        self._hoist_params()
        for alias in _ID:
            self._rename(alias, "id")
        for alias in _PROMPT:
            self._rename(alias, "messages" if _is_chat(self.value.get(alias)) else "prompt")
        self._split_messages()
        self._rename_expectations()
        self._rename_in_calls()
        self._shape_inputs()

    def _rename(self, alias: str, name: str) -> None:
        if alias not in self.value:
            return
        value = self.value.pop(alias)
        if name in self.value:
            other = self.written.get(name, name)
            self.problems.append((alias, f"has the same meaning as {other!r}, which is set too: keep one"))
            return
        self.value[name] = value
        self.written[name] = self.written.pop(alias, alias)

    def _hoist_params(self) -> None:
        """Move the `params` of a Message Batches line to the top level."""
        if "params" not in self.value:
            return
        params = self.value.pop("params")
        if not isinstance(params, dict):
            self.problems.append(("params", "must be an object"))
            return
        for key, value in params.items():
            if key not in _PARAMS:
                self.problems.append((f"params.{key}", "not supported; the supported params are " + ", ".join(_PARAMS)))
            elif key in self.value:
                self.problems.append((f"params.{key}", f"has the same meaning as {key!r}, which is set too: keep one"))
            else:
                self.value[key] = value
                self.written[key] = f"params.{key}"

    def _split_messages(self) -> None:
        """Split a list of chat messages into a system prompt and user messages."""
        if "messages" not in self.value:
            return
        messages = self.value.pop("messages")
        field = self.written.pop("messages", "messages")
        if not _is_chat(messages):
            self.problems.append((field, 'must be a list of {"role": …, "content": …}'))
            return
        prompts: list[Any] = []
        for number, message in enumerate(messages):
            role = message["role"]
            self.problems += [
                (f"{field}[{number}].{key}", "unknown key; a message has role and content")
                for key in message
                if key not in ("role", "content")
            ]
            if role == "user":
                self.written[f"prompts[{len(prompts)}]"] = f"{field}[{number}].content"
                prompts.append(message["content"])
            elif role == "system" and number == 0 and "system" not in self.value:
                self.value["system"] = message["content"]
                self.written["system"] = f"{field}[0].content"
            else:
                self.problems.append(
                    (
                        f"{field}[{number}]",
                        f"the role {role!r} is not supported here: the model writes its own messages",
                    )
                )
        if not prompts:
            self.problems.append((field, "has no user message"))
        clash = next((key for key in ("prompt", "prompts") if key in self.value), None)
        if clash:
            self.problems.append((field, f"has the same meaning as {clash!r}, which is set too: keep one"))
        elif prompts:
            key = "prompt" if len(prompts) == 1 else "prompts"
            self.value[key] = prompts[0] if len(prompts) == 1 else prompts
            self.written["prompt"] = self.written["prompts[0]"]

    def _rename_expectations(self) -> None:
        found = [alias for alias in (*_TARGET, "expected_tool_calls") if alias in self.value]
        if not found:
            return
        expect = self.value.get("expect", {})
        if not isinstance(expect, dict):
            for alias in found:
                del self.value[alias]
            return
        expect = dict(expect)
        for alias in found:
            key, value = "text", {"contains": self.value.pop(alias)}
            if alias == "expected_tool_calls":
                key, value = "calls", value["contains"]
            if key in expect:
                self.problems.append((alias, f"has the same meaning as 'expect.{key}', which is set too: keep one"))
            else:
                expect[key] = value
                self.written["expect.calls" if key == "calls" else "expect.text.contains"] = alias
        self.value["expect"] = expect

    def _rename_in_calls(self) -> None:
        """Accept `name` and `arguments` (or a bare tool name) in every list of calls."""
        expect = self.value.get("expect")
        if isinstance(expect, dict) and isinstance(expect.get("calls"), list):
            self.value["expect"] = expect | {"calls": [_call(call) for call in expect["calls"]]}
        for phase in ("before", "after", "cleanup"):
            if isinstance(steps := self.value.get(phase), list):
                self.value[phase] = [_call(step) for step in steps]
        script = self.value.get("script")
        if isinstance(script, list):
            self.value["script"] = [
                turn | {"calls": [_call(call) for call in turn["calls"]]}
                if isinstance(turn, dict) and isinstance(turn.get("calls"), list)
                else turn
                for turn in script
            ]

    def _shape_inputs(self) -> None:
        """Accept the bare name of a server's prompt, a single URI, and resources in the form of MCP's lists."""
        prompt, resources = self.value.get("server_prompt"), self.value.get("resources")
        if isinstance(prompt, str):
            self.value["server_prompt"] = {"name": prompt}
            self.written["server_prompt.name"] = "server_prompt"
        elif isinstance(prompt, dict) and "arguments" not in prompt:
            self.value["server_prompt"] = {"arguments" if key == "args" else key: prompt[key] for key in prompt}
        if isinstance(resources, str):
            self.value["resources"] = [resources]
            self.written["resources[0]"] = "resources"
        elif isinstance(resources, list):
            self.value["resources"] = [_uri(one) for one in resources]


def _uri(value: Any) -> Any:
    return value["uri"] if isinstance(value, dict) and value.keys() == {"uri"} else value


def _is_chat(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and isinstance(item.get("role"), str) and "content" in item for item in value)
    )


def _call(call: Any) -> Any:
    if isinstance(call, str):
        return {"tool": call}
    if not isinstance(call, dict) or call.keys() <= _CALL:  # the usual case
        return call
    names = {"tool": next((key for key in ("tool", *_TOOL) if key in call), None)}
    names["input"] = next((key for key in ("input", *_INPUT) if key in call), None)
    canonical = {written: name for name, written in names.items() if written}
    return {canonical.get(key, key): value for key, value in call.items()}
