"""CLIP: two towers, and tags as texts."""

CLIP_METHODS = ("clip-1-tag", "clip-all-tags", "clip-1-tag-prompt")
