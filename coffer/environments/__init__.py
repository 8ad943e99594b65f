"""Environments: one TOML file each, read, checked, and its references resolved."""

from coffer.environments.loading import known, load
from coffer.environments.model import Environment
from coffer.environments.references import Reference, resolve

__all__ = ["Environment", "Reference", "known", "load", "resolve"]
