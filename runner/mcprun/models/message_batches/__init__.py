"""The Message Batches API: requests are queued, submitted together, and recovered after a restart."""
