"""Images in, suggestions out."""
