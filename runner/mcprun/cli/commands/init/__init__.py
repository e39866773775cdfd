"""`mcprun init`: generate a server's first prompts file and workflow."""
