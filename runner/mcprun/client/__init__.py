"""The MCP client: connections, the session, callbacks, the server pool and the server's log."""
