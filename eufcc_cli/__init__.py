"""eufcc: faceted, hierarchical image tagging for cultural heritage."""

__version__ = "0.1.0"
