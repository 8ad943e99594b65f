"""The one file of ports, read, checked and shifted."""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coffer.errors import UsageError
from coffer.stack.services.seaweedfs import SeaweedPorts

OFFSET_VARIABLE = "COFFER_PORT_OFFSET"
_LARGEST = 65535


@dataclass(frozen=True)
class Ports:
    """Where everything listens; all on 127.0.0.1.

    Attributes:
        offset: What was added to each of the file's numbers.
        prefect: Prefect's API and UI.
        registry: The OCI registry.
        receiver: The receiver of its notifications.
        smtp: The mail catcher.
        postgres: One an environment.
        edge_https: One an environment.
        edge_http: One an environment; it only redirects.
        s3: One set a region.
    """

    offset: int
    prefect: int
    registry: int
    receiver: int
    smtp: int
    postgres: Mapping[str, int]
    edge_https: Mapping[str, int]
    edge_http: Mapping[str, int]
    s3: Mapping[str, SeaweedPorts]


def load(file: Path, offset: int | None = None) -> Ports:
    """Read the file of ports.

    Args:
        file: `deployments/local/ports.toml`.
        offset: Added to each. Default: COFFER_PORT_OFFSET, else 0.

    Raises:
        UsageError: The file or the offset is wrong, or two services would share a port.
    """
    shift = _offset_of_process() if offset is None else offset
    try:
        document = tomllib.loads(file.read_text())
        ports = _parse(document, shift)
    except OSError as error:
        raise UsageError(f"{file} cannot be read", detail=str(error)) from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{file} does not name every port", detail=str(error)) from error
    _check(document, shift, file)
    return ports


def _parse(document: Mapping[str, Any], shift: int) -> Ports:
    def table(name: str) -> dict[str, int]:
        return {key: value + shift for key, value in document[name].items()}

    def region(name: str) -> SeaweedPorts:
        return SeaweedPorts(**{key.replace("-", "_"): value for key, value in table(f"s3-{name}").items()})

    return Ports(
        offset=shift,
        prefect=document["prefect"] + shift,
        registry=document["registry"] + shift,
        receiver=document["receiver"] + shift,
        smtp=document["smtp"] + shift,
        postgres=table("postgres"),
        edge_https=table("edge-https"),
        edge_http=table("edge-http"),
        s3={name: region(name) for name in ("a", "b")},
    )


def _check(document: Mapping[str, Any], shift: int, file: Path) -> None:
    numbers: list[int] = []
    for value in document.values():
        numbers += list(value.values()) if isinstance(value, dict) else [value]
    if twice := [number for number, count in Counter(numbers).items() if count > 1]:
        raise UsageError(f"{file} gives a port to two services", detail=str(twice))
    if outside := [number + shift for number in numbers if not 0 < number + shift <= _LARGEST]:
        raise UsageError(f"{outside[0]} is not a port", resolution=f"Choose a smaller {OFFSET_VARIABLE}")


def _offset_of_process() -> int:
    text = os.environ.get(OFFSET_VARIABLE) or "0"
    if not text.isdigit():
        raise UsageError(f"{OFFSET_VARIABLE} is '{text}'", resolution="Set it to a whole number, or to nothing")
    return int(text)
