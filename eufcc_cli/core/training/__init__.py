"""Training: settings, data, the training loop."""
