"""Apply the access policy of a run to a model whose requests may be refused (401, 403)."""

from __future__ import annotations

from dataclasses import dataclass

from mcprun.errors import DeniedError
from mcprun.models.access_policy import RUN_CLIENT, Access, Refusal, Source
from mcprun.models.base import Model, ModelReply, ModelRequest


@dataclass(frozen=True, slots=True)
class AccessModel:
    """A model whose refusals are judged by `access`. It wraps the retries, so that only the last try counts."""

    model: Model
    access: Access
    client: str = RUN_CLIENT

    @property
    def name(self) -> str:
        """The name of the wrapped model."""
        return self.model.name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Return the next turn. Raises `DeniedError`, or `RunError` if the refusal ends the run."""
        is_own = request.model == request.query.model
        source = Source(self.client, "model" if is_own else "judge")
        try:
            reply = await self.model.reply(request)
        except DeniedError as error:
            if error.names_model and is_own:
                raise
            refusal = Refusal(source, request.where, error.status, str(error), error.is_accepted)
            if ended := self.access.refused(refusal):
                raise ended from None
            raise
        self.access.granted(source)
        return reply
