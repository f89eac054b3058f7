"""What learns: settings, data, the training loop."""
