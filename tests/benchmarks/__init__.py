"""Benchmarks: `python -m tests.benchmarks`. Each figure is a ratio of two commands, measured in turns within one run."""
