"""One figure or table of the paper per file; its name is the file's name."""
