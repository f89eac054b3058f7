"""What can be chosen for shards, by the names on the command line."""

from enum import StrEnum

PART_FORMATS = ("parquet", "jsonl")
"""The formats of parts; the first is the default."""


class EngineName(StrEnum):
    """Who works on the shards."""

    LOCAL = "local"
    RAY = "ray"
