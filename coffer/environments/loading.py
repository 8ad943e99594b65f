"""Environment files are found by name, read once and refused whole when one key is wrong."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from pydantic import ValidationError

from coffer.environments.model import Environment
from coffer.errors import EnvironmentFileError

FOLDER_VARIABLE = "COFFER_ENVIRONMENTS"


def folder() -> Path:
    """Return where environment files are: $COFFER_ENVIRONMENTS, or deployments/environments below this folder."""
    return Path(os.environ.get(FOLDER_VARIABLE) or "deployments/environments")


def known() -> list[str]:
    """Return the names of all environments, sorted."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def load(name: str) -> Environment:
    """Read an environment by name, or by the path of its file.

    Raises:
        EnvironmentFileError: There is none of that name, or an unknown key, a wrong type or a missing part in it.
    """
    path = Path(name) if name.endswith(".toml") else folder() / f"{name}.toml"
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise EnvironmentFileError(
            f"there is no environment '{name}'",
            detail=f"known: {', '.join(known()) or 'none'}, in {folder()}",
            resolution="Use one of them, or write its file",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnvironmentFileError(f"{path.name} is not TOML", detail=str(error)) from error
    try:
        return Environment.model_validate({**content, "name": path.stem, "path": str(path.resolve())})
    except ValidationError as error:
        raise EnvironmentFileError(
            f"{path.name} is refused", detail=_problems(error), resolution="See docs/environments.md for every key"
        ) from error


def _problems(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        place = ".".join(str(part) for part in problem["loc"])
        text = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{place}: {text}")
    return "; ".join(lines)
