"""An MCP server on the standard library with the decorators of the SDK's `MCPServer`. It starts in 0.03 s, not 0.6 s.

Schemas, results and errors equal the SDK's, in both protocol eras, over stdio. Arguments are only checked for presence.
Three things differ from the SDK's decorators:

- A tool or prompt that takes `ctx` receives the `Context` of its request.
- A generator may yield an `Ask` and receives the client's answer, or yield None and is resumed at the next call.
- A tool that is annotated with `list` returns content blocks.
"""

import base64
import json
import re
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]
Function = Callable[..., Any]

MODERN = "2026-07-28"
CACHED = {"cacheScope": "private", "ttlMs": 0}
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
TYPES: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
META = "io.modelcontextprotocol/"


class ProtocolError(Exception):
    """An exception that is answered with a JSON-RPC error."""

    def __init__(self, code: int, message: str, **data: Any) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, **({"data": data} if data else {})}


class Ask:
    """A request to the client: a separate message in the legacy era, part of an `input_required` result in the modern era."""

    def __init__(self, key: str, method: str, params: JsonObject | None = None, **legacy: Any) -> None:
        self.key = key
        self.request = {"method": method, **({"params": params} if params else {})}
        self.legacy = {"method": method, **({"params": {**(params or {}), **legacy}} if params or legacy else {})}


class ToolError(Exception):
    """An exception whose text is returned as an error result. The texts of other exceptions are not sent."""


class RetryError(Exception):
    """Raised by a tool to have its call retried with the state in `ctx.state`. Modern era only."""


class Context:
    """The context of a request: its metadata, and the client's capabilities and answers."""

    def __init__(self, server: "StdlibServer", number: Any, params: JsonObject) -> None:
        self.meta: JsonObject = params.get("_meta") or {}
        self.is_modern = self.meta.get(f"{META}protocolVersion") == MODERN
        own: JsonObject = self.meta.get(f"{META}clientCapabilities") or {}
        self.capabilities = own if self.is_modern else server.capabilities
        self.answers: JsonObject = params.get("inputResponses") or {}
        self.state: str | None = params.get("requestState")
        self.number = number
        self._server = server

    def progress(self, progress: float, total: float, message: str) -> None:
        params = {"progressToken": self.meta["progressToken"], "progress": progress, "total": total, "message": message}
        self._server.send({"method": "notifications/progress", "params": params})

    def log(self, level: str, data: Any, **more: Any) -> None:
        """Send a log message. In the modern era, send it only if the request has a log level that is not higher."""
        minimum = self.meta.get(f"{META}logLevel")
        if not self.is_modern or (minimum and LEVELS.index(level) >= LEVELS.index(minimum)):
            self._server.send({"method": "notifications/message", "params": {"level": level, "data": data, **more}})

    def tools_changed(self) -> None:
        for listener in self._server.listeners if self.is_modern else [None]:
            params = {"params": {"_meta": {f"{META}subscriptionId": listener}}} if listener else {}
            self._server.send({"method": "notifications/tools/list_changed", **params})


