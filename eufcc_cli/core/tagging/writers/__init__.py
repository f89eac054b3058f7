"""Suggestions in every form that people and programs take them in."""
