"""A house of a test's own: this checkout's flows with environment files for a stack beside the usual one."""

from __future__ import annotations

from pathlib import Path

from coffer import environments
from coffer.prefect_deployments import render

CHECKOUT = Path(__file__).parents[2]
_SHARED = ("flows", "examples", "deployments/local", "deployments/prefect")


def make_house(folder: Path, registry: str, changes: dict[str, str] | None = None) -> Path:
    """Make a folder that `coffer stack up` takes for the checkout.

    Args:
        folder: Empty; other accounts can walk to it.
        registry: Address of the stack's registry, in place of the usual one.
        changes: Further texts to replace in the environment files: shorter soaks.
    """
    for name in _SHARED:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(CHECKOUT / name)
    files = folder / "deployments" / "environments"
    files.mkdir()
    for path in (CHECKOUT / "deployments" / "environments").glob("*.toml"):
        text = path.read_text().replace("127.0.0.1:5000", registry)
        for old, new in (changes or {}).items():
            text = text.replace(old, new)
        (files / path.name).write_text(text)
    loaded = [environments.load(str(path)) for path in sorted(files.glob("*.toml"))]
    (folder / "prefect.yaml").write_text(render(loaded))
    return folder
