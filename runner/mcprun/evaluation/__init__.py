"""Match patterns and validate schemas from users and servers within a time limit, in a process that can be killed."""
