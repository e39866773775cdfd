"""A server's tools as data: mapping to the Messages API, results, lint, changes and snapshots. Pure."""
