"""IIIF: manifests and collections, and the images of their canvases."""
