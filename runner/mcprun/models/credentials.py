"""Read the credentials for model APIs from the environment or a `.env` file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from mcprun._util.url_secrets import url_secrets
from mcprun.config.project import environment
from mcprun.models.providers import Cloud, find, split


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials and model names, from the environment or else a `.env` file. Secrets are left out of the repr."""

    api_key: str | None = field(default=None, repr=False)
    auth_token: str | None = field(default=None, repr=False)
    base_url: str | None = None
    model: str | None = None
    judge_model: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    clouds: Mapping[str, Cloud] = field(default_factory=dict)

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment, and for variables not set there, `.env` in this folder or one above it."""
        variables = environment() if environ is None else environ

        def value(name: str) -> str | None:
            return (variables.get(name) or "").strip() or None

        return cls(
            api_key=value("ANTHROPIC_API_KEY"),
            auth_token=value("ANTHROPIC_AUTH_TOKEN"),
            base_url=value("ANTHROPIC_BASE_URL"),
            model=value("MCPRUN_MODEL"),
            judge_model=value("MCPRUN_JUDGE_MODEL"),
            environment=variables,
        )

    def at_clouds(self, spec: str | None, judge: str | None, base_url: str | None) -> Self:
        """Return the credentials with the settings of the providers that the model `spec` and its `judge` name.

        `base_url` is the model's. Raises `UsageError` if something is missing.
        """
        found = {cloud.kind: cloud for cloud in [find(spec or "", self.environment, base_url)] if cloud}
        if judge and split(judge)[0] not in found and (cloud := find(judge, self.environment)):
            found[cloud.kind] = cloud
        return replace(self, clouds=found)

    @property
    def secrets(self) -> list[str]:
        """The values to redact: the keys, and the secrets in URLs."""
        clouds = self.clouds.values()
        urls = (self.base_url, *(cloud.settings.get("base_url") for cloud in clouds))
        found = [self.api_key, self.auth_token, *(secret for cloud in clouds for secret in cloud.secrets)]
        return [secret for secret in found if secret] + [secret for url in urls if url for secret in url_secrets(url)]

    @property
    def has_key(self) -> bool:
        """Whether there is a key or a token for the API."""
        return bool(self.api_key or self.auth_token)
