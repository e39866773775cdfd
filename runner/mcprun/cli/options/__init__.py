"""The options of the commands, by subject."""
