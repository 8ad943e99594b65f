"""The image's bill of materials: CycloneDX by Trivy, made the same bytes each time for the same image."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from coffer.scanners.subject import ScanSubject
from coffer.scanners.trivy import run_trivy

MEDIA_TYPE = "application/vnd.cyclonedx+json"
_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def bill_of_materials(subject: ScanSubject, *, timeout: float = 120.0) -> bytes:
    """Return the image's bill of materials as CycloneDX JSON.

    Trivy stamps time and random names into it. A document that is attached to a digest must not change by itself,
    so the stamps go and the names derive from the digest.

    Raises:
        NotInstalled: Trivy is not on this machine.
        NoData: There is no image.
        OutsideSystemError: Trivy failed.
    """
    document = run_trivy(subject, "sbom", [], timeout=timeout, form="cyclonedx")
    document.pop("serialNumber", None)
    document["metadata"].pop("timestamp", None)
    image = document["metadata"]["component"]
    image["name"], image["properties"] = str(subject.image), []
    names = _stable_names(document, uuid.UUID(subject.image.digest.removeprefix("sha256:")[:32]))
    renamed = json.loads(_RANDOM.sub(lambda found: names.get(found[0], found[0]), json.dumps(document)))
    for part in renamed.get("dependencies", ()):
        part.get("dependsOn", []).sort()
    renamed.get("dependencies", []).sort(key=lambda part: part["ref"])
    renamed.get("components", []).sort(key=lambda part: part["bom-ref"])
    return json.dumps(renamed, sort_keys=True, separators=(",", ":")).encode()


def _stable_names(document: dict[str, Any], space: uuid.UUID) -> dict[str, str]:
    parts = [document["metadata"]["component"], *document.get("components", ())]
    ordered = sorted(parts, key=lambda part: (part["type"], part["name"], part.get("version", "")))
    return {
        part["bom-ref"]: str(uuid.uuid5(space, str(index))) for index, part in enumerate(ordered) if "bom-ref" in part
    }
