"""Clip sources, one file each. A source is a function `(root, split) -> ClipSet` registered under its name."""
