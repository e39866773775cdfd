"""The terminal front end of `mcprun chat`."""
