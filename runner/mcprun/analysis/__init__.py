"""Conclusions drawn from recorded runs. Pure."""
