"""Training step by step: optimizer, validation, memory and time."""
