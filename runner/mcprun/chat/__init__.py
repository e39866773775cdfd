"""An interactive chat session with a server, and saving it as queries."""
