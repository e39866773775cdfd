"""Distinguish values that are volatile by their nature from values that changed. Pure.

A difference between two versions of a server may be a regression. So it counts as volatile only if both values have
the form of one that is made anew in each run: a time that passed as the clock did, a random id, a temporary path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from itertools import pairwise

from mcprun.analysis.diff.forms import SCRUBS, is_epoch

_NEAR = timedelta(hours=36)
"""How far from its run a time may lie that the run made, in any time zone."""

_DRIFT = timedelta(minutes=15)
"""How much the interval between two times may differ from the interval between their runs."""

_SUPPLY = timedelta(days=400)
"""How far from now a time with a clock may lie to count as made by a run, such as an expiry."""

_LOCAL = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|0\.0\.0\.0|\[::1?\])$")
_HOST = re.compile(r"(?://[^\s/]+|\]|[\w-]\.[\w-]+)$")
"""The end of an address before its port. In `total:45000` and `error:40001`, the number is no port."""

LEAST_PORT = 10_000
"""The least port that may have been chosen at random: well-known ones are below, with few exceptions."""

_EPHEMERAL_PORT = 32_768
"""The least port that Linux chooses at random. Other systems start higher."""

_CLOCK = re.compile(r"\d:\d\d")
_SECONDS = re.compile(r"\d:\d\d:(?!00(?![\d.,]))\d\d")
"""A time of day that has seconds. One that a person chose seldom has."""

_SHORT = re.compile(r"(?:ns|[uµμ]s|ms|micro\w+|nano\w+|milli\w+|msecs?)$|\d\.\d+ ?s")
"""The end of a duration that a clock measured."""

_BEFORE = 20
"""Maximum number of characters before a match that are considered."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_BOUNDS = frozenset(
    {"max", "min", "maximum", "minimum", "limit", "budget", "threshold", "target", "allowed", "default", "timeout"}
)
"""Words of keys that hold a setting, such as `latency_budget_ms`, not what was measured."""

_MEASURED = frozenset({"elapsed", "latency", "took", "uptime", "pid", "ppid", "nonce", "rss"})
_MEASURED_NAMES = frozenset(
    {"duration ms", "response time", "query time", "execution time", "processing time", "timestamp", "ts"}
)
_RANDOM = re.compile(r"[A-Za-z0-9_=+/-]+")
_LEAST_RANDOM = 8
"""The least number of characters of a random id, without the prefix that it shares with another one."""

_FORMATS = (
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %Z %Y", "%a %b %d %Y", "%d %b %Y",
    "%b %d, %Y", "%B %d, %Y", "%d/%b/%Y:%H:%M:%S %z", "%m/%d/%Y", "%m/%d/%Y, %I:%M:%S %p", "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%Y%m%d%H%M%S", "%Y%m%d_%H%M%S", "%Y%m%d-%H%M%S", "%Y-%m-%d_%H-%M-%S",
    "%Y-%m-%dT%H-%M-%S",
)  # fmt: skip
"""Formats beside ISO 8601 and RFC 5322."""


@dataclass(frozen=True, slots=True)
class Interval:
    """When the run of BASE and that of HEAD started, in UTC; None if unknown."""

    base: datetime | None = None
    head: datetime | None = None

    def is_followed(self, one: str, other: str) -> bool:
        """Return whether two texts are times that lie as far apart as the runs, or were made shortly before these.

        Of two times in unknown formats or of unknown runs, those count of which one has seconds, as a clock has.
        """
        before, after = parse_time(one), parse_time(other)
        if not (before and after and self.base and self.head):
            return all(map(_CLOCK.search, (one, other))) and any(map(_SECONDS.search, (one, other)))
        has_clock = any(time.hour or time.minute or time.second for time in (before, after))
        drift = abs((after - before) - (self.head - self.base))
        are_near = abs(before - self.base) <= _NEAR and abs(after - self.head) <= _NEAR
        if not has_clock:
            return drift <= timedelta(days=1) and (are_near or self.head - self.base > timedelta(days=1))
        # A difference of whole hours is a change of the time zone, which is no accident.
        of_zone = min(drift % timedelta(minutes=30), timedelta(minutes=30) - drift % timedelta(minutes=30))
        return drift <= _DRIFT or (are_near and of_zone > timedelta(seconds=30))

    def is_clock_followed(self, one: str, other: str) -> bool:
        """Return whether two times of day moved on as the clock did between the runs."""
        before, after = (parse_time(f"2000-01-01 {text}") for text in (one, other))
        if not (before and after and self.base and self.head):
            return any(map(_SECONDS.search, (one, other)))
        day = timedelta(days=1)
        drift = ((after - before) - (self.head - self.base)) % day
        return min(drift, day - drift) <= _DRIFT

    def is_measured(self, one: float, other: float) -> bool:
        """Return whether two numbers are times since 1970 that lie as far apart as the runs."""
        if not (is_epoch(one) and is_epoch(other)):
            return False
        times = [_from_epoch(number) for number in (one, other)]
        return self.is_followed(*(time.isoformat() for time in times))


