"""The local stack as the demo finds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coffer.errors import StepFailed
from coffer.stack.layout import Layout

COFFER = Path(sys.executable).with_name("coffer")


@dataclass(frozen=True)
class Stack:
    """What `coffer stack up` wrote down of itself.

    Attributes:
        document: Content of stack.json.
    """

    document: dict[str, Any]

    @property
    def state(self) -> Path:
        """The state folder."""
        return Path(self.document["state"])

    @property
    def production(self) -> dict[str, Any]:
        """Addresses of production."""
        found: dict[str, Any] = self.document["environments"]["production"]
        return found

    @property
    def base_image(self) -> str:
        """The Node image that was made on this machine."""
        return str(self.document["base_image"])

    @property
    def approver_key(self) -> Path:
        """The private key of ada, who may approve production."""
        return Path(self.document["approver_key"])


def up() -> Stack:
    """Start the stack, or find it running.

    Raises:
        StepFailed: It did not come up; its own message is on the terminal already.
    """
    if subprocess.run([COFFER, "stack", "up"], check=False).returncode:
        raise StepFailed("the local stack did not come up")
    stack = Stack(json.loads((Layout.of_process().document).read_text()))
    os.environ["PREFECT_API_URL"] = stack.document["prefect_api_url"]
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = stack.document["aws_credentials_file"]
    return stack


def coffer(*arguments: str) -> str:
    """Run the `coffer` command and return its standard output.

    Raises:
        StepFailed: It ended with an error, which is quoted.
    """
    done = subprocess.run([COFFER, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise StepFailed(f"coffer {' '.join(arguments[:2])} ended with {done.returncode}", detail=done.stderr.strip())
    return done.stdout
