"""Coffer releases a service without dropping a request and brings its data back with proof."""

__version__ = "0.1.0"