def likely(name: str, one: str, other: str, before: str, interval: Interval) -> bool:
    """Return whether two different matches of the scrub `name` are volatile. `before` is the text before the first."""
    if name == "timestamp":
        return interval.is_followed(one, other)
    if name == "time":
        return interval.is_clock_followed(one, other)
    if name == "epoch":
        return interval.is_measured(float(one), float(other))
    if name == "port":
        ports = [int(text.strip(":")) for text in (one, other)]
        if _LOCAL.search(before):
            return max(ports) >= LEAST_PORT
        return min(ports) >= _EPHEMERAL_PORT and bool(not one.startswith(":") or _HOST.search(before))
    if name == "duration":
        return all(_SHORT.search(text) for text in (one, other))
    return name == "tmp" or (_is_random(one) and _is_random(other))  # ids and hashes


def likely_alone(name: str, match: str, before: str, now: datetime) -> bool:
    """Return whether a match of the scrub `name` looks volatile, given one value only."""
    if name in ("timestamp", "epoch"):
        time = _from_epoch(float(match)) if name == "epoch" else parse_time(match)
        distance = abs(time - now) if time else _SUPPLY
        has_clock = name == "timestamp" and ":" in match and not re.search(r"[T ]00:00(?::00)?(?![:\d.])", match)
        return distance <= _NEAR or (has_clock and distance < _SUPPLY)
    if name == "port":
        return int(match.strip(":")) >= _EPHEMERAL_PORT and bool(_LOCAL.search(before) or not match.startswith(":"))
    if name in ("uuid", "ulid"):
        return _is_random(match)
    return name == "tmp"


def text_before(match: re.Match[str]) -> str:
    """Return the text before a match that shows what it is, such as the host before a port."""
    return match.string[max(0, match.start() - _BEFORE) : match.start()]


def _is_random(text: str) -> bool:
    """Return whether an id or a hash is not a made-up one, such as `0000-…-0001`."""
    return len(set(text.replace("-", ""))) > 4


def is_measured_key(key: object) -> bool:
    """Return whether a key names something that a clock, a counter or the operating system provides."""
    words = [word.lower() for word in _WORDS.findall(key)] if isinstance(key, str) else []
    return (not _MEASURED.isdisjoint(words) and _BOUNDS.isdisjoint(words)) or " ".join(words) in _MEASURED_NAMES


def is_random_id(one: str, other: str) -> bool:
    """Return whether two texts look like random ids: of one length, of letters and digits, alike in few places."""
    if len(one) != len(other) or not all(_RANDOM.fullmatch(text) for text in (one, other)):
        return False
    shared = next(at for at in range(len(one) + 1) if at == len(one) or one[at] != other[at])
    rests = one[shared:], other[shared:]
    alike = sum(a == b for a, b in zip(*rests, strict=True))
    return len(rests[0]) >= _LEAST_RANDOM and alike * 3 <= len(rests[0]) and all(_changes(rest) > 1 for rest in rests)


def _changes(text: str) -> int:
    """Count how often letters follow digits or digits letters."""
    kinds = [character.isdigit() for character in text if character.isalnum()]
    return sum(a != b for a, b in pairwise(kinds))


def parse_time(text: str) -> datetime | None:
    """Return the time that a text names, in UTC if it names no zone; None if its format is not known."""
    for found in _readings(text.strip()):
        try:
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (OverflowError, ValueError):
            return None
    return None


def _readings(text: str) -> Iterator[datetime]:
    plain = re.sub(r"\[.*|\(.*| (?:UTC|GMT)(?: m=.*)?$", "", text).strip().replace(",", ".")
    with suppress(ValueError):
        yield datetime.fromisoformat(plain.replace(" +", "+"))
    with suppress(ValueError, TypeError, IndexError):
        yield parsedate_to_datetime(text)
    for form in _FORMATS:
        with suppress(ValueError):
            yield datetime.strptime(text, form)


def _from_epoch(number: float) -> datetime:
    """Return the time of a number for which `is_epoch` holds."""
    while number > 10**10:  # more than seconds
        number /= 1000
    return datetime.fromtimestamp(number, UTC)


@cache
def compiled_scrubs() -> Mapping[str, re.Pattern[str]]:
    """Return the built-in scrubs. Compiling them takes 30 ms, and most comparisons find no difference."""
    return {name: re.compile(pattern) for name, pattern in SCRUBS.items()}
