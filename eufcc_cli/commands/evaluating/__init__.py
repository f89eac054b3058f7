"""What `eufcc evaluate` is made of."""
