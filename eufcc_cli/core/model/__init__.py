"""Models: networks, methods, prediction."""
