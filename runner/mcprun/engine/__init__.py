"""Execute a run: plan, worker, attempts, tool loop, judge, recorder, resume and merge."""
