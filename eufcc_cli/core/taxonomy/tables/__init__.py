"""Annotation tables: reading, writing and checking them."""
