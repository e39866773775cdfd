"""Models that reply in a conversation: Messages API, providers, scripts, replays; retries, rate limit and budget."""
