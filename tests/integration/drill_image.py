"""The smallest image that can ask a database: psql from the wheel, a shell, and the libraries of both."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from coffer.sources.postgres.programs import programs

REPOSITORY = "coffer-test-drill"
QUESTIONS = """
SELECT json_build_object(
  'ok', (SELECT count(*) FROM uploads) <= :files AND (SELECT count(*) FROM ledger) > 0,
  'questions', json_build_array(
    json_build_object('name', 'every upload has its file', 'ok', (SELECT count(*) FROM uploads) <= :files,
                      'detail', (SELECT count(*) FROM uploads) || ' rows, ' || :files || ' files'),
    json_build_object('name', 'there are rows', 'ok', (SELECT count(*) FROM ledger) > 0, 'detail', '')),
  'facts', json_build_object('ledger', (SELECT count(*) FROM ledger), 'role', current_user));
"""
COMMAND = ("/bin/sh", "-c", f'set -- /data/uploads/*; echo "{QUESTIONS}" | /bin/psql "$DATABASE_URL" -AtqX -v files=$#')


@contextmanager
def drill_image() -> Iterator[str]:
    """Import the image; its id is its digest."""
    client = docker.DockerClient(base_url="unix:///var/run/docker.sock")
    try:
        client.api.import_image_from_data(_root(), repository=REPOSITORY, tag="latest")
        image = client.images.get(f"{REPOSITORY}:latest")
        yield str(image.id)
        client.images.remove(image.id, force=True)
    finally:
        client.close()


def containers() -> int:
    client = docker.DockerClient(base_url="unix:///var/run/docker.sock")
    try:
        return len(client.containers.list(all=True, filters={"ancestor": REPOSITORY}))
    finally:
        client.close()


def _root() -> bytes:
    installed = programs()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", dereference=True) as tar:
        tar.add(installed.path("psql"), "bin/psql")
        tar.add("/bin/sh", "bin/sh")
        for library in sorted({*_libraries(installed.path("psql")), *_libraries(Path("/bin/sh"))}):
            # The loader stands where the program says; all else where the loader looks by itself.
            tar.add(library, str(library).lstrip("/") if library.name.startswith("ld-") else f"lib/{library.name}")
    return out.getvalue()


def _libraries(program: Path) -> list[Path]:
    said = subprocess.run(
        ["ldd", program], env=programs().environment(), capture_output=True, text=True, check=True
    ).stdout
    words = [word for line in said.splitlines() for word in line.split() if word.startswith("/")]
    return [Path(word) for word in words]
