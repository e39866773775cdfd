"""The settings of a project (mcprun.toml and the environment), and the kinds of all options."""
