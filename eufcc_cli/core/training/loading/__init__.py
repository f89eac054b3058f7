"""The images and targets that a training learns from."""
