"""The scenarios that mcprun does not pass, with reasons. Remove a scenario once it passes."""

from __future__ import annotations

_REASONS: dict[str, tuple[str, ...]] = {
    "an extension: enterprise identity providers; mcprun only sends a given assertion (--oauth-assertion)": (
        "auth/enterprise-managed-authorization",
    ),
    "an extension: proof of possession (DPoP, RFC 9449), which the MCP SDK does not support": (
        "auth/dpop",
        "auth/dpop-nonce",
    ),
    "an extension: workloads that send a JWT instead of a secret (RFC 7523); the MCP SDK requires both": (
        "auth/wif-jwt-bearer",
    ),
    "an extension: skills, which are not tools; mcprun does not request them": (
        "sep-2640-client-no-prefetch",
        "sep-2640-client-verify-digest",
        "sep-2640-client-verify-size",
        "sep-2640-client-verify-frontmatter",
    ),
}

KNOWN: dict[str, str] = {name: reason for reason, names in _REASONS.items() for name in names}
"""Reasons by scenario name."""
