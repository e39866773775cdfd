"""The scenarios that mcprun does not pass, and why. One that passes after all must go from here."""

from __future__ import annotations

_REASONS: dict[str, tuple[str, ...]] = {
    "mcprun has no OAuth flow yet": (
        "auth/metadata-default",
        "auth/metadata-var1",
        "auth/metadata-var2",
        "auth/metadata-var3",
        "auth/basic-cimd",
        "auth/scope-from-www-authenticate",
        "auth/scope-from-scopes-supported",
        "auth/scope-omitted-when-undefined",
        "auth/scope-step-up",
        "auth/scope-retry-limit",
        "auth/token-endpoint-auth-basic",
        "auth/token-endpoint-auth-post",
        "auth/token-endpoint-auth-none",
        "auth/pre-registration",
        "auth/2025-03-26-oauth-metadata-backcompat",
        "auth/2025-03-26-oauth-endpoint-fallback",
        "auth/resource-mismatch",
        "auth/offline-access-scope",
        "auth/offline-access-not-supported",
        "auth/authorization-server-migration",
        "auth/iss-supported",
        "auth/iss-not-advertised",
        "auth/iss-supported-missing",
        "auth/iss-wrong-issuer",
        "auth/iss-unexpected",
        "auth/iss-normalized",
        "auth/metadata-issuer-mismatch",
        "auth/client-credentials-jwt",
        "auth/client-credentials-basic",
    ),
    "an extension: identity providers of enterprises, which the MCP SDK leaves to its users": (
        "auth/enterprise-managed-authorization",
    ),
    "an extension: proof of possession (DPoP, RFC 9449), which the MCP SDK does not have": (
        "auth/dpop",
        "auth/dpop-nonce",
    ),
    "an extension: workloads that show a JWT in place of a secret (RFC 7523); the MCP SDK wants both": (
        "auth/wif-jwt-bearer",
    ),
    "an extension: skills, which are no tools; mcprun asks for none": (
        "sep-2640-client-no-prefetch",
        "sep-2640-client-verify-digest",
        "sep-2640-client-verify-size",
        "sep-2640-client-verify-frontmatter",
    ),
}

KNOWN: dict[str, str] = {name: reason for reason, names in _REASONS.items() for name in names}
"""Reasons, by the name of the scenario."""
