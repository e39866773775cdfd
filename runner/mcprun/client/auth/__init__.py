"""OAuth 2.1 for HTTP servers: login, token store and the authorization of requests."""
