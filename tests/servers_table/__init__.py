"""Real servers from npm and PyPI, tried: the table of the README, and what makes it."""