class StdlibServer:
    """A server with its tools, prompts and resources in order of definition."""

    def __init__(self, name: str, version: str = "1.0.0") -> None:
        self.capabilities: JsonObject = {}
        self.listeners: list[Any] = []
        self._info = {"name": name, "version": version}
        self._functions: dict[tuple[str, str], Function] = {}
        self._listed: dict[str, list[JsonObject]] = {
            "tools": [],
            "prompts": [],
            "resources": [],
            "resourceTemplates": [],
        }
        self._waiting: dict[Any, Work] = {}
        self._asked = 0

    def tool(self) -> Callable[[Function], Function]:
        return self.add_tool

    def add_tool(self, function: Function, name: str = "", description: str = "", **more: Any) -> Function:
        name = name or function.__name__
        properties, required = {}, []
        for parameter, (kind, default) in parameters(function).items():
            properties[parameter] = {**schema_of(kind), "title": title(parameter), **default}
            required += [] if default else [parameter]
        schema = {"type": "object", "properties": properties, "title": f"{name}Arguments"}
        listed = {"name": name, "description": description or function.__doc__ or "", "inputSchema": schema, **more}
        if required:
            schema["required"] = required
        returned = return_type(function)
        if returned in TYPES:
            output = {"type": "object", "properties": {"result": {**schema_of(returned), "title": "Result"}}}
            listed["outputSchema"] = {**output, "required": ["result"], "title": f"{name}Output"}
        elif getattr(returned, "__origin__", None) is dict:
            listed["outputSchema"] = {**schema_of(returned), "title": f"{name}DictOutput"}
        return self._add("tools", name, listed, function)

    def prompt(self) -> Callable[[Function], Function]:
        def add(function: Function) -> Function:
            arguments = [{"name": name, "required": not default} for name, (_, default) in parameters(function).items()]
            listed = {"name": function.__name__, "description": function.__doc__, "arguments": arguments}
            return self._add("prompts", function.__name__, listed, function)

        return add

    def resource(self, uri: str, mime_type: str) -> Callable[[Function], Function]:
        def add(function: Function) -> Function:
            kind, key = ("resourceTemplates", "uriTemplate") if "{" in uri else ("resources", "uri")
            listed = {"name": function.__name__, "description": function.__doc__, "mimeType": mime_type, key: uri}
            return self._add(kind, uri, listed, function)

        return add

    def _add(self, kind: str, name: str, listed: JsonObject, function: Function) -> Function:
        self._listed[kind].append(listed)
        self._functions[kind, name] = function
        return function

    def run(self) -> None:
        """Serve until stdin ends."""
        for line in sys.stdin:
            message = json.loads(line)
            number, params = message.get("id"), message.get("params") or {}
            match message.get("method"):
                case None:
                    self._resume(number, message)
                case "notifications/cancelled":
                    self._cancel(params["requestId"])
                case str(method) if number is not None:
                    self._request(Context(self, number, params), method, params)

    def _request(self, ctx: Context, method: str, params: JsonObject) -> None:
        self._serve(ctx, lambda: self._result(ctx, method, params))

    def send(self, message: JsonObject) -> None:
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

    def _serve(self, ctx: Context, result_of: Callable[[], JsonObject | None]) -> None:
        try:
            result = result_of()
        except ProtocolError as error:
            self.send({"id": ctx.number, "error": error.error})
            return
        if result is not None:
            more = {"resultType": "complete", "_meta": {f"{META}serverInfo": self._info}} if ctx.is_modern else {}
            self.send({"id": ctx.number, "result": {**more, **result}})

    def _result(self, ctx: Context, method: str, params: JsonObject) -> JsonObject | None:
        cached = CACHED if ctx.is_modern else {}
        capabilities = {
            "prompts": {"listChanged": ctx.is_modern},
            "resources": {"listChanged": ctx.is_modern, "subscribe": ctx.is_modern},
            "tools": {"listChanged": ctx.is_modern},
        }
        match method:
            case "server/discover" if ctx.is_modern:
                return {"capabilities": capabilities, "supportedVersions": [MODERN], **CACHED}
            case "initialize":
                self.capabilities = params["capabilities"]
                version = {"protocolVersion": params["protocolVersion"], "serverInfo": self._info}
                return {"capabilities": capabilities, **version}
            case "ping" if not ctx.is_modern:
                return {}
            case "tools/list" | "prompts/list" | "resources/list":
                kind = method.partition("/")[0]
                return {kind: self._listed[kind], **cached}
            case "resources/templates/list":
                return {"resourceTemplates": self._listed["resourceTemplates"], **cached}
            case "tools/call":
                return self._call(ctx, params["name"], params.get("arguments") or {})
            case "prompts/get":
                return self._prompt(ctx, params["name"], params.get("arguments") or {})
            case "resources/read":
                return {**self._read(params["uri"]), **cached}
            case "subscriptions/listen" if ctx.is_modern:
                self.listeners.append(ctx.number)
                fields = {"_meta": {f"{META}subscriptionId": ctx.number}, "notifications": params["notifications"]}
                self.send({"method": "notifications/subscriptions/acknowledged", "params": fields})
                return None
        raise ProtocolError(-32601, "Method not found")

    def _call(self, ctx: Context, name: str, arguments: JsonObject) -> JsonObject | None:
        function = self._functions.get(("tools", name))
        if not function:
            return failure(f"Unknown tool: {name}")
        result = self._advance(Work(ctx, function, arguments, tool_result))
        for key in [key for key, work in self._waiting.items() if work.ctx is not ctx and isinstance(key, tuple)]:
            self._go_on(self._waiting.pop(key), None)
        return result

    def _prompt(self, ctx: Context, name: str, arguments: JsonObject) -> JsonObject | None:
        function = self._functions.get(("prompts", name))
        known = parameters(function) if function else {}
        missing = {key for key, (_, default) in known.items() if not default} - set(arguments)
        problem = ""
        if not function:
            problem = f"Unknown prompt: {name}"
        elif missing:
            problem = f"Missing required arguments: {missing}"
        elif set(arguments) - set(known):
            problem = f"Error rendering prompt {name}"
        if not function or problem:
            raise ProtocolError(-32603, "Internal server error") if ctx.is_modern else ProtocolError(0, problem)
        return self._advance(Work(ctx, function, arguments, prompt_result))

    def _read(self, uri: str) -> JsonObject:
        for listed in (*self._listed["resources"], *self._listed["resourceTemplates"]):
            kind, key = ("resources", "uri") if "uri" in listed else ("resourceTemplates", "uriTemplate")
            if found := re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", listed[key]), uri):
                value = self._functions[kind, listed[key]](**found.groupdict())
                body = {"blob": encoded(value)} if isinstance(value, bytes) else {"text": value}
                return {"contents": [{"uri": uri, "mimeType": listed["mimeType"], **body}]}
        raise ProtocolError(-32602, f"Unknown resource: {uri}", uri=uri)

    def _advance(self, work: "Work", answer: Any = None) -> JsonObject | None:
        """Run a tool or prompt until it returns or waits for an answer. Return its result, or None while it waits."""
        try:
            while True:
                ask = work.send(answer)
                if ask is None or not work.ctx.is_modern:
                    self._wait(work, ask)
                    return None
                if ask.key not in work.ctx.answers:
                    asked = {"inputRequests": {ask.key: ask.request}, "requestState": "asked"}
                    return {"resultType": "input_required", **asked}
                answer = work.ctx.answers[ask.key]
        except StopIteration as end:
            return work.result(end.value)
        except RetryError as retry:
            return {"resultType": "input_required", "requestState": str(retry)}
        except ToolError as error:
            return failure(f"Error executing tool {work.function.__name__}: {error}")
        except ProtocolError:
            raise
        except Exception:  # noqa: BLE001  whatever a tool raises
            return failure(f"Error executing tool {work.function.__name__}")

    def _wait(self, work: "Work", ask: Ask | None) -> None:
        key: Any = ("next call", work.ctx.number)
        if ask:
            self._asked = key = self._asked + 1
            self.send({"id": key, **ask.legacy})
        self._waiting[key] = work

    def _resume(self, number: Any, message: JsonObject) -> None:
        if work := self._waiting.pop(number, None):
            if "error" in message:
                self.send({"id": work.ctx.number, "error": message["error"]})
            else:
                self._go_on(work, message["result"])

    def _go_on(self, work: "Work", answer: Any) -> None:
        self._serve(work.ctx, lambda: self._advance(work, answer))

    def _cancel(self, number: Any) -> None:
        self.listeners = [listener for listener in self.listeners if listener != number]
        for key, work in list(self._waiting.items()):
            if work.ctx.number == number:
                del self._waiting[key]
                work.close()


