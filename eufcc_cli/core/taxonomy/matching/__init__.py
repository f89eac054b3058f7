"""From the words of free text to known terms."""
