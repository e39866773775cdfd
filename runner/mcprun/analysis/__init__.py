"""Analysis of recorded runs. Pure."""
