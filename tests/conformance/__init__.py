"""The protocol's own conformance tests for clients, run against mcprun: `python -m tests.conformance`."""
