"""Reports: pure functions from values to text.

Reports read run directories, and progress reads events. Neither executes a run.
"""
