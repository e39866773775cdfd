"""Redact text that arrives in pieces, even if a secret is split between two of them."""

from __future__ import annotations

from mcprun.runs.redaction import Redactor


class StreamRedactor:
    """Redacts text piece by piece, and holds back an end that may be the start of a secret.

    The concatenated output equals the redacted whole text. With patterns, the start of a match can't be recognised.
    Only whole lines are then returned, and a match that spans several lines is missed.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def take(self, piece: str) -> str:
        """Take the next piece. Return the redacted text that is complete."""
        text = self._held + piece
        end = text.rfind("\n") + 1 if self._redactor.has_patterns else self._redactor.safe_length(text)
        self._held = text[end:]
        return self._redactor.text(text[:end])

    def flush(self) -> str:
        """Return the redacted rest after the last piece."""
        text, self._held = self._held, ""
        return self._redactor.text(text)


class LineRedactor:
    """Splits text that arrives in pieces into lines that can be redacted one by one. The lines are not redacted yet.

    A line of more than `max_chars` characters is returned in parts. The concatenated output equals the input, and
    redacting it part by part gives the same text as redacting the whole. There are two exceptions. A pattern may miss a
    match that spans several lines, and the end of a match of more than `longest_fit` characters in a line returned in
    parts.
    """

    def __init__(self, redactor: Redactor, max_chars: int) -> None:
        self._redactor = redactor
        self._max_chars = max_chars
        self.held = ""
        """Text that was not returned yet."""

    def take(self, piece: str) -> str:
        """Take the next piece. Return the text that is complete."""
        text = self.held + piece
        end = text.rfind("\n") + 1
        if len(text) - end > self._max_chars:
            end = max(end, len(text) - self._redactor.longest_fit)
        end = end and self._redactor.safe_length(text, end)
        self.held = text[end:]
        return text[:end]

    def flush(self) -> str:
        """Return the rest after the last piece."""
        text, self.held = self.held, ""
        return text
