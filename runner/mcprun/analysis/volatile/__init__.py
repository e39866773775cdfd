"""Find values that differ from run to run although nothing changed, and the options that leave them out."""
