"""Read, validate, generate and shard prompts files."""
