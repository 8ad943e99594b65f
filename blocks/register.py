"""Make Coffer's blocks known to a Prefect server: `python -m blocks.register [--stack STATE/stack.json]`.

All types are registered; with a stack's file, its instances are saved too. May be run as often as one likes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from prefect.blocks.core import Block
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL

from blocks.instances import of_stack
from blocks.references import TYPES, type_problem
from coffer.errors import CofferError, Unreachable, UsageError


def register(stack: Mapping[str, Any] | None = None) -> list[str]:
    """Register all types, and save the instances of a stack.

    Returns:
        The references that can be used now.

    Raises:
        UsageError: No server is configured, or the stack's file lacks something.
        Unreachable: Prefect does not answer.
    """
    if not PREFECT_API_URL.value():
        raise UsageError("PREFECT_API_URL is not set", resolution="Set it to the server that shall know the blocks")
    try:
        for block_type in TYPES.values():
            block_type.register_type_and_schema(_sync=True)  # type: ignore[call-arg]
        return [_save(name, block) for name, block in (of_stack(stack) if stack else ())]
    except KeyError as error:
        raise UsageError("the stack's file is incomplete", detail=f"it lacks {error}") from error
    except ValueError as error:
        raise UsageError("a block is refused", detail=type_problem(error)) from error
    except (httpx.TransportError, PrefectHTTPStatusError) as error:
        raise Unreachable("Prefect did not take the blocks", detail=str(error)) from error


def _save(name: str, block: Block) -> str:
    block.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
    label = next(label for label, block_type in TYPES.items() if block_type is type(block))
    return f"block:{label}/{name}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m blocks.register", description=__doc__)
    parser.add_argument("--stack", type=Path, help="stack.json of a running stack")
    path = parser.parse_args(arguments).stack
    try:
        saved = register(_read(path) if path else None)
    except CofferError as error:
        print(f"coffer: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{len(TYPES)} block types registered")
    for reference in saved:
        print(reference)
    return 0


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no stack's file", detail=str(error), resolution="Run: coffer stack up") from error
    return document


if __name__ == "__main__":
    sys.exit(main())
