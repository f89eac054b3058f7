"""A curator's review of suggestions: a local web page whose decisions are appended to a file."""
