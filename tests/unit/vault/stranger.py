"""A reader of the vault written from docs/vault-format.md alone: it shares no line with Coffer.

Whoever changes the format changes the document and this file too.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive(key: bytes, purpose: str, context: bytes = b"") -> bytes:
    return HKDF(SHA256(), 32, None, b"coffer/1/" + purpose.encode() + b"\0" + context).derive(key)


def header(kind: int) -> bytes:
    return b"COFFER\x01" + bytes([kind])


def sealed_record(key: bytes, context: bytes, data: bytes) -> bytes:
    return AESGCM(key).decrypt(data[:12], data[12:], context)


def decompressed(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)


def xwing_keys(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])


def xwing_public(seed: bytes) -> bytes:
    mlkem, x25519 = xwing_keys(seed)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def xwing(seed: bytes, ciphertext: bytes) -> bytes:
    mlkem, x25519 = xwing_keys(seed)
    shared = mlkem.decapsulate(ciphertext[:1088]) + x25519.exchange(
        X25519PublicKey.from_public_bytes(ciphertext[1088:])
    )
    public = x25519.public_key().public_bytes_raw()
    return hashlib.sha3_256(shared + ciphertext[1088:] + public + rb"\.//^" + b"\\").digest()


def unpacked(encoding: int, data: bytes) -> bytes:
    return {0: bytes, 1: decompressed, 2: gzip.decompress}[encoding](data)


class Stranger:
    """Reads a vault in a folder with an identity's seed."""

    def __init__(self, folder: Path, seed: bytes, root: str) -> None:
        self.folder = folder
        self.seed = seed
        self.recipient = hashlib.sha256(xwing_public(seed)).digest()[:16]
        self.configuration = self._configuration(root)
        self.vault: bytes = self.configuration["vault"]
        index_keys = [self._key("index", committed[:16]) for committed in self.configuration["index_keys"]]
        purposes = ("records", "trees", "tree-ids", "tree-nonces", "wal")
        self.keys = [{purpose: derive(key, purpose, self.vault) for purpose in purposes} for key in index_keys]
        self.chunk_ids = derive(index_keys[0], "chunk-ids", self.vault)

    @classmethod
    def by_passphrase(cls, folder: Path, passphrase: str, root: str) -> Stranger:
        """Read with a passphrase: it opens an identity that is kept in the vault."""
        self = cls.__new__(cls)
        self.folder = folder
        self.configuration = self._configuration(root)
        self.vault = self.configuration["vault"]
        [name] = [name for name in self._names("keys") if name.startswith("keys/passphrase-")]
        data, object_id = self._object(name, 2)
        verify(self.configuration["root"], data, self._context(2, object_id))
        record = msgspec.msgpack.decode(data[88:])
        stretched = Argon2id(
            salt=record["salt"],
            length=32,
            iterations=record["passes"],
            lanes=record["lanes"],
            memory_cost=record["memory_kib"],
        ).derive(unicodedata.normalize("NFC", passphrase).encode())
        bound = self._context(2, record["id"], b"passphrase")
        seed = AESGCM(derive(stretched, "passphrase", bound)).decrypt(bytes(12), record["sealed"], bound)
        assert hashlib.sha256(xwing_public(seed)).digest()[:16] == record["id"]
        return cls(folder, seed, root)

    def points(self) -> list[dict[str, Any]]:
        return sorted((self._manifest(name) for name in self._names("points")), key=lambda point: point["counter"])

    def files(self, point: dict[str, Any], source: str) -> dict[bytes, bytes]:
        index = self.index(point)
        found = {}
        for entry, extents in self._tree(point, source):
            if entry[1] == 0:
                found[entry[0]] = b"".join(self._piece(index, extent) for extent in extents)
                assert entry[9] in (b"", blake3(found[entry[0]], key=self.chunk_ids).digest())
        return found

    def entries(self, point: dict[str, Any], source: str) -> dict[bytes, list[Any]]:
        return {entry[0]: entry for entry, _ in self._tree(point, source)}

    def wal(self, cluster: str, segment: str) -> bytes:
        [name] = self._names(f"wal/{cluster}/{segment}")
        data, object_id = self._object(name, 8)
        length = int.from_bytes(data[88:92], "big")
        bound = self._context(8, object_id)
        self._check_signature(data[: 92 + length], bound)
        record = msgspec.msgpack.decode(self._record("wal", bound, data[92 : 92 + length]))
        sealed = data[92 + length :]
        assert hashlib.sha256(sealed).digest() == record["content_sha256"]
        key = self._content_key("wal", record["run"], object_id, record["wrapped_key"])
        plain = AESGCM(key).decrypt(bytes(12), sealed, self._context(8, object_id, f"{cluster}/{segment}".encode()))
        return unpacked(record["encoding"], plain)

    def shipped(self, service: str, source: str) -> dict[bytes, bytes]:
        """Files that were shipped between points; what came later counts."""
        found: dict[bytes, bytes] = {}
        for name in sorted(self._names(f"journal/{service}/{source}")):
            data, object_id = self._object(name, 11)
            length = int.from_bytes(data[88:92], "big")
            bound = self._context(11, object_id)
            self._check_signature(data[: 92 + length], bound)
            record = msgspec.msgpack.decode(decompressed(self._record("records", bound, data[92 : 92 + length])))
            place = name.rpartition("/")[0]
            assert place == f"journal/{record['service']}/{record['source']}/{record['shipped_ns']:020d}"
            sealed = data[92 + length :]
            assert hashlib.sha256(sealed).digest() == record["content_sha256"]
            key = self._content_key("wal", record["run"], object_id, record["wrapped_key"])
            packed = AESGCM(key).decrypt(bytes(12), sealed, self._context(11, object_id, place.encode()))
            content = unpacked(record["encoding"], packed)
            for path, _mode, _uid, _gid, _mtime, size, offset, length in record["files"]:
                assert offset == 0
                assert length == size
                found[path], content = content[:length], content[length:]
        return found

    def proofs(self, point: dict[str, Any]) -> list[dict[str, Any]]:
        """What the root says that a point has passed, oldest first."""
        found = []
        for name in self._names(f"proofs/{point['service']}/{point['name']}"):
            data, object_id = self._object(name, 9)
            verify(self.configuration["root"], data, self._context(9, object_id))
            record: dict[str, Any] = msgspec.msgpack.decode(decompressed(data[88:]))
            assert (record["vault"], record["service"], record["point"]) == (
                self.vault,
                point["service"],
                point["name"],
            )
            [manifest] = self._names(f"points/{point['service']}/{point['name']}")
            if record["manifest"].hex() == manifest[-64:]:
                found.append(record)
        return sorted(found, key=lambda record: record["at_ns"])

    def marked(self) -> set[str]:
        """What a prune is about to sweep."""
        records = [msgspec.msgpack.decode(decompressed(self._object(name, 10)[0][8:])) for name in self._names("marks")]
        return {name for record in records if record["vault"] == self.vault for name in record["names"]}

    def listed(self, point: dict[str, Any]) -> list[str]:
        data, object_id = self._object(point["listing"], 6)
        self._check_signature(data, self._context(6, object_id))
        self._check_not_revoked(data)
        return [name for name, _ in msgspec.msgpack.decode(decompressed(data[88:]))["objects"]]

    def _names(self, prefix: str) -> list[str]:
        found = (self.folder / prefix).rglob("*")
        return sorted(str(path.relative_to(self.folder)) for path in found if path.is_file())

    def _object(self, name: str, kind: int) -> tuple[bytes, bytes]:
        data = (self.folder / name).read_bytes()
        object_id, digest = name.rpartition("/")[2].split("-")
        assert hashlib.sha256(data).hexdigest() == digest
        assert data[:8] == header(kind)
        return data, bytes.fromhex(object_id)

    def _context(self, kind: int, object_id: bytes, more: bytes = b"") -> bytes:
        return header(kind) + self.vault + object_id + more

    def _check_signature(self, data: bytes, purpose: bytes) -> None:
        publics = [self.configuration["root"], *(writer["public"] for writer in self.configuration["writers"])]
        [public] = [each for each in publics if hashlib.sha256(each).digest()[:16] == data[8:24]]
        verify(public, data, purpose)

    def _check_not_revoked(self, data: bytes) -> None:
        for writer in self.configuration["writers"]:
            if hashlib.sha256(writer["public"]).digest()[:16] == data[8:24] and writer["revoked_ns"]:
                assert hashlib.sha256(data).digest() in writer["kept"]

    def _configuration(self, root: str) -> dict[str, Any]:
        name = self._names("config")[-1]
        data, object_id = self._object(name, 1)
        record: dict[str, Any] = msgspec.msgpack.decode(data[88:])
        assert hashlib.sha256(record["root"]).hexdigest() == root
        verify(record["root"], data, header(1) + record["vault"] + object_id)
        return record

    def _key(self, purpose: str, key_id: bytes) -> bytes:
        name = self._names(f"keys/{purpose}-{key_id.hex()}")[0]
        data, object_id = self._object(name, 2)
        self._check_signature(data, self._context(2, object_id))
        record = msgspec.msgpack.decode(data[88:])
        [wrap] = [each for each in record["wraps"] if each["recipient"] == self.recipient]
        bound = self._context(2, key_id, purpose.encode())
        wrapping = derive(xwing(self.seed, wrap["ciphertext"]), "wrap", bound + self.recipient)
        key = AESGCM(wrapping).decrypt(bytes(12), wrap["sealed"], bound)
        assert derive(key, "commitment") == record["commitment"]
        assert key_id in (record["commitment"][:16], self.vault)
        return key

    def _content_key(self, purpose: str, run: bytes, object_id: bytes, wrapped: bytes) -> bytes:
        return sealed_record(self._key(purpose, run), self._context(3, object_id, b"content-key" + run), wrapped)

    def _manifest(self, name: str) -> dict[str, Any]:
        data, object_id = self._object(name, 7)
        bound = self._context(7, object_id)
        self._check_signature(data, bound)
        self._check_not_revoked(data)
        record: dict[str, Any] = msgspec.msgpack.decode(decompressed(self._record("records", bound, data[88:])))
        assert name.startswith(f"points/{record['service']}/{record['name']}/")
        return record

    def _numbered(self, data: bytes) -> dict[str, bytes]:
        return self.keys[int.from_bytes(data[:4], "big") - 1]

    def _record(self, purpose: str, context: bytes, data: bytes) -> bytes:
        return sealed_record(self._numbered(data)[purpose], context, data[4:])

    def index(self, point: dict[str, Any]) -> dict[bytes, tuple[Any, ...]]:
        found = {}
        for name in point["index"]:
            data, object_id = self._object(name, 5)
            plain = self._record("records", self._context(5, object_id), data[8:])
            record = msgspec.msgpack.decode(decompressed(plain))
            for chunk, pack, *place in struct.iter_unpack("<32sIIIIIB", record["rows"]):
                found[chunk] = (record["packs"][pack], *place)
        return found

    def _tree(self, point: dict[str, Any], source: str) -> Iterator[tuple[list[Any], list[tuple[bytes, int, int]]]]:
        record = next(each for each in point["sources"] if each["name"] == source)
        last = b""
        for name in record["trees"]:
            for entry, extents in self._subtree(name):
                assert last < entry[0]
                assert not {b"", b".", b".."} & set(entry[0].split(b"/"))
                last = entry[0]
                yield entry, extents

    def _subtree(self, name: str) -> Iterator[tuple[list[Any], list[tuple[bytes, int, int]]]]:
        data, tree_id = self._object(name, 4)
        keys = self._numbered(data[8:])
        packed = sealed_record(derive(keys["trees"], "tree", tree_id), self._context(4, tree_id), data[12:])
        plain = decompressed(packed)
        assert blake3(plain, key=keys["tree-ids"]).digest()[:16] == tree_id
        assert blake3(packed, key=keys["tree-nonces"]).digest()[:12] == data[12:24]
        record = msgspec.msgpack.decode(plain)
        extents = struct.iter_unpack("<III", record["extents"])
        for entry, count in zip(record["entries"], record["counts"], strict=True):
            mine = [next(extents) for _ in range(count)]
            assert sum(length for _, _, length in mine) == entry[7]
            yield entry, [(chunk_at(record["chunks"], place), offset, length) for place, offset, length in mine]

    def _piece(self, index: dict[bytes, tuple[Any, ...]], extent: tuple[bytes, int, int]) -> bytes:
        chunk, offset, length = extent
        if not chunk:
            return bytes(length)
        pack, position, start, sealed, size, encoding = index[chunk]
        data, pack_id = self._object(pack["name"], 3)
        assert data[8:56] == self.vault + pack_id + pack["run"]
        assert data[56:116] == pack["wrapped_key"]
        key = self._content_key("run", pack["run"], pack_id, pack["wrapped_key"])
        bound = self._context(3, pack_id, position.to_bytes(4, "big") + chunk)
        plain = AESGCM(key).decrypt(position.to_bytes(12, "big"), data[start : start + sealed], bound)
        content = unpacked(encoding, plain)
        assert len(content) == size
        assert blake3(content, key=self.chunk_ids).digest() == chunk
        return content[offset : offset + length]


def chunk_at(table: bytes, place: int) -> bytes:
    return b"" if place == 0xFFFFFFFF else table[32 * place : 32 * place + 32]


def verify(public: bytes, data: bytes, purpose: bytes) -> None:
    message = b"coffer/1/signature\0" + hashlib.sha256(purpose).digest() + hashlib.sha256(data[88:]).digest()
    Ed25519PublicKey.from_public_bytes(public).verify(data[24:88], message)
