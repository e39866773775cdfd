"""Interactive chat sessions with a server, which can be saved as queries."""
