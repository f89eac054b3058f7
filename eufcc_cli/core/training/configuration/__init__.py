"""The settings of a training, their defaults and recipes."""
