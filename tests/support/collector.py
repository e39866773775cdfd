"""A local OpenTelemetry collector that receives OTLP over HTTP as protobuf, and records the spans."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class ReceivedSpan:
    """A received span: ids in hexadecimal, attributes as plain values, and the ids of linked traces in `links`."""

    name: str
    kind: int
    scope: str
    trace: str
    id: str
    parent: str
    status: int
    attributes: Mapping[str, Any]
    events: tuple[tuple[str, Mapping[str, Any]], ...]
    links: tuple[str, ...]
    resource: Mapping[str, Any]


class Collector:
    """The server, as a context manager. It records each request and responds with `status`."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.spans: list[ReceivedSpan] = []
        self.raw = b""
        self.headers: list[Mapping[str, str]] = []

    def __enter__(self) -> Self:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(body, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Record the spans of a request."""
        body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        self.raw += body
        self.headers.append(headers)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _plain(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += [_received_span(span, of_scope.scope.name, resource) for span in of_scope.spans]

    @property
    def roots(self) -> dict[str, ReceivedSpan]:
        """The root span of each query, by the query's id."""
        return {span.attributes["mcprun.query.id"]: span for span in self.spans if span.name == "invoke_agent mcprun"}

    def below(self, root: ReceivedSpan) -> list[ReceivedSpan]:
        """Return the children of a span, in the order in which they ended."""
        return [span for span in self.spans if span.parent == root.id]


def _received_span(span: Any, scope: str, resource: Mapping[str, Any]) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=span.kind,
        scope=scope,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        status=span.status.code,
        attributes=_plain(span.attributes),
        events=tuple((event.name, _plain(event.attributes)) for event in span.events),
        links=tuple(link.trace_id.hex() for link in span.links),
        resource=resource,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
