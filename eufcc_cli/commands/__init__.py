"""The six commands: options in, one call of the core, results out."""
