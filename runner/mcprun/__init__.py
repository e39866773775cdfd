"""mcprun: a batch runner and regression harness for MCP servers."""

__version__ = "0.1.0"
