"""Translate errors of the Messages API, by exception type and status, into those of mcprun."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import anthropic
import httpx2

from mcprun._util.network import proxy_of
from mcprun._util.url_secrets import without_secrets
from mcprun.errors import DeniedError, ErrorKind, NoConnectionError, QueryError, RequestError, RunError


def error_from_body(error: dict[str, Any], request_id: str | None) -> RequestError:
    """Return the error in a response with status 200, which the API sends if it fails after the reply has begun."""
    what = f"{error.get('type')}: {error.get('message')}"
    if error.get("type") in ("overloaded_error", "rate_limit_error"):
        kind, message = ErrorKind.THROTTLED, f"the API is throttling: {what}"
    else:
        kind, message = ErrorKind.API_ERROR, f"the API failed: {what}"
    return RequestError(kind, message, may_pass=True, status=200, request_id=request_id)


def request_id_from(headers: httpx2.Headers) -> str | None:
    """Return the API's id of a request, which Bedrock sends in a header of its own."""
    return headers.get("request-id") or headers.get("x-amzn-requestid")


@contextlib.contextmanager
def translate_api_errors(
    requested_model: str | None,
    model: str,
    timeout_s: float,
    refusals: tuple[type[Exception], ...] = (),
    *,
    has_marks: bool = False,
) -> Iterator[None]:
    """Translate exceptions of the SDK into mcprun's own, by type and status.

    `requested_model` is the model that the query names, if any, and `model` the one that was requested. `timeout_s` is
    the time limit to report. `refusals` are the exceptions of a provider's credentials. `has_marks` is set if the query
    sets `cache_control` itself.
    """
    try:
        yield
    except (TimeoutError, anthropic.APITimeoutError, httpx2.TimeoutException):
        message = f"the API did not respond within {timeout_s:g} s (--request-timeout)"
        raise RequestError(ErrorKind.REQUEST_TIMEOUT, message, may_pass=True) from None
    except (anthropic.APIConnectionError, httpx2.HTTPError) as error:
        cause = error if isinstance(error, httpx2.HTTPError) else error.__cause__ or error
        message = f"no connection to the API{_describe_url(error)}: {cause}"
        if isinstance(cause, httpx2.ConnectError):
            raise NoConnectionError(message) from None
        raise RequestError(ErrorKind.API_ERROR, message, may_pass=True) from None
    except anthropic.APIStatusError as error:
        raise _status_error(error, requested_model, model, has_marks=has_marks) from None
    except refusals as error:
        raise DeniedError(f"no credentials for the API: {error}", names_model=False) from None
    except (anthropic.APIError, ValueError, RecursionError) as error:
        message = f"the API's response can't be read: {error}"
        raise RequestError(ErrorKind.API_ERROR, message, may_pass=True) from None


def _describe_url(error: anthropic.APIConnectionError | httpx2.HTTPError) -> str:
    """Describe the URL and proxy of a request without secrets; empty for an httpx2 error that has no request."""
    with contextlib.suppress(RuntimeError):
        url = str(error.request.url)
        proxy = proxy_of(url)
        return f" at {without_secrets(url)}" + (f" through the proxy of {proxy}" if proxy else "")
    return ""


def _status_error(
    error: anthropic.APIStatusError, requested_model: str | None, model: str, *, has_marks: bool
) -> QueryError | RunError:
    """Return the error that a status means: for this request, for this query, or for the whole run."""
    api_message = _api_message(error)
    request_id = request_id_from(error.response.headers)
    what = f"{error.status_code} {error.type or ''}".strip() + f": {api_message or error.message}"
    if request_id:
        what += f" (request {request_id})"

    should_retry = error.response.headers.get("x-should-retry")  # the API's own hint takes precedence
    retry_after = _retry_after(error.response.headers)

    def failed(kind: ErrorKind, message: str, *, may_pass: bool) -> RequestError:
        return RequestError(
            kind,
            f"{message}: {what}",
            may_pass=should_retry == "true" if should_retry in ("true", "false") else may_pass,
            retry_after=retry_after,
            status=error.status_code,
            request_id=request_id,
        )

    match error.status_code:
        case 401 | 403 as status:
            refused = f"the model {model!r}" if requested_model and status == 403 else "the key"
            return DeniedError(
                f"the API refused {refused}: {what}",
                names_model=requested_model is not None,
                may_pass=should_retry == "true",
                retry_after=retry_after,
                status=status,
                request_id=request_id,
            )
        case 402:
            return RunError(ErrorKind.API_REFUSED, f"payment required by the API: {what}")
        case 400 if "credit balance is too low" in api_message:  # older deployments have no 402
            return RunError(ErrorKind.API_REFUSED, f"payment required by the API: {what}")
        case 400 if "model identifier is invalid" in api_message and not requested_model:  # Bedrock's form of a 404
            return RunError(ErrorKind.API_REFUSED, f"the API has no model {model!r}: {what}")
        case 404 if requested_model:  # the query's own model: other queries may be fine
            return failed(
                ErrorKind.API_REFUSED, f"the API has no model {model!r}, which the query names", may_pass=False
            )
        case 404:
            return RunError(ErrorKind.API_REFUSED, f"the API has no model {model!r}, or the URL is wrong: {what}")
        case 429 | 529:
            return failed(ErrorKind.THROTTLED, "the API is throttling", may_pass=True)
        case status if status >= 500 or status in (408, 409):
            return failed(ErrorKind.API_ERROR, "the API failed", may_pass=True)
        case 400 if (
            "cache_control" in api_message and not requested_model and not has_marks
        ):  # the mark is mcprun's own
            return RunError(
                ErrorKind.API_REFUSED, f"the API does not accept cache_control; use --bare-api to leave it out: {what}"
            )
        case 400 if api_message.startswith("tools."):  # no error code exists; if this is reworded, only the query fails
            return RunError(ErrorKind.BAD_TOOLS, f"the API refused the tool list: {what}")
    return failed(ErrorKind.API_REFUSED, "the API refused the request", may_pass=False)


def _api_message(error: anthropic.APIStatusError) -> str:
    """Return the API's own error message: from `error`, or from the top level, where Bedrock puts it."""
    top_level = error.body.get("message") if isinstance(error.body, dict) else None
    return error.api_message or (top_level if isinstance(top_level, str) else "")


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Return the seconds that the API asks to wait, from `retry-after-ms` or `retry-after` (RFC 9110, section 10.2.3).

    None if neither asks for any: absent, unreadable, zero, or a date in the past.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            seconds = float(headers[name]) * unit
            if math.isfinite(seconds) and seconds > 0:
                return seconds
    with contextlib.suppress(KeyError, ValueError, TypeError, OverflowError):
        seconds = parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time()
        return seconds if seconds > 0 else None
    return None
