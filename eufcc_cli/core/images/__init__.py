"""Untrusted image files: decoding, colour, size."""
