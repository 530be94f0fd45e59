"""What speaks REST: the HTTP server, its routes, and the page."""
