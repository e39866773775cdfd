"""The scenarios that mcprun does not pass, and why. One that passes after all must go from here."""

from __future__ import annotations

_REASONS: dict[str, tuple[str, ...]] = {
    "an extension: identity providers of enterprises; mcprun takes what they say (--oauth-assertion), and asks none": (
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
