"""The version of mcprun."""

__version__ = "0.1.0"
