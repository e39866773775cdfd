"""An MCP server that requires authorization and its authorization server, on one free port that it prints on stdout.

The argument is a JSON object of `Switches`. The authorization endpoint grants every request and redirects without a page.
Each request is appended to the file `log`. Posting other switches to `/begin` resets the state as if the server had been
started with them, so that one process serves many tests.
"""

import asyncio
import base64
import hashlib
import json
import secrets
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import jwt
import uvicorn
from mcp.server import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route


@dataclass(frozen=True)
class Switches:
    """Settings of the server.

    Args:
        prm: Where the protected resource metadata are: header, path, root or none.
        metadata: Where the authorization server metadata are, below `issuer`: rfc8414, oidc or none.
        deny: Answer logins with an error.
        json: Respond with JSON bodies. Cannot be changed after the start.
        refresh_failures: The statuses of the first responses to a refresh token.
    """

    log: str
    transport: str = "http"
    prm: str = "header"
    metadata: str = "rfc8414"
    issuer: str = ""
    resource: str | None = None
    methods: list[str] = field(default_factory=lambda: ["client_secret_basic", "client_secret_post", "none"])
    registers: bool = True
    documents: bool = False
    challenge_scope: str | None = None
    prm_scopes: list[str] | None = None
    expires_in: int | None = 3600
    rotates: bool = True
    public: bool = False
    deny: bool = False
    json: bool = False
    assertion: str | None = None
    keys: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    refresh_failures: list[int] = field(default_factory=list)


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()  # connections before the server is ready are queued
origin = f"http://127.0.0.1:{listener.getsockname()[1]}"


class World:
    """The settings of the server, and its clients, codes and tokens."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.switches = Switches(**config)
        self.path = "/sse" if self.switches.transport == "sse" else "/mcp"
        self.issuer = f"{origin}{self.switches.issuer}"
        self.clients: dict[str, dict[str, Any]] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.access: dict[str, dict[str, Any]] = {}
        self.refresh: dict[str, dict[str, Any]] = {}
        self.arrived = 0
        self.all_arrived = asyncio.Event()


world = World(json.loads(sys.argv[1]))
server = MCPServer("guarded", version="1.0.0")


@server.tool()
async def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
async def deep(text: str) -> str:
    """Say it again, to those who have the scope `deep`."""
    return text


@server.tool()
async def meet(count: int) -> str:
    """Wait until so many callers are here at the same time."""
    here = world
    here.arrived += 1
    if here.arrived == count:
        here.all_arrived.set()
    await here.all_arrived.wait()
    return "met"


def note(**what: Any) -> None:
    with Path(world.switches.log).open("a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")


async def resource_metadata(request: Request) -> Response:
    note(path=request.url.path)
    where = {"header": "/elsewhere", "path": f"/.well-known/oauth-protected-resource{world.path}"}
    where["root"] = "/.well-known/oauth-protected-resource"
    if request.url.path != where.get(world.switches.prm):
        return PlainTextResponse("not here", 404)
    body: dict[str, Any] = {
        "resource": world.switches.resource or f"{origin}{world.path}",
        "authorization_servers": [world.issuer],
    }
    if world.switches.prm_scopes is not None:
        body["scopes_supported"] = world.switches.prm_scopes
    return JSONResponse(body)


async def metadata(request: Request) -> Response:
    note(path=request.url.path)
    kind = "oidc" if "openid" in request.url.path else "rfc8414"
    if kind != world.switches.metadata:
        return PlainTextResponse("not here", 404)
    body: dict[str, Any] = {
        "issuer": world.issuer,
        "authorization_endpoint": f"{world.issuer}/authorize",
        "token_endpoint": f"{world.issuer}/token",
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": world.switches.methods,
        "client_id_metadata_document_supported": world.switches.documents,
    }
    if world.switches.registers:
        body["registration_endpoint"] = f"{world.issuer}/register"
    return JSONResponse(body)


async def register(request: Request) -> Response:
    body = await request.json()
    note(path=request.url.path, redirect_uris=body["redirect_uris"], name=body.get("client_name"))
    if not world.switches.registers:
        return PlainTextResponse("not here", 404)
    method = world.switches.methods[0]
    client = {**body, "client_id": f"client-{len(world.clients)}", "token_endpoint_auth_method": method}
    if method != "none":
        client["client_secret"] = secrets.token_hex(16)
    world.clients[client["client_id"]] = client
    return JSONResponse(client, 201)


async def authorize(request: Request) -> Response:
    authorization = dict(request.query_params)
    note(
        path=request.url.path,
        **{key: authorization.get(key) for key in ("client_id", "scope", "resource", "redirect_uri")},
    )
    client = world.clients.get(authorization["client_id"])
    if client and authorization["redirect_uri"] not in client["redirect_uris"]:
        return PlainTextResponse("that is not your redirect URI", 400)
    if authorization["code_challenge_method"] != "S256":
        return PlainTextResponse("PKCE is wanted", 400)
    answer = {"state": authorization["state"]}
    if world.switches.deny:
        answer |= {"error": "access_denied", "error_description": "not \x1b[31mtoday"}
    else:
        answer["code"] = secrets.token_hex(16)
        world.codes[answer["code"]] = authorization
    return RedirectResponse(f"{authorization['redirect_uri']}?{urlencode(answer)}", 302)


def refused(why: str, status: int = 400) -> Response:
    note(refused=why)
    return JSONResponse({"error": why}, status)


def client_of(request: Request, form: dict[str, str]) -> tuple[str, str] | None:
    """Return the client's id and authentication method, or None if authentication failed."""
    basic = request.headers.get("authorization", "")
    if "client_assertion" in form:
        claims = jwt.decode(form["client_assertion"], options={"verify_signature": False})
        try:
            jwt.decode(
                form["client_assertion"],
                world.switches.keys[claims["sub"]],
                algorithms=["RS256", "ES256"],
                audience=world.issuer,
                issuer=claims["sub"],
                options={"require": ["exp", "iat", "jti"]},
            )
        except (KeyError, jwt.PyJWTError) as error:
            note(assertion=str(error))
            return None
        return claims["sub"], "private_key_jwt"
    if basic.startswith("Basic "):
        name, secret = map(unquote, base64.b64decode(basic[6:]).decode().split(":"))
        method = "client_secret_basic"
    else:
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
        method = "client_secret_post" if secret else "none"
    known = world.switches.secrets.get(name, world.clients.get(name, {}).get("client_secret", ""))
    if method not in world.switches.methods or (known and known != secret) or (method == "none" and known):
        return None
    return name, method


