"""How good scores, decided tags and probabilities are."""
