"""The library of both programs and of the command line."""

__version__ = "0.1.0"
