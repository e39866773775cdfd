"""Contain a server in this process: an exception in its code fails one request, not the process that it shares.

asyncio lets `SystemExit` and `KeyboardInterrupt` out of the event loop, so `sys.exit` in a tool would end the caller. A
`CancelledError` that a handler raises itself would end the query that made the call.
"""

from __future__ import annotations

import asyncio
import copy
import json
import signal
import threading
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from mcp import MCPError
from mcp.server import MCPServer, Server
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp_types import INTERNAL_ERROR

from mcprun._util.tasks import wait_uninterrupted

_SHOWN = 300
"""Maximum characters of an exception shown in a message."""

_IS_SERVER: ContextVar[bool] = ContextVar("is_server", default=False)
"""Whether the code that runs in this context belongs to a contained server."""

_FACTORIES: WeakKeyDictionary[asyncio.AbstractEventLoop, _TaskFactory] = WeakKeyDictionary()


def contain_exceptions(server: MCPServer | Server[Any]) -> Server[Any]:
    """Return a copy of a server that shares its handlers and contains their exceptions."""
    inner: Server[Any] = server._lowlevel_server if isinstance(server, MCPServer) else server  # noqa: SLF001  as the SDK's client does
    outer = copy.copy(inner)
    outer.middleware = [_contain, *inner.middleware]
    outer.lifespan = lambda _: _Lifespan(inner)
    return outer


async def _contain(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Run a handler. Raise `MCPError` in place of any `BaseException` that is not an `Exception`.

    The handler runs in its own task, so that a cancellation by mcprun can be distinguished from one that the handler
    raises, and a `GeneratorExit` closes no other coroutine.
    """
    task = asyncio.create_task(_outcome(call_next(ctx)))
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await wait_uninterrupted({task})
        raise
    result, error = task.result()
    if error is None or isinstance(error, Exception):
        if error:
            raise error
        _check(result, ctx.method)
        return result
    raise _contained_error(f"the server's handler of {ctx.method}", error) from error


def _check(result: HandlerResult, method: str) -> None:
    """Raise `MCPError` if a result can't be sent: Python can't write integers of more than 4,300 digits as JSON."""
    try:
        json.dumps(result, default=str)
    except ValueError as error:
        message = f"the server's handler of {method} returned a value that cannot be written as JSON: {error}"
        raise MCPError(code=INTERNAL_ERROR, message=message[:_SHOWN]) from error
    except RecursionError:
        return  # nesting is bounded where results are read


async def _outcome(handler: Awaitable[HandlerResult]) -> tuple[HandlerResult, BaseException | None]:
    """Await a handler. Return its result and the exception that it raised, if any. Ctrl-C is re-raised."""
    _IS_SERVER.set(True)
    try:
        return await handler, None
    except BaseException as error:
        if _is_ctrl_c(error):
            raise
        return None, error


@contextmanager
def contain_tasks() -> Iterator[None]:
    """Contain the tasks that a server's code starts in the running event loop, during the context."""
    loop = asyncio.get_running_loop()
    factory = _FACTORIES.setdefault(loop, _TaskFactory(loop.get_task_factory()))
    if loop.get_task_factory() is not factory and not factory.users:
        factory.before = loop.get_task_factory()
        loop.set_task_factory(factory)
    factory.users += 1
    try:
        yield
    finally:
        factory.users -= 1
        if not factory.users and loop.get_task_factory() is factory:
            loop.set_task_factory(factory.before)


class _TaskFactory:
    """Creates the tasks of an event loop through the previous factory `before`, and contains those of servers."""

    def __init__(self, before: Any) -> None:
        self.before = before
        self.users = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        context = options.get("context")
        is_server = _IS_SERVER.get() if context is None else context.get(_IS_SERVER, False)
        if is_server and self.users and asyncio.iscoroutine(coroutine):
            coroutine = _child(coroutine)
        if self.before:
            return self.before(loop, coroutine, **options)
        return asyncio.Task(coroutine, loop=loop, **options)


async def _child(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        if _is_ctrl_c(error):
            raise
        raise RuntimeError(f"a task of the server raised {_describe(error)}") from error


class _Lifespan:
    """The lifespan of a server (setup and teardown), which raises only subclasses of `Exception`."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server
        self._inner: AbstractAsyncContextManager[Any]

    async def __aenter__(self) -> Any:
        with _errors_only("the server's lifespan"):
            self._inner = self._server.lifespan(self._server)
            return await self._inner.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        with _errors_only("the server's lifespan", error):
            return await self._inner.__aexit__(kind, error, trace)


@contextmanager
def _errors_only(what: str, passed: BaseException | None = None) -> Iterator[None]:
    """Raise `MCPError` in place of any `BaseException` that is not an `Exception`, such as `SystemExit`.

    Passed through are a cancellation of the running task, Ctrl-C, and an error that was `passed` to the code.
    """
    task = asyncio.current_task()
    assert task  # noqa: S101  the SDK runs in a task
    before, token = task.cancelling(), _IS_SERVER.set(True)
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if error is passed or _is_ctrl_c(error):
            raise
        if task.cancelling() > before:
            raise (error if isinstance(error, asyncio.CancelledError) else asyncio.CancelledError()) from None
        raise _contained_error(what, error) from error
    finally:
        _IS_SERVER.reset(token)


def _contained_error(what: str, error: BaseException) -> MCPError:
    return MCPError(code=INTERNAL_ERROR, message=f"{what} raised {_describe(error)}")


def _describe(error: BaseException) -> str:
    return (f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)[:_SHOWN]


def _is_ctrl_c(error: BaseException) -> bool:
    """Return whether an error may come from Ctrl-C. Under `asyncio.run` none does: it replaces the signal handler."""
    is_raised = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    is_main = threading.current_thread() is threading.main_thread()
    return isinstance(error, KeyboardInterrupt) and is_main and is_raised
