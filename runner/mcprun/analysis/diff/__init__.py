"""Compare two runs: query by query, call by call, with the differences that do not matter ignored."""
