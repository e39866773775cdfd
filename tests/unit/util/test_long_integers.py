"""Integers with more digits than Python converts are kept as text."""

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


def test_older_records_are_read(tmp_path: Path) -> None:
    """A line with such an integer is read with its digits as text."""
    assert parse_line(f'{{"n": [{LONG}, -{LONG}, 1]}}'.encode()) == {"n": [LONG, f"-{LONG}", 1]}


def test_a_long_integer_is_a_number_until_it_is_recorded() -> None:
    """It keeps its digits wherever it goes, and a schema judges it as an integer."""
    minus = LongInteger(f"-{LONG}")
    assert (float(minus), loads(f"[{LONG}]")) == (-math.inf, [LongInteger(LONG)])
    assert LongInteger(LONG) not in (minus, math.inf)
    assert (pickle.loads(pickle.dumps(minus)), copy.deepcopy([minus])) == (minus, [minus])
    assert approximate({"a": [minus]}) == {"a": [-int("9" * 4299)]}
    assert as_text({"a": [minus, 1]}) == {"a": [f"-{LONG}", 1]}
    assert (holds_odd_number([minus]), holds_long_integer({"a": [minus]})) == (True, True)
    assert (finite([minus]), dumps({"n": minus})) == ([f"-{LONG}"], f'{{"n":"-{LONG}"}}')


def test_an_integer_of_a_server_in_this_process_is_written_too() -> None:
    """Python's own may have any number of digits; huge ones are hexadecimal."""
    for value, digits in ((10**4300, f"1{'0' * 4300}"), (1 - 10**5000, f"-{LONG}"), (1 << 10**6, hex(1 << 10**6))):
        assert digits == digits_of(value)
        assert (holds_odd_number([value]), finite([value])) == (True, [digits])
    assert (digits_of(10**4299), holds_odd_number([10**4299]), holds_odd_number([LONG])) == (None, False, False)


def test_a_carrier_gives_back_what_it_took_once() -> None:
    """What a server sends in place of a token is its own result."""
    carrier, result = Carrier(), {"n": LongInteger(LONG)}
    token = carrier.put(result)
    assert (carrier.take(token), carrier.take(token), carrier.take(None)) == (result, token, None)
    forged = {"mcprun/parsed": 1}
    assert carrier.take(forged) is forged


def test_an_id_with_many_digits_is_of_no_request() -> None:
    """Nor is an error's code: the rest of the error is kept."""
    answer = read_message(f'{{"jsonrpc":"2.0","id":{LONG},"error":{{"code":{LONG},"message":"no"}}}}'.encode(), 10**6)
    assert (getattr(answer, "id", 0), answer.error.message, answer.error.data) == (None, "no", {"code": LONG})  # type: ignore[union-attr]
