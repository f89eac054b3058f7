"""What `eufcc tag` is made of."""
