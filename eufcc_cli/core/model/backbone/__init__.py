"""Backbones: networks, their weights, memory and engines."""
