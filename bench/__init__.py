"""Measured here, never in a test."""
