"""Rules that exclude volatile values from comparisons: `--scrub`, `--ignore` and `--ignore-order`. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from mcprun._util.json_path import format_path
from mcprun.analysis.diff.forms import SCRUBS
from mcprun.analysis.diff.rule import Option, Rule
from mcprun.analysis.diff.scrub import Path, Scrubber, parse_path

OPTIONS: tuple[Option, ...] = ("scrub", "ignore", "ignore_order")

_BUILT_IN = re.compile("|".join(f"<({name})>" for name in SCRUBS))


def rules_of(scrubber: Scrubber) -> list[Rule]:
    """Return the rules that a scrubber was made of."""
    scrubs = []
    for pattern, replacement in scrubber.patterns:
        is_built_in = not isinstance(pattern, str) and _BUILT_IN.fullmatch(replacement)
        scrubs.append(replacement[1:-1] if is_built_in else pattern if isinstance(pattern, str) else pattern.pattern)
    return [
        *(Rule("scrub", value) for value in scrubs),
        *(Rule("ignore", format_path(path)) for path in scrubber.paths),
        *(Rule("ignore_order", format_path(path)) for path in scrubber.unordered),
    ]


def scrubber_of(rules: Iterable[Rule]) -> Scrubber:
    """Return the scrubber that applies these rules. Raises `UsageError` if one is invalid."""
    rules = tuple(rules)
    values = ([rule.value for rule in rules if rule.option == option] for option in OPTIONS)
    return Scrubber.of(*values)


def sorted_rules(rules: Iterable[Rule]) -> list[Rule]:
    """Return each rule once: scrubs first, in the order of their names, and no path within an ignored one."""
    unique = list(dict.fromkeys(rules))
    ignored = [parse_path(rule.value) for rule in unique if rule.option == "ignore"]
    kept = [rule for rule in unique if rule.option == "scrub" or not _is_covered(rule, ignored)]
    names = list(SCRUBS)

    def order(rule: Rule) -> tuple[int, int]:
        return OPTIONS.index(rule.option), names.index(rule.value) if rule.value in SCRUBS else len(names)

    return sorted(kept, key=order)


def toml_lines(rules: Sequence[Rule]) -> list[str]:
    """Return the lines of `mcprun.toml` that set these rules, one for each option."""
    values = {option: [_toml_string(rule.value) for rule in rules if rule.option == option] for option in OPTIONS}
    return [f"{option.replace('_', '-')} = [{', '.join(items)}]" for option, items in values.items() if items]


def _toml_string(text: str) -> str:
    """Return a TOML string: a basic one, or a literal one if it has backslashes or quotes and that can hold it."""
    if ("\\" in text or '"' in text) and "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_covered(rule: Rule, ignored: Sequence[Path]) -> bool:
    """Return whether another rule ignores a value that encloses this rule's path."""
    path = parse_path(rule.value)
    return any(len(one) < len(path) and all(a in (None, b) for a, b in zip(one, path, strict=False)) for one in ignored)
