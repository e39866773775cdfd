"""JSON Schemas of tools: a readable outline, generated values, and changes between two versions. Pure."""
