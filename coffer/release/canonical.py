"""One way to write a value, so that equal values have equal hashes on every machine."""

from __future__ import annotations

import hashlib
import json

import msgspec


def canonical(value: object) -> bytes:
    """Return a value as JSON with sorted keys, no white space, UTF-8.

    Takes dataclasses, msgspec structs, enums and times beside plain values. NaN has no place in JSON and raises
    ValueError.
    """
    plain = msgspec.to_builtins(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()
