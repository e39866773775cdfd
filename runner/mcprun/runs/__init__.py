"""What a run records: events, transcripts and `run.json`; reading and writing the run directory; redaction."""
