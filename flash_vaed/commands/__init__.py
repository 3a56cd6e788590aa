"""The commands of `python -m flash_vaed`, one a file; the docstring is the help. `_` marks what they share."""
