"""`mcprun init`: the first prompts file and workflow of a server."""
