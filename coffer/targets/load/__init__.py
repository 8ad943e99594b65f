"""A load on a service of ours, and the proof of what it saw."""

from __future__ import annotations

from coffer.targets.load.generator import LoadRequest, generate
from coffer.targets.load.profile import Profile, RequestKind, load_profile, plain_profile
from coffer.targets.load.result import LoadResult, Post, reconcile

__all__ = [
    "LoadRequest",
    "LoadResult",
    "Post",
    "Profile",
    "RequestKind",
    "generate",
    "load_profile",
    "plain_profile",
    "reconcile",
]
