"""Measure which tools, arguments, values, prompts and resources of a server recorded runs have exercised."""
