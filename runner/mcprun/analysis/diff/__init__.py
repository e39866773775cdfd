"""Compare two runs, query by query and call by call, ignoring differences that do not matter."""
