"""What learns: networks, methods, training, prediction."""
