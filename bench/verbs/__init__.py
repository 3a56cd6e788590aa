"""The verbs of `python -m bench`. One file each: its name is the verb, its docstring the help, `main(argv)` does it."""
