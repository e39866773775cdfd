"""What the definitions of the tools cost in a routed run, estimated from the usage that the API reports. Pure."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from mcprun.analysis.token_shares import SentDefinitions, sent_definitions, token_shares
from mcprun.runs.run_record import RunRecord
from mcprun.runs.transcript import Transcript


@dataclass(slots=True)
class DefinitionTokens:
    """The input `tokens` that were spent on definitions of tools in a number of `requests`.

    `decoys` is the part of them that was spent on decoys, and `sent` what was sent. Without usage, as of scripts, there
    are no requests.
    """

    sent: SentDefinitions = field(default_factory=SentDefinitions, repr=False)
    requests: int = 0
    tokens: float = 0.0
    decoys: float = 0.0

    def add(self, transcript: Transcript) -> None:
        """Add the request of a query, if the API reported its usage."""
        shares = token_shares(transcript, self.sent.sizes)
        if shares is None:
            return
        self.requests += 1
        self.tokens += sum(shares.definitions.values())
        self.decoys += sum(tokens for tool, tokens in shares.definitions.items() if tool in self.sent.decoys)

    @property
    def per_request(self) -> int | None:
        """The mean tokens of a request; None if none was reported."""
        return round(self.tokens / self.requests) if self.requests else None

    @property
    def decoys_per_request(self) -> int | None:
        """The mean tokens of a request that were spent on decoys; None if none was reported."""
        return round(self.decoys / self.requests) if self.requests else None


def definitions_of(record: RunRecord) -> DefinitionTokens:
    """Return the tokens of a run's definitions, to which its transcripts have to be added."""
    with suppress(Exception):  # tools of a record that was edited must not cost the report
        return DefinitionTokens(sent_definitions(record))
    return DefinitionTokens()
