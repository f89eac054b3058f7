"""Models x splits -> results: scores from models and files, ensembles, intervals, where models fail."""
