"""The drawn miniature collection: annotated pictures by invented museums, from a seed, without a network.

From the bottom up: `materials` and `brush` draw; `household`, `costume`, `curios` and `pictorial_works` are
the things drawn, and `objects` their names; `backdrops` and `providers` are the museums; `picture_plan`
decides what is on an image and how it is annotated; `camera` takes the picture; `collection` writes all.
"""

from eufcc_cli.core.demo.collection import Summary, draw_collection

__all__ = ["Summary", "draw_collection"]
