"""Text that comes in pieces, cleaned of secrets before any of it is shown, though one may be spread over two pieces."""

from __future__ import annotations

from mcprun.runs.redaction import Redactor


class StreamRedactor:
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


class LineRedactor:
    """Takes pieces and gives whole lines: text that may be cleaned by itself, and is not cleaned yet.

    A line that is longer than so many characters (`most`) is given in parts. Put together, what it gives is what it
    took, and cleaned part by part it is what the `redactor` makes of the whole; except that a pattern may miss what
    goes over several lines, and the end of what is longer than `longest_fit` in a line that is given in parts.
    """

    def __init__(self, redactor: Redactor, most: int) -> None:
        self._redactor = redactor
        self._most = most
        self.held = ""
        """What was not given yet."""

    def take(self, piece: str) -> str:
        """Take the next piece."""
        text = self.held + piece
        end = text.rfind("\n") + 1
        if len(text) - end > self._most:
            end = max(end, len(text) - self._redactor.longest_fit)
        end = end and self._redactor.safe_end(text, end)
        self.held = text[end:]
        return text[:end]

    def end(self) -> str:
        """Give the rest, when there is no next piece."""
        text, self.held = self.held, ""
        return text
