"""Match the encodings in which a secret may appear in text: escaped, base64 and hex. Pure.

A `Form` matches one of them. The escaped form covers the escapes of JSON, URLs, HTML, shells and `repr`, in any
combination and nested a few levels deep, since each character is matched with all of its escapes. None of these
escapes ASCII letters and digits. That keeps the search fast, because a run of letters and digits is searched for first.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from html.entities import html5
from urllib.parse import quote

_RUN = re.compile(r"[0-9A-Za-z]+")
_PARTS = re.compile(r"\\+|[0-9A-Za-z]+|[\s\S]")

_FILTERED = 12
"""Maximum characters of a core, the part of a form that is searched for before the form itself."""

_WRAPPED = 24
"""Minimum characters of base64 that may be wrapped. With twice as many, two cores are searched for."""

_LEVELS = 63
"""Maximum consecutive backslashes that are matched: six levels of JSON nesting, each of which doubles them."""

_PERCENT = "%(?:25){0,3}"
_BACKSLASH = rf"(?:\\|{_PERCENT}5[cC])"
_ESCAPED = r"(?:(?<=\\)|(?<=5[cC]))"
"""Matches after a backslash."""

_END = f"(?:;|{_PERCENT}3[bB])"
_NUMBER = f"(?:#|{_PERCENT}23)"
_AND = rf"(?:&|{_ESCAPED}u0026|{_PERCENT}26)(?:amp{_END}){{0,3}}"
"""Matches the start of an HTML entity, which may itself be escaped."""

_QUOTES = {
    character: f"(?:{character}|{_PERCENT}{code:x}|{_AND}(?:{name}|{_NUMBER}(?:0*{code}|[xX]0*{code:x})){_END})"
    for character, code, name in (("'", 39, "apos"), ('"', 34, "quot"))
}
"""Patterns of the two quotes, which have several encodings."""

_BREAK = rf"(?:\s|{_BACKSLASH}{{1,{_LEVELS}}}[nr]|%0[aAdD]){{0,8}}+"
"""Matches a line break within base64 (RFC 2045, 6.8), raw or escaped as in JSON."""

_LETTERS = {"\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\x1b": "e"}
"""C escapes, which JSON, Python and shells share."""

_PARTIAL_ESCAPE = re.compile(r"""\\[\\\w#;&'"{}]{0,79}|[%&][\w#;%]{0,79}|['"][\\'"]{0,79}|\r""")
"""Matches text that may be the start of an incomplete escape."""

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@dataclass(frozen=True)
class _Unit:
    """One character of a form: a regular expression, its `plain` form if any, and the pattern of its `doubled` form."""

    pattern: str
    plain: str = ""
    doubled: str = ""

    def ends(self, text: str, at: int) -> set[int]:
        """Return the offsets at which the unit may end if it starts at `at`."""
        patterns = filter(None, (self.pattern, re.escape(self.plain), self.doubled))
        return {found.end() for pattern in patterns if (found := _compiled(pattern).match(text, at))}

    def is_partial(self, text: str, at: int) -> bool:
        """Return whether the text may end within the unit that starts at `at`."""
        return bool(self.plain and _PARTIAL_ESCAPE.fullmatch(text, at))


@dataclass(frozen=True)
class Form:
    """One encoding of a secret. Text without any of its `cores`, or shorter than `least`, can't contain it.

    `encode` returns the units in order: literal text, and characters with escapes. It is called only once a core is
    found, since most secrets never appear.
    """

    encode: partial[tuple[str | _Unit, ...]]
    cores: tuple[str, ...]
    least: int

    @cached_property
    def units(self) -> tuple[str | _Unit, ...]:
        """The units to match, in order."""
        return self.encode()

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The regular expression, compiled on first use."""
        return re.compile("".join(re.escape(one) if isinstance(one, str) else one.pattern for one in self.units))

    @cached_property
    def longest(self) -> int:
        """The maximum characters of an occurrence without line breaks."""
        return sum(len(one) if isinstance(one, str) else 80 for one in self.units)

    def partial_offsets(self, text: str) -> Iterator[int]:
        """Yield the offsets at which an occurrence may start that the end of the text cuts off."""
        first = self.units[0]
        starts = re.escape(first[0]) if isinstance(first, str) else rf"{first.pattern}|[\\%&'\"\r]"
        for found in _compiled(f"(?={starts})").finditer(text, max(0, len(text) - self.longest)):
            if self._is_partial(text, found.start()):
                yield found.start()

    def _is_partial(self, text: str, at: int) -> bool:
        places = {at}
        for unit in self.units:
            ends: set[int] = set()
            for place in places:
                if isinstance(unit, str):
                    rest = len(text) - place
                    if rest < len(unit) and unit.startswith(text[place:]):
                        return True
                    if text.startswith(unit, place):
                        ends.add(place + len(unit))
                elif place == len(text) or unit.is_partial(text, place):
                    return True
                else:
                    ends |= unit.ends(text, place)
            places = ends
            if not places:
                return False
        return False


def forms(text: str, *, is_part: bool = False) -> Iterator[Form]:
    """Yield all forms of a text: escaped, base64 at each of its three alignments, hex in both cases.

    For a part of a secret, base64 and hex of its escaped forms are left out.
    """
    yield Form(partial(_escaped, text), (_core(text),), len(text))
    data = encode_text(text)
    sources = {data} if is_part else {data, json.dumps(text)[1:-1].encode(), quote(data, safe="").encode()}
    for source in sources:
        yield from (_base64(source, before) for before in range(3))
        for digits in {source.hex(), source.hex().upper()}:
            yield Form(partial(_plain, digits), (digits[:_FILTERED],), len(digits))


def encode_text(text: str) -> bytes:
    """Encode a text as UTF-8. Surrogate escapes of environment variables become the original bytes (PEP 383)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _core(text: str) -> str:
    """Return the longest run of letters and digits, cut to `_FILTERED` characters."""
    return max(_RUN.findall(text), key=len, default="")[:_FILTERED]


def _plain(text: str) -> tuple[str | _Unit, ...]:
    return (text,)


def _escaped(text: str) -> tuple[str | _Unit, ...]:
    return tuple(
        _backslashes(len(run), is_first=not number) if run[0] == "\\"
        else run if _RUN.match(run)
        else _character(run, is_first=not number)
        for number, run in enumerate(_PARTS.findall(text))
    )  # fmt: skip


@cache
def _character(character: str, *, is_first: bool = False) -> _Unit:
    """Return a unit that matches a character with all of its escapes.

    The first character of a secret matches at most one preceding backslash. Otherwise each backslash of a long run
    would be tried as the start.
    """
    code, data = ord(character), encode_text(character)
    units = character.encode("utf-16-be", "surrogatepass").hex()
    slashes = f"{_BACKSLASH}{{1,{_LEVELS}}}"  # between the parts of one escape
    escapes = [
        slashes.join(f"u{_hex(units[at : at + 4])}" for at in range(0, len(units), 4)),
        f"u\\{{0*{_hex(f'{code:x}')}\\}}",
        f"U{_hex(f'{code:08x}')}",
        slashes.join(f"x{_hex(f'{byte:02x}')}" for byte in data),
        slashes.join(f"0?{byte:03o}" for byte in data),
    ]
    if not character.isascii() and code < 256:
        escapes.append(f"x{_hex(f'{code:02x}')}")
    if letter := _LETTERS.get(character):
        escapes += [letter, f"r{slashes}n"] if letter == "n" else [letter]
    number = f"{_NUMBER}(?:0*{code}|[xX]0*{_hex(f'{code:x}')})"
    percent = "".join(f"{_PERCENT}{_hex(f'{byte:02x}')}" for byte in data)
    entity = f"{_AND}(?:{'|'.join([*_names().get(character, ()), number])}){_END}"
    options = [f"{_ESCAPED}(?:{'|'.join(escapes)})", percent, entity]
    if character == "\n":
        options += [r"\r\n", f"{_PERCENT}0[dD]{_PERCENT}0[aA]"]
    if character == " ":
        options.append(r"\+")
    raw = re.escape(character)
    before = f"{_BACKSLASH}?" if is_first else f"{_BACKSLASH}{{0,{_LEVELS}}}+"
    single = f"{before}(?:{'|'.join([*options, raw])})"
    if character not in _QUOTES:
        return _Unit(f"(?:{single}|{raw})", character)
    one, other = (f"(?:{_BACKSLASH}{{0,{_LEVELS}}}+{_QUOTES[quote]})" for quote in (character, '"'))
    doubled = f"{one}{one}"  # as in CSV, SQL and YAML
    closed = [f"{one}{other}{one}{other}{one}", f"{one}{one}{one}"] if character == "'" else []  # in shell quotes
    return _Unit(f"(?:{'|'.join([*closed, single, raw, doubled])})", character, doubled)


def _backslashes(count: int, *, is_first: bool) -> _Unit:
    """Return a unit that matches a run of `count` backslashes, since each encoder doubles them."""
    max_count = count if is_first else max(_LEVELS, count * 8)
    before, slash = ("", _BACKSLASH) if is_first else (f"{_BACKSLASH}{{0,{_LEVELS}}}+", f"{_BACKSLASH}{{1,{_LEVELS}}}")
    options = [
        f"(?:{slash}(?:u005[cC]|x5[cC]|134)){{{count}}}",
        f"(?:{before}{_AND}(?:{_NUMBER}(?:0*92|[xX]0*5[cC])|bsol){_END}){{{count}}}",
        f"{_BACKSLASH}{{{count},{max_count}}}+",
    ]
    return _Unit(f"(?:{'|'.join(options)})", "\\" * count)


def _base64(data: bytes, before: int) -> Form:
    """Return the base64 form of bytes that start `before` bytes into a group of three."""
    text, _, _ = _aligned(data, before)
    halves = (text[:_WRAPPED], text[_WRAPPED : 2 * _WRAPPED]) if len(text) >= 2 * _WRAPPED else (text,)
    return Form(partial(_base64_units, data, before), tuple(map(_core, halves)), len(text))


def _base64_units(data: bytes, before: int) -> tuple[str | _Unit, ...]:
    """Return units that match base64, standard or URL-safe, which may be wrapped between groups of four.

    The characters at both ends also encode bits of adjacent bytes, so all of their possible values are matched.
    """
    text, head, tail = _aligned(data, before)
    place = (0, 2, 3)[before]  # of the next character in its group of four
    units: list[str | _Unit] = [_one_of(head)] if head else []
    for number, part in enumerate(re.findall(r"[+/]|[^+/]", text)):
        if (place + number) % 4 == 0 and units and len(text) >= _WRAPPED:
            units.append(_Unit(_BREAK))
        if part in "+/":
            units.append(_one_of([part]))
        elif units and isinstance(units[-1], str):
            units[-1] += part
        else:
            units.append(part)
    if tail:
        units.append(_one_of(tail))
    padding = _Unit(f"(?:{_character('=').pattern})?")
    return (*units, padding, padding)


def _aligned(data: bytes, before: int) -> tuple[str, list[str], list[str]]:
    """Encode bytes as base64. Return the part that only they determine, and the possible characters at both ends."""
    text = b64encode(bytes(before) + data).decode()
    first, (last, rest) = (0, 2, 3)[before], divmod((before + len(data)) * 8, 6)
    data_bits = (0, 4, 2)[before]  # bits of the data in the character before
    low = _ALPHABET.index(text[first - 1]) if first else 0
    head = [_ALPHABET[low + (high << data_bits)] for high in range(2 ** (6 - data_bits))] if first else []
    high = _ALPHABET.index(text[last]) if rest else 0
    tail = [_ALPHABET[high + low] for low in range(2 ** (6 - rest))] if rest else []
    return text[first:last], head, tail


def _one_of(characters: Sequence[str]) -> _Unit:
    """Return a unit that matches any of some base64 characters. `+` and `/` may be escaped, or URL-safe `-` and `_`."""
    plain = "".join(characters).replace("+", "-").replace("/", "_")
    options = [f"[{re.escape(plain)}]", *(_character(one).pattern for one in characters if one in "+/")]
    return _Unit(f"(?:{'|'.join(options)})", characters[0] if len(characters) == 1 else "")


def _hex(digits: str) -> str:
    """Return a pattern that matches hexadecimal digits in either case."""
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def _names() -> dict[str, list[str]]:
    """Return the HTML entity names of each character."""
    names: dict[str, list[str]] = {}
    for name, character in html5.items():
        if name.endswith(";"):
            names.setdefault(character, []).append(name[:-1])
    return names
