"""What the data says: annotation tables, hierarchies, vocabularies."""
