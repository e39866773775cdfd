"""The forms of values that usually differ from run to run, by the names that `--scrub` takes. Pure.

Each regular expression takes linear time: it is matched against everything that a server returns.
"""

from __future__ import annotations

from collections.abc import Mapping

_BEGIN, _END = r"(?<![^\W_])", r"(?![^\W_])"
"""Word boundaries that allow an adjacent underscore."""

_ZONE_NAME = r"(?:GMT|UTC?|[ECMP][SD]T|CES?T|BST)"
_ZONE = rf"(?:\s?(?:{_ZONE_NAME}[+-]\d{{4}}|Z|z|{_ZONE_NAME}{_END}|[+-]\d\d(?::?\d\d)?(?!\d)))?"
_ZONE_NOTE = (
    rf"(?:\[[\w/+-]{{1,40}}\]| \((?:UTC|[A-Z]{{2,4}}T|(?:[A-Z][a-z]+ ){{1,4}}Time)\)"
    rf"| {_ZONE_NAME}{_END}(?: m=[+-]\d+\.\d+)?)?"
)
"""What Java (`[Europe/Berlin]`), JavaScript and RFC 5322 (`(UTC)`), and Go (`UTC m=+0.01`) append to an offset."""

_CLOCK = r"\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?"
_CLOCK_12 = rf"\d?\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:[ \u202f]?[AaPp]\.?[Mm]{_END}\.?)?"
_TIME = r"(?:[01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.,]\d+)?(?:[ \u202f]?[AaPp]\.?[Mm](?![^\W_])\.?)?"
_DAY_NAME = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:day|sday|nesday|rsday|urday)?"
_DAY = rf"{_BEGIN}{_DAY_NAME}"
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_COMPACT_DATE = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_COMPACT_CLOCK = r"(?:[01]\d|2[0-3])[0-5]\d[0-5]\d"
_TIMESTAMP = "|".join(
    (
        # ISO 8601, extended and basic format (https://www.rfc-editor.org/rfc/rfc3339), and the format of Go's `log`
        rf"{_BEGIN}{_DATE}(?:[Tt_]\d\d-\d\d-\d\d{_END}|[Tt ]{_CLOCK}{_ZONE}{_ZONE_NOTE}|T\d\d{_ZONE}{_END})?",
        rf"{_BEGIN}\d{{8}}T\d{{4}}(?:\d\d(?:[.,]\d+)?)?{_ZONE}{_END}",
        rf"{_BEGIN}\d{{4}}-W[0-5]\d(?:-[1-7])?{_END}",
        rf"{_BEGIN}\d{{4}}/\d\d/\d\d(?: {_CLOCK}{_ZONE}|{_END})",
        # names of files and folders
        rf"{_BEGIN}{_COMPACT_DATE}[-_]?{_COMPACT_CLOCK}{_END}",
        # RFC 1123 and 5322, RFC 850, and C's `asctime`: the three of HTTP (RFC 9110, section 5.6.7); JavaScript's Date
        rf"(?:{_DAY},? |{_BEGIN})\d\d? {_MONTH},? \d{{4}}(?:,? {_CLOCK_12}{_ZONE}{_ZONE_NOTE}|{_END})",
        rf"{_DAY}, \d\d-{_MONTH}-\d\d {_CLOCK}{_ZONE}",
        rf"{_DAY} {_MONTH} [ \d]?\d {_CLOCK}(?: {_ZONE_NAME})? \d{{4}}{_END}",
        rf"{_DAY} {_MONTH} \d\d \d{{4}}(?: {_CLOCK}{_ZONE}{_ZONE_NOTE}|{_END})",
        # the logs of HTTP servers, and of syslog (RFC 3164)
        rf"{_BEGIN}\d\d/{_MONTH}/\d{{4}}:\d\d:\d\d:\d\d{_ZONE}",
        rf"{_BEGIN}{_MONTH} [ \d]\d \d\d:\d\d:\d\d{_END}",
        # prose, and the locales that write a date with slashes or dots
        rf"(?:{_DAY}, |{_BEGIN}){_MONTH} \d\d?(?:st|nd|rd|th)?,? \d{{4}}(?:(?:,| at|, at)? {_CLOCK_12}{_ZONE}|{_END})",
        rf"{_BEGIN}\d\d?/\d\d?/\d{{4}}(?:,? {_CLOCK_12}{_ZONE}|{_END})",
        rf"{_BEGIN}\d\d?\.\d\d?\.\d{{4}},? \d\d?:\d\d(?::\d\d)?{_ZONE}",
    )
)

