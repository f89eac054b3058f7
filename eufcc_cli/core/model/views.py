"""What a network may see of an image: the middle, all of it on a grey square, and their mirror images."""

VIEWS = ("center", "center+mirror", "whole", "whole+mirror", "whole+center", "whole+center+mirror")
