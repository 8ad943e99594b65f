"""What a run puts into the stores: chunks through a pipeline, records, and one manifest at the very end."""

from __future__ import annotations

import threading

from coffer.errors import CofferError, RefusedByPolicy
from coffer.vault import configuration as configurations
from coffer.vault.base_point import BasePoint
from coffer.vault.chunk_pipeline import Bundle, ChunkPipeline
from coffer.vault.chunks import ChunkNumbers
from coffer.vault.completion import commit_point
from coffer.vault.fan_out import FanOut
from coffer.vault.packs import PackWriter
from coffer.vault.parent_tree import ParentTree
from coffer.vault.point_request import PointOptions, WriterAccess
from coffer.vault.prune_guard import PruneGuard
from coffer.vault.runs import Run
from coffer.vault.store_set import gravest
from coffer.vault.stores.protocol import Store
from coffer.vault.subtree_writer import SubtreeWriter, TreeOutput


class RunOutput:
    """One run's way into every store.

    Attributes:
        base: What may be named again.
        run: The run's key.
        numbers: The run's chunks by number.
        packer: What it stored.
        pipeline: Takes chunks.
        bundle: Takes small pieces.
        objects: Names and sizes of all that the point needs, so far.
    """

    def __init__(self, access: WriterAccess, base: BasePoint, guard: PruneGuard, options: PointOptions) -> None:
        self.base = base
        self._guard = guard
        self.run = Run.begin(access.configuration, access.credentials)
        self.numbers = ChunkNumbers()
        self.objects: dict[str, int] = {}
        self.packer = PackWriter(access.keys, self.run.key, base, self.put, options.compression)
        self.pipeline = ChunkPipeline(self.packer, self.numbers, options.jobs)
        self.bundle = Bundle(self.pipeline)
        self._access = access
        self._stores = access.stores
        self._fan = FanOut(access.stores.stores)
        self._first_put = threading.Lock()

    @property
    def failures(self) -> dict[str, CofferError]:
        """Why which store was left behind."""
        return self._fan.failures

    def put(self, name: str, data: bytes) -> None:
        """Put an object everywhere, the run's key before the first: a run that stores nothing leaves nothing."""
        self.put_run_key()
        self.objects[name] = len(data)
        self._fan.put(name, data)

    def name_again(self, name: str) -> None:
        """Name an object that the base point needs, too."""
        self.objects[name] = self.base.listed[name]

    def put_run_key(self) -> None:
        """Put the run's key unless it was; a point's list must name it even where the run stored nothing else."""
        with self._first_put:
            if self.run.name not in self.objects:
                self.objects[self.run.name] = len(self.run.data)
                self._fan.put(self.run.name, self.run.data)

    def trees(self, parent: ParentTree | None) -> SubtreeWriter:
        """Return a way to store the tree of a source."""
        return SubtreeWriter(
            TreeOutput(
                keys=self._access.keys,
                numbers=self.numbers,
                listed=self.base.listed,
                put=self.put,
                name_again=self.name_again,
                submit=self.pipeline.run,
                read=self._stores.read_needed,
                flush=self.bundle.flush,
                marked=self._guard.marked,
                again=self.run.key.id,
            ),
            parent,
        )

    def finish_chunks(self) -> None:
        """Wait until every chunk is stored and every pack handed over."""
        self.bundle.flush()
        self.pipeline.finish()

    def commit(self, name: str, data: bytes) -> list[str]:
        """Put the manifest into every store that holds, durably, all that the point needs.

        Returns:
            Addresses of the stores that have it now; at least one.

        Raises:
            CofferError: What the gravest store said, when none has it.
        """
        done: set[str] = set()

        def commit(store: Store) -> None:
            window = self._access.retention.window
            commit_point(store, self._stores, dict(self.objects), (name, data), self._guard, window)
            done.add(store.url)

        self._fan.flush()
        self._follow_recipients()
        self._fan.run(commit)
        try:
            self._fan.flush()
        except CofferError:
            if not done:
                raise gravest(list(self.failures.values())) from None
        return [store.url for store in self._stores.stores if store.url in done]

    def _follow_recipients(self) -> None:
        """Wrap the run's key to those who are recipients by now.

        Whoever changes recipients wraps every key that is there, publishes, and then looks again; this looks after
        the key was put. So one of the two sees the other.

        Raises:
            RefusedByPolicy: This writer was revoked meanwhile, or someone else who knew the index key was removed.
        """
        access = self._access
        now = configurations.load(
            access.stores, root=access.credentials.root, least=self.run.configuration, vault=access.credentials.vault
        )
        if now.number == self.run.configuration:
            return
        record = now.writer(access.credentials.id)
        if record is None or record.revoked_ns:
            raise RefusedByPolicy("This writer may not write into the vault any more", detail=access.credentials.name)
        if now.index_keys != access.configuration.index_keys:
            raise RefusedByPolicy(
                "A recipient or writer was removed while the point was taken",
                detail="what it holds is sealed with keys that they know",
                resolution="Take it again",
            )
        self.run = self.run.wrapped_to(now)
        self._fan.put(self.run.name, self.run.data)
        self._fan.flush()

    def close(self) -> None:
        """End the threads."""
        self.pipeline.abandon()
        self._fan.close()
