"""Image files from strangers: decoding, colour, size."""
