"""The drawn demonstration collection: annotated pictures of invented museums, from a seed, without a network.

From the bottom up: `materials` and `brush` draw; `household`, `costume`, `curios` and `pictorial_works` are
the objects, and `objects` their names; `backdrops` and `providers` are the museums; `picture_plan` decides
what an image shows and how it is annotated; `camera` makes the picture; `collection` writes the files.
"""

from eufcc_cli.core.demo.collection import Summary, draw_collection

__all__ = ["Summary", "draw_collection"]
