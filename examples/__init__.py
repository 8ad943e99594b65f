"""Coffer shown at work."""
