"""Slow, independent references for metrics, methods and builders: loops and dictionaries, no vectorising."""
