"""All that eufcc knows and does, usable from Python without the command line."""
