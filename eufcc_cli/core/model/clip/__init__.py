"""CLIP: two towers, contrastive training, texts made of tags."""
