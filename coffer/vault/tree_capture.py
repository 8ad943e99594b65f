"""Takes one source's tree into the vault: the sink that sources push into."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from coffer.errors import UsageError
from coffer.vault import extents, splitting
from coffer.vault.capture import PAGE_SIZE, Buffer, Entry, EntryType, Hole, Split
from coffer.vault.chunk_pipeline import Bundle, ChunkPipeline
from coffer.vault.content_intake import NOTHING, Content, ContentIntake
from coffer.vault.index_keys import IndexKeys
from coffer.vault.numeric import NDArray, np
from coffer.vault.parent_tree import ParentTree
from coffer.vault.point_request import PointOptions
from coffer.vault.subtree_writer import Part, SubtreeWriter
from coffer.vault.trees import TreeEntry, type_number

_FILE = type_number(EntryType.FILE)
_TYPE_NUMBERS = {kind: type_number(kind) for kind in EntryType}


class TreeCapture:
    """Takes entries of one source; see `capture.SourceSink` for the methods' contract.

    Attributes:
        files: Entries taken.
        size: Bytes of content in them.
        read: Bytes of content that were handed over.
        parent: The same source in the parent point.
    """

    def __init__(
        self,
        keys: IndexKeys,
        pipeline: ChunkPipeline,
        bundle: Bundle,
        parent: ParentTree | None,
        trees: SubtreeWriter,
        options: PointOptions,
    ) -> None:
        self.files = self.size = self.read = 0
        self.parent = parent
        self.trees = trees
        self._bundle = bundle
        self._pipeline = pipeline
        self._intake = ContentIntake(keys, pipeline, bundle, parent, options.limit)
        self._progress = options.progress
        self._ordered = False
        self._held: TreeEntry | None = None
        self._last_path = b""
        self._entries: dict[bytes, TreeEntry] = {}
        self._runs: dict[bytes, int] = {}
        self._linked: dict[int, tuple[Content, int]] = {}

    def in_order(self) -> None:
        """Take ascending paths from now on."""
        self._ordered = True
        if self.parent is not None:
            self.parent.in_order()

    def add(self, entry: Entry, *, ctime_ns: int = 0) -> None:
        """Add a directory or a symbolic link."""
        before = self.parent.find(entry.path) if self.parent else None
        if before is not None and _is_same(before, entry, ctime_ns):
            self._keep(before)
        else:
            self._keep(_tree_entry(entry, NOTHING, ctime_ns))

    def add_file(
        self, entry: Entry, blocks: Iterable[Buffer | Hole], *, ctime_ns: int = 0, split: Split = Split.CONTENT
    ) -> None:
        """Add a file with all its content."""
        content = self._intake.take(entry.path, blocks, split)
        self.read += content.size
        if entry.link:
            self._linked[entry.link] = content, ctime_ns
        self._keep(_tree_entry(entry, content, ctime_ns))

    def add_parts(self, entry: Entry, size: int, read: Callable[[int, int], bytes]) -> None:
        """Add a large file whose parts are read in threads."""
        content = self._intake.take_parts(size, read)
        self.read += content.size
        self._keep(_tree_entry(entry, content, 0))

    def wait_read(self) -> None:
        """Wait until the parts of all files are read."""
        self._pipeline.wait()

    def add_link(self, entry: Entry, *, ctime_ns: int = 0) -> None:
        """Add another name of a file that was added."""
        content, then = self._linked.get(entry.link, (None, 0))
        if content is None or not entry.link:
            raise UsageError("A link was added before its file", detail=repr(entry.path))
        kept = ctime_ns if ctime_ns == then else 0  # it changed between the looks at its names: read it next time
        before = self.parent.find(entry.path) if self.parent else None
        if before is not None and before.extents == content.extents and _is_same(before, entry, kept):
            self._keep(before)
        else:
            self._keep(_tree_entry(entry, content, kept))

    def add_unchanged(self, entry: Entry, *, ctime_ns: int = 0) -> None:
        """Add a file whose content is what the parent has."""
        before = self._before(entry.path)
        if entry.link:
            self._linked[entry.link] = Content(before.size, before.hash, before.extents), ctime_ns
        if _is_same(before, entry, ctime_ns):
            self._keep(before)
        else:
            self._keep(_tree_entry(entry, Content(before.size, before.hash, before.extents), ctime_ns))

    def add_same(self, path: bytes, mode: int, uid: int, gid: int, mtime_ns: int, ctime_ns: int, size: int) -> bool:
        """Add a file with one name if the parent has it with all of this."""
        before = self.parent.find(path) if self.parent is not None else None
        if (
            before is None
            or before.ctime_ns != ctime_ns
            or before.mtime_ns != mtime_ns
            or before.size != size
            or before.mode != mode
            or before.uid != uid
            or before.gid != gid
            or before.type != _FILE
            or before.link
        ):
            return False
        self._keep(before)
        return True

    def known_runs(self) -> Collection[bytes]:
        """Return hashes of runs of names that may be added without telling them."""
        if not self._runs and self._ordered:
            self._runs = self.trees.known_runs()
        return self._runs.keys()

    def add_run(self, run: bytes, names: int, size: int, last: bytes) -> None:
        """Add a run of names, all of them as the parent has them."""
        self._let_go()
        at = self._runs.get(run)
        if self.parent is None or at is None or last <= self._last_path:
            raise UsageError("A source gave a run that is not known, or out of order", detail=repr(last))
        self.trees.share(at, run)
        self.parent.pass_over(at)
        self._last_path = last
        self.files += names
        self.size += size
        if self._progress is not None:
            self._progress(self.files, self.read)

    def add_as_before(self, path: bytes) -> bool:
        """Add a file just as the parent has it."""
        before = self.parent.find(path) if self.parent is not None else None
        if before is None or before.type != _FILE or before.link:
            return False
        self._keep(before)
        return True

    def add_pages(self, entry: Entry, size: int, pages: NDArray[np.uint32], content: Iterable[Buffer]) -> None:
        """Add a file that equals the parent's but for some pages."""
        before = self._before(entry.path)
        numbers = _checked(entry, size, pages, -1)
        starts, patches, taken = self._store_pages(numbers, content)
        if taken != numbers.size * PAGE_SIZE:
            raise UsageError("The pages' content has another size", detail=f"{entry.path!r}: {taken} bytes")
        self._overlay(entry, before, size, starts, patches)

    def add_changes(self, entry: Entry, size: int, changes: Iterable[tuple[NDArray[np.uint32], Buffer]]) -> None:
        """Add a file that equals the parent's but for some pages, which come in portions."""
        before = self._before(entry.path)
        starts, patches, last = [np.empty(0, np.int64)], [extents.empty()], -1
        for pages, content in changes:
            numbers = _checked(entry, size, pages, last)
            last = int(numbers[-1]) if numbers.size else last
            if len(content) != numbers.size * PAGE_SIZE:
                raise UsageError("The pages' content has another size", detail=f"{entry.path!r}: {len(content)} bytes")
            where, what, _ = self._store_pages(numbers, [content])
            starts.append(where)
            patches.append(what)
        self._overlay(entry, before, size, np.concatenate(starts), np.concatenate(patches))

    def _overlay(
        self, entry: Entry, before: TreeEntry, size: int, starts: NDArray[np.int64], patches: extents.Extents
    ) -> None:
        self.read += int(patches["length"].sum())
        patches = _clip(starts, patches, size)
        result = extents.overlay(extents.from_bytes(before.extents), size, starts, patches)
        self._keep(_tree_entry(entry, Content(size, b"", result.tobytes()), 0))

    def finish(self) -> list[Part]:
        """Return the tree's subtrees; every chunk has its id by now."""
        for path in sorted(self._entries):
            self.trees.add(self._entries.pop(path))
        self._let_go()
        return self.trees.finish()

    def _store_pages(
        self, pages: NDArray[np.int64], content: Iterable[Buffer]
    ) -> tuple[NDArray[np.int64], extents.Extents, int]:
        """Bundle the pages; return where in the file each run of neighbours stands, and what stands there."""
        starts, patches, taken = [], [], 0
        for data in splitting.split_pages(content):
            mine = pages[taken // PAGE_SIZE : (taken + len(data)) // PAGE_SIZE]
            number, offset = self._bundle.add(data)
            first = np.flatnonzero(np.concatenate(([True], np.diff(mine) != 1))) if mine.size else mine
            lengths = np.diff(np.append(first, mine.size)) * PAGE_SIZE
            starts.append(mine[first] * PAGE_SIZE)
            patches.append(extents.build(np.full(first.size, number), offset + first * PAGE_SIZE, lengths))
            taken += len(data)
        if not starts:
            return np.empty(0, np.int64), extents.empty(), 0
        return np.concatenate(starts), np.concatenate(patches), taken

    def _before(self, path: bytes) -> TreeEntry:
        before = self.parent.find(path) if self.parent else None
        if before is None or before.type != _FILE:
            raise UsageError("The parent has no such file", detail=repr(path))
        return before

    def _keep(self, entry: TreeEntry) -> None:
        """Keep an entry; in order, the newest is held back, since it may be given again."""
        path = entry.path
        if path == self._last_path and self._held is not None:
            self.files -= 1
            self.size -= self._held.size
        elif path in self._entries or (self._ordered and path <= self._last_path):
            raise UsageError("A source gave a path twice, or out of order", detail=repr(path))
        else:
            self._let_go()
        if not self._ordered:
            self._entries[path] = entry
        self._held, self._last_path = entry, path
        self.files += 1
        self.size += entry.size
        if self._progress is not None:
            self._progress(self.files, self.read)

    def _let_go(self) -> None:
        if self._held is not None and self._ordered:
            self.trees.add(self._held)
        self._held = None


def _tree_entry(entry: Entry, content: Content, ctime_ns: int) -> TreeEntry:
    return TreeEntry(
        entry.path,
        _TYPE_NUMBERS[entry.type],
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime_ns,
        ctime_ns,
        content.size,
        entry.target,
        content.hash,
        entry.link,
        entry.xattrs,
        content.extents,
    )


def _is_same(before: TreeEntry, entry: Entry, ctime_ns: int) -> bool:
    """Tell whether an entry says what the parent's does; then the very object is kept, and its subtree shared."""
    return (
        before.mtime_ns == entry.mtime_ns
        and before.ctime_ns == ctime_ns
        and before.mode == entry.mode
        and before.uid == entry.uid
        and before.gid == entry.gid
        and before.link == entry.link
        and before.type == _TYPE_NUMBERS[entry.type]
        and before.target == entry.target
        and before.xattrs == entry.xattrs
    )


def _checked(entry: Entry, size: int, pages: NDArray[np.uint32], last: int) -> NDArray[np.int64]:
    numbers = np.asarray(pages, np.int64)
    if numbers.size and (
        int(numbers[0]) <= last or np.any(np.diff(numbers) <= 0) or int(numbers[-1]) * PAGE_SIZE >= size
    ):
        raise UsageError("Pages must ascend and lie in the file", detail=repr(entry.path))
    return numbers


def _clip(starts: NDArray[np.int64], patches: extents.Extents, size: int) -> extents.Extents:
    """Cut the last patch at the file's end: a file need not end with a whole page."""
    if len(patches) and int(starts[-1]) + int(patches["length"][-1]) > size:
        patches = patches.copy()
        patches["length"][-1] = size - int(starts[-1])
    return patches
