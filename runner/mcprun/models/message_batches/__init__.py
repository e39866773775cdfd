"""The Message Batches API: queue requests, submit them together, and recover them after a restart."""
