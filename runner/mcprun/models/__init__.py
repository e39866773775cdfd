"""What answers a conversation: the Messages API, its providers, scripts and replays; retry, rate limit and budget."""
