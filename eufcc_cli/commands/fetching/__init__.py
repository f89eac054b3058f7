"""What `eufcc fetch` is made of."""