_HEX = r"[0-9a-f]{32}(?:[0-9a-f]{8}|[0-9a-f]{24}|[0-9a-f]{32}|[0-9a-f]{64}|[0-9a-f]{96})?"
_HASH = "|".join(
    (
        # MD5, SHA-1 and the SHA-2 family; an ObjectId of 24 digits, one of which is a letter
        rf"{_BEGIN}(?:{_HEX}|(?=\d*[a-f])[0-9a-f]{{24}}){_END}",
        rf"{_BEGIN}{_HEX.replace('a-f', 'A-F')}{_END}",
        rf"{_BEGIN}sha(?:256|384|512)-[A-Za-z0-9+/]{{43,88}}={{0,2}}",  # https://www.w3.org/TR/SRI/
    )
)

_TMP = "|".join(
    (
        r"(?:(?:/private)?(?:/tmp|/var/tmp|/var/folders)|/dev/shm|/run/user/\d+)(?:/[\w.+@~-]+)+",
        r"(?:%TE?MP%|[A-Za-z]:(?:[\\/]+[\w.+@~ -]+)*?[\\/]+Te?mp)(?:[\\/]+[\w.+@~-]+)+",
    )
)

_NOT_IN_IPV6 = "".join(rf"(?<!:[\da-fA-F]{{{digits}}})" for digits in range(1, 5))
"""Excludes the groups of an IPv6 address, and what follows a time of day."""

_PORT = "|".join(
    (
        rf"(?<=[\w\]]){_NOT_IN_IPV6}:\d{{4,5}}{_END}(?!:[:\da-fA-F])",
        *(rf"(?<={_BEGIN}{word})\d{{4,5}}{_END}" for word in ("[Pp]ort ", "[Pp]ort: ", "[Pp]ort=", "PORT ", "PORT=")),
    )
)

_SECONDS = r"(?:1[3-9]|2[01])\d{8}"
EPOCH_SECONDS = (1_300_000_000, 2_200_000_000)
"""The numbers that count as seconds since 1970: from 2011 to 2039. Thousandths and smaller parts count accordingly."""

_NUMBER = r"\d+(?:\.\d+)?"
_UNIT = r"(?:ns|[uµμ]s|ms|s|nanoseconds?|microseconds?|milliseconds?|msecs?|secs?|seconds?)"
_LONGER_UNIT = r"(?:h|hrs?|hours?|m|mins?|minutes?)"

SCRUBS: Mapping[str, str] = {
    "uuid": rf"{_BEGIN}(?:[0-9a-fA-F]{{8}}(?:-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}}"
    r"|[0-9a-f]{12}[47][0-9a-f]{3}[89ab][0-9a-f]{15}"
    rf"|[0-9A-F]{{12}}[47][0-9A-F]{{3}}[89AB][0-9A-F]{{15}}){_END}",
    "ulid": rf"{_BEGIN}[0-7](?:[0-9A-HJKMNP-TV-Z]{{25}}|[0-9a-hjkmnp-tv-z]{{25}}){_END}",
    "timestamp": _TIMESTAMP,
    "time": rf"(?<![\d:.]){_TIME}{_ZONE}(?![\d:])",
    "epoch": rf"{_BEGIN}(?<![.+-]){_SECONDS}(?:\d{{3}}){{0,3}}(?:\.\d+)?{_END}(?!-|\.\d)",
    "tmp": _TMP,
    "hash": _HASH,
    "port": _PORT,
    "duration": rf"{_BEGIN}(?<!\.)(?:{_NUMBER} ?{_LONGER_UNIT}{_END},? ?|\d+[hm](?=\d)){{0,2}}{_NUMBER} ?{_UNIT}{_END}",
}
"""The built-in scrubs by name, with their regular expressions, from the most specific to the least."""


def is_epoch(number: float) -> bool:
    """Return whether a number may be a time since 1970, in seconds or thousandths, millionths or billionths of one."""
    low, high = EPOCH_SECONDS
    return any(low * scale <= number < high * scale for scale in (1, 10**3, 10**6, 10**9))
