"""The HTTP client: limits per host, checked IP addresses, JSON APIs."""
