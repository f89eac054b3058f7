"""From images to scores, batch by batch."""
