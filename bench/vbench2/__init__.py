"""VBench-2.0 as a program of somebody else: plan the videos, run its evaluator, read its scores. No torch here.

The evaluator runs in an interpreter and from a checkout of its own; nothing of it is imported or copied.
"""
