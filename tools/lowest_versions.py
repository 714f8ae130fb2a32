"""The lowest versions that pyproject.toml allows, as constraints: ``python tools/lowest_versions.py > lowest.txt``.

Then ``pip install --constraint lowest.txt ".[learn,parquet,images,onnx]"`` installs what a user may have at worst.
What the extras ``test`` and ``dev`` need for themselves is not constrained.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
FOR_DEVELOPERS = frozenset({"test", "dev"})
BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)>=(?P<version>[0-9.]+)")


def lowest_versions(project: Path = PROJECT) -> dict[str, str]:
    """Return the lowest version of each package that users install, by name; every requirement has one."""
    told = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = told["optional-dependencies"]
    requirements = list(told["dependencies"])
    for extra in sorted(extras.keys() - FOR_DEVELOPERS):
        requirements += extras[extra]
    found = {}
    for requirement in requirements:
        bound = BOUND.fullmatch(requirement)
        if bound is None:
            raise SystemExit(f"{requirement!r} does not read as name>=version")
        found[bound["name"]] = bound["version"]
    return found


def main() -> None:
    """Print one ``name==version`` a line."""
    for name, version in lowest_versions().items():
        sys.stdout.write(f"{name}=={version}\n")


if __name__ == "__main__":
    main()
