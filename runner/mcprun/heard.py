"""Text that comes in pieces, cleaned of secrets before any of it is shown, though one may be spread over two pieces."""

from __future__ import annotations

from mcprun.redact import Redactor


class Hearing:
    """Takes pieces and gives what may be shown: all but an end with which a secret may begin.

    Put together, what it gives is what the `redactor` makes of the whole text. Where patterns are looked for, nobody
    knows what one may begin with: then only whole lines are given, and a pattern that fits several lines finds none.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def take(self, piece: str) -> str:
        """Take the next piece."""
        text = self._held + piece
        end = text.rfind("\n") + 1 if self._redactor.has_patterns else self._redactor.safe_end(text)
        self._held = text[end:]
        return self._redactor.text(text[:end])

    def end(self) -> str:
        """Give the rest, when there is no next piece."""
        text, self._held = self._held, ""
        return self._redactor.text(text)
