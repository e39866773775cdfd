"""Integers with more digits than Python converts are recorded as text."""

from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path

from mcprun._util.json_io import dumps, parse_line
from mcprun._util.json_text import finite, holds_odd_number
from mcprun._util.long_integers import (
    Carrier,
    LongInteger,
    approximate,
    as_text,
    digits_of,
    holds_long_integer,
    loads,
)
from mcprun.client.transports.framing import read_message

LONG = "9" * 5000


def test_long_integer_in_a_record_is_read_as_text(tmp_path: Path) -> None:
    """A recorded line with such an integer is read with its digits as text."""
    assert parse_line(f'{{"n": [{LONG}, -{LONG}, 1]}}'.encode()) == {"n": [LONG, f"-{LONG}", 1]}


def test_long_integer_is_a_number_until_recorded() -> None:
    """A `LongInteger` keeps its digits when it is copied or pickled. A schema treats it as an integer."""
    negative = LongInteger(f"-{LONG}")
    assert (float(negative), loads(f"[{LONG}]")) == (-math.inf, [LongInteger(LONG)])
    assert LongInteger(LONG) not in (negative, math.inf)
    assert (pickle.loads(pickle.dumps(negative)), copy.deepcopy([negative])) == (negative, [negative])
    assert approximate({"a": [negative]}) == {"a": [-int("9" * 4299)]}
    assert as_text({"a": [negative, 1]}) == {"a": [f"-{LONG}", 1]}
    assert (holds_odd_number([negative]), holds_long_integer({"a": [negative]})) == (True, True)
    assert (finite([negative]), dumps({"n": negative})) == ([f"-{LONG}"], f'{{"n":"-{LONG}"}}')


def test_integer_of_an_in_process_server_is_written() -> None:
    """A Python integer may have any number of digits. Very large ones are written in hexadecimal."""
    for value, digits in ((10**4300, f"1{'0' * 4300}"), (1 - 10**5000, f"-{LONG}"), (1 << 10**6, hex(1 << 10**6))):
        assert digits == digits_of(value)
        assert (holds_odd_number([value]), finite([value])) == (True, [digits])
    assert (digits_of(10**4299), holds_odd_number([10**4299]), holds_odd_number([LONG])) == (None, False, False)


def test_carrier_returns_a_result_once() -> None:
    """A token that the server sends is its own result."""
    carrier, result = Carrier(), {"n": LongInteger(LONG)}
    token = carrier.put(result)
    assert (carrier.take(token), carrier.take(token), carrier.take(None)) == (result, token, None)
    forged = {"mcprun/parsed": 1}
    assert carrier.take(forged) is forged


def test_long_id_matches_no_request() -> None:
    """A long error code is invalid too, and the rest of the error is kept."""
    response = read_message(f'{{"jsonrpc":"2.0","id":{LONG},"error":{{"code":{LONG},"message":"no"}}}}'.encode(), 10**6)
    assert (getattr(response, "id", 0), response.error.message, response.error.data) == (None, "no", {"code": LONG})  # type: ignore[union-attr]
