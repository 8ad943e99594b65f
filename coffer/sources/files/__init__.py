"""A folder as a source: every name in it as it stands, links as links, what changed read again."""

from __future__ import annotations

from coffer.sources.files.source import FilesSource

__all__ = ["FilesSource"]
