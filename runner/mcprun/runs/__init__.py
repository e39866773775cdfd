"""Read, write and redact run directories: events, transcripts and `run.json`."""
