"""Readers and writers of the files that collection systems export: one module per kind of file."""