class Work:
    """A running call of a tool or prompt."""

    def __init__(
        self, ctx: Context, function: Function, arguments: JsonObject, result: Callable[[Function, Any], JsonObject]
    ) -> None:
        self.ctx = ctx
        self.function = function
        self._result = result
        self._steps = self._run(arguments)
        self.send, self.close = self._steps.send, self._steps.close

    def _run(self, arguments: JsonObject) -> Generator[Ask | None, Any, Any]:
        known = {name: kind for name, (kind, _) in parameters(self.function).items()}
        converted = {
            name: float(value) if known[name] is float else value for name, value in arguments.items() if name in known
        }
        value = self.function(**converted, **({"ctx": self.ctx} if "ctx" in names_of(self.function) else {}))
        return (yield from value) if isinstance(value, Generator) else value

    def result(self, value: Any) -> JsonObject:
        return self._result(self.function, value)


def names_of(function: Function) -> tuple[str, ...]:
    return function.__code__.co_varnames[: function.__code__.co_argcount]


def parameters(function: Function) -> dict[str, tuple[Any, JsonObject]]:
    """Return the type of each parameter except `ctx`, with its default as part of a schema."""
    names = names_of(function)
    values = function.__defaults__ or ()
    defaults = dict(zip(names[len(names) - len(values) :], ({"default": value} for value in values), strict=True))
    return {name: (function.__annotations__[name], defaults.get(name, {})) for name in names if name != "ctx"}


def return_type(function: Function) -> Any:
    """Return the return type of a tool. For a generator, it is the third type argument."""
    kind: Any = function.__annotations__.get("return")
    return kind.__args__[2] if getattr(kind, "__origin__", None) is Generator else kind


def schema_of(kind: Any) -> JsonObject:
    """Return the schema of a plain type, or of a dictionary of plain types."""
    if kind in TYPES:
        return {"type": TYPES[kind]}
    values = kind.__args__[1]
    return {"type": "object", "additionalProperties": values is Any or schema_of(values)}


def title(name: str) -> str:
    return name.replace("_", " ").title()


def tool_result(function: Function, value: Any) -> JsonObject:
    if isinstance(value, list):
        return {"content": value, "isError": False}
    text = value if isinstance(value, str) else json.dumps(value, indent=2)
    result = {"content": [text_block(text)], "isError": False}
    if return_type(function) is None:
        return result
    return {**result, "structuredContent": value if isinstance(value, dict) else {"result": value}}


def prompt_result(function: Function, value: Any) -> JsonObject:
    """Return the result of a prompt that returned its messages, or the text of its only message."""
    return {"description": function.__doc__, "messages": value if isinstance(value, list) else [user(value)]}


def user(content: str | JsonObject) -> JsonObject:
    return message_of("user", content)


def assistant(content: str | JsonObject) -> JsonObject:
    return message_of("assistant", content)


def message_of(role: str, content: str | JsonObject) -> JsonObject:
    return {"role": role, "content": text_block(content) if isinstance(content, str) else content}


def text_block(text: str) -> JsonObject:
    """Return a content block. Transcripts keep the order of its keys, which is the SDK's."""
    return {"text": text, "type": "text"}


def failure(text: str) -> JsonObject:
    return {"content": [text_block(text)], "isError": True}


def run_example(name: str) -> None:
    """Run a server from the folder `prompts` with this class instead of the SDK's."""
    text = (Path(__file__).parents[2] / "prompts" / name).read_text(encoding="utf-8")
    exec(text.replace("from mcp.server import MCPServer\n", "\n"), {"MCPServer": StdlibServer, "__name__": "__main__"})


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
