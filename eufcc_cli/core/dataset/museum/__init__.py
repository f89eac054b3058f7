"""A museum's own export and photographs, made a collection."""
