"""Options of the commands, by subject."""
