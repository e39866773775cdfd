"""JSON Schemas of tools: values generated from them, and changes between two versions. Pure."""
