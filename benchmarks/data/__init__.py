"""The data line's benchmark: corpora with known duplicates, peers side by side with ours, one command that writes the page."""
