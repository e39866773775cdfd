"""Does mcprun keep to the protocol? The protocol's own tests for clients ask it: `python -m tests.conformance`."""
