"""Results people can use: tables, plots, HTML, JSON lines, CSV."""
