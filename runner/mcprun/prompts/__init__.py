"""The prompts file: reading, validating, generating and sharding it."""
