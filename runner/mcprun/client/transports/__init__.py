"""Transports to an MCP server: stdio, Streamable HTTP and the legacy HTTP+SSE."""
