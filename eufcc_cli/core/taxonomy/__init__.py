"""Annotation tables, hierarchies, vocabularies, and the names and concepts of tags."""
