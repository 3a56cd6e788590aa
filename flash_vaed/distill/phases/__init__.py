"""The phases of distillation, one file each; the file name is the name in a recipe."""
