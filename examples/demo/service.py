"""CreditAI as a client of it speaks to it, through the edge."""

from __future__ import annotations

import ssl
import uuid

import httpx

from coffer.errors import StepFailed
from examples.demo.stack import Stack


class Client:
    """Speaks to production through its edge."""

    def __init__(self, stack: Stack) -> None:
        context = ssl.create_default_context(cafile=stack.production["edge_ca"])
        self._http = httpx.Client(base_url=stack.production["edge_url"], verify=context, timeout=15, trust_env=False)

    def expect_version(self, version: str) -> None:
        """Check which version serves.

        Raises:
            StepFailed: Another one does.
        """
        serves = self._http.get("/api/version").raise_for_status().json()["version"]
        if serves != version:
            raise StepFailed(f"version {serves} serves, expected {version}")

    def dispute(self, reason: str) -> str:
        """File a dispute and return its id."""
        answer = self._http.post(
            "/api/disputes",
            json={"account": "ada@example.org", "creditor": "First Bank", "amountCents": 1234, "reason": reason},
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )
        return str(answer.raise_for_status().json()["id"])

    def upload(self, content: bytes) -> str:
        """Upload a document and return its SHA-256."""
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._http.post("/api/uploads", content=content, headers=headers)
        return str(answer.raise_for_status().json()["sha256"])
