"""The flags of the binaries, one subject a file, and the objects of the library that they choose.

Each module defines the flags of its subject, some of them in a function `define` where their
choices or defaults depend on the binary, and lists their names in `NAMES`: together these make a
run what it is. Importing them imports no TensorFlow.
"""
