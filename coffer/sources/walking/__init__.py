"""Looks at everything below a folder. It needs nothing but Python's own library, and is a program, too."""
