"""Execute a run on a Ray cluster: actors, their messages and the cluster's lifetime."""
