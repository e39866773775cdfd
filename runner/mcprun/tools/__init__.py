"""A server's tools as data: their mapping to the Messages API, results, lint, changes and snapshots. Pure."""
