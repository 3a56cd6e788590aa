"""The commands of `python -m bench vbench2`. One file each: its docstring is the help, `main(argv)` does it."""
