"""The `expect` of a query: its format, its matchers and its evaluation. Pure."""
