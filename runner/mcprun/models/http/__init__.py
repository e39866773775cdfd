"""HTTP/1.1 for the requests to a model's API."""