async def token(request: Request) -> Response:
    form = {key: str(value) for key, value in (await request.form()).items()}
    credentials = client_of(request, form)
    kind = form["grant_type"]
    note(
        path=request.url.path,
        grant=kind,
        method=credentials and credentials[1],
        scope=form.get("scope"),
        resource=form.get("resource"),
    )
    if credentials is None:
        return refused("invalid_client", 401)
    scope = form.get("scope")
    if kind == "authorization_code":
        authorization = world.codes.pop(form["code"], None)
        digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if (
            not authorization
            or digest != authorization["code_challenge"]
            or authorization["redirect_uri"] != form["redirect_uri"]
        ):
            return refused("invalid_grant")
        scope = authorization.get("scope")
    elif kind == "refresh_token" and world.switches.refresh_failures:
        return PlainTextResponse("upstream is away", world.switches.refresh_failures.pop(0))
    elif kind == "refresh_token":
        before = world.refresh.pop(form["refresh_token"], None)
        if before is None:
            return refused("invalid_grant")
        scope = before["scope"]
    elif kind.endswith(":jwt-bearer") and form["assertion"] != world.switches.assertion:
        return refused("invalid_grant")
    elif credentials[1] == "none":
        return refused("unauthorized_client")
    body: dict[str, Any] = {"access_token": f"access-{secrets.token_hex(16)}", "token_type": "bearer"}
    ends = time.time() + world.switches.expires_in if world.switches.expires_in is not None else None
    world.access[body["access_token"]] = {"scope": scope or "", "ends": ends}
    if kind in ("authorization_code", "refresh_token"):
        body["refresh_token"] = f"refresh-{secrets.token_hex(16)}"
        world.refresh[body["refresh_token"]] = {"scope": scope}
    if world.switches.expires_in is not None:
        body["expires_in"] = world.switches.expires_in
    if scope:
        body["scope"] = scope
    return JSONResponse(body)


async def begin(request: Request) -> Response:
    """Reset the state, with new switches."""
    global world
    world = World(await request.json())
    return PlainTextResponse("done")


async def revoke(request: Request) -> Response:
    """Revoke all access tokens, and for `all`, also the refresh tokens."""
    world.access.clear()
    if request.path_params["what"] == "all":
        world.refresh.clear()
    return PlainTextResponse("done")


def challenge(status: int, **fields: str | None) -> Response:
    if world.switches.prm == "header":
        fields["resource_metadata"] = f"{origin}/elsewhere"
    message = ", ".join(f'{key}="{value}"' for key, value in fields.items() if value)
    return PlainTextResponse("who are you?", status, headers={"www-authenticate": f"Bearer {message}".strip()})


def below_issuer(name: str, method: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    """Return the route of an authorization server endpoint, which exists only below the current issuer."""

    async def serve(request: Request) -> Response:
        is_there = request.url.path == f"{world.switches.issuer}/{name}"
        return await endpoint(request) if is_there else PlainTextResponse("not here", 404)

    return Route(f"/{{below:path}}{name}", serve, methods=[method])


def guarded(app: Any) -> Any:
    async def guard(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body() if request.method == "POST" else b""
        was_replayed = False

        async def replay_body() -> dict[str, Any]:
            nonlocal was_replayed
            if was_replayed or request.method != "POST":
                return dict(await receive())
            was_replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        credentials = request.headers.get("authorization", "").removeprefix("Bearer ")
        token_record = world.access.get(credentials)
        is_invalid = token_record is None or (token_record["ends"] is not None and time.time() > token_record["ends"])
        is_call = b'"tools/call"' in body
        if is_invalid and not (world.switches.public and not is_call):
            note(path=world.path, status=401)
            await challenge(401, scope=world.switches.challenge_scope)(scope, replay_body, send)
        elif is_call and b'"deep"' in body and token_record and "deep" not in token_record["scope"].split():
            note(path=world.path, status=403)
            await challenge(403, error="insufficient_scope", scope="deep")(scope, replay_body, send)
        else:
            await app(scope, replay_body, send)

    return guard


async def main() -> None:
    streamable, sse = server.streamable_http_app(json_response=world.switches.json), server.sse_app()
    routes = [
        Route("/elsewhere", resource_metadata),
        Route("/.well-known/oauth-protected-resource{rest:path}", resource_metadata),
        Route("/.well-known/{kind:path}", metadata),
        below_issuer(".well-known/openid-configuration", "GET", metadata),
        below_issuer("register", "POST", register),
        below_issuer("authorize", "GET", authorize),
        below_issuer("token", "POST", token),
        Route("/begin", begin, methods=["POST"]),
        Route("/revoke/{what}", revoke, methods=["POST"]),
        Mount("/", guarded(Starlette(routes=[*streamable.routes, *sse.routes]))),
    ]
    application = Starlette(routes=routes, lifespan=streamable.router.lifespan_context)
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(uvicorn.Config(application, log_level="warning")).serve(sockets=[listener])


asyncio.run(main())
