"""Files that services read (workflows, issue forms, citation), and what pyproject.toml says of versions and extras."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from lowest_versions import FOR_DEVELOPERS, lowest_versions

import deltarule

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _name(path: Path) -> str:
    return path.name


def _minor_versions(text: str) -> set[str]:
    return set(re.findall(r"\b3\.\d+\b", text))


@pytest.mark.parametrize("path", WORKFLOWS, ids=_name)
def test_workflows_may_only_read_and_name_versions_of_their_steps(path: Path) -> None:
    workflow = _yaml(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert (
        True in workflow
    )  # "on" is a truth value in YAML 1.1; it says when the workflow runs
    for job in workflow["jobs"].values():
        for step in job.get("steps", ()):
            assert ("uses" in step) != ("run" in step), step
            assert "@" in step.get("uses", "@"), f"{step['uses']} names no version"


def test_tests_run_on_every_version_and_system_that_is_promised() -> None:
    matrix = _yaml(GITHUB / "workflows" / "tests.yml")["jobs"]["tests"]["strategy"][
        "matrix"
    ]
    promised = _minor_versions(" ".join(PROJECT["classifiers"]))
    assert set(matrix["python"]) == promised
    assert PROJECT["requires-python"] == f">={min(promised)}"
    assert {name.split("-")[0] for name in matrix["os"]} == {
        "ubuntu",
        "macos",
        "windows",
    }


def test_commands_of_workflows_are_there() -> None:
    """A workflow runs goals of the Makefile and tools by their names."""
    goals = re.search(
        r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE
    )
    assert goals is not None
    for path in WORKFLOWS:
        for job in _yaml(path)["jobs"].values():
            for step in job.get("steps", ()):
                command = step.get("run", "")
                if command.startswith("make "):
                    named = {
                        word for word in command.split()[1:] if not word.startswith("-")
                    }
                    assert named <= set(goals[1].split())
                for tool in re.findall(r"\btools/\w+\.py\b", command):
                    assert (ROOT / tool).exists()
                for extra in re.findall(r'"\.\[([a-z,]+)\]"', command):
                    assert set(extra.split(",")) <= set(
                        PROJECT["optional-dependencies"]
                    )


def test_a_release_is_tested_and_published_without_a_token() -> None:
    text = (GITHUB / "workflows" / "release.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert set(jobs["publish"]["needs"]) == {"tests", "build"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in text


@pytest.mark.parametrize(
    "path", [path for path in FORMS if path.stem != "config"], ids=_name
)
def test_issue_forms_have_what_github_asks_of_them(path: Path) -> None:
    form = _yaml(path)
    assert {"name", "description", "body"} <= set(form)
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    for field in form["body"]:
        assert field["type"] in {
            "textarea",
            "input",
            "dropdown",
            "checkboxes",
            "markdown",
        }
        assert field["attributes"].get("label")
    assert any(
        field.get("validations", {}).get("required") for field in form["body"]
    ), "a form without a required field may be sent empty"


def test_there_is_a_form_for_bugs_features_and_questions() -> None:
    assert {"bug", "feature", "question", "config"} == {path.stem for path in FORMS}


def test_the_version_is_the_same_everywhere() -> None:
    citation = _yaml(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert str(citation["version"]) == PROJECT["version"] == deltarule.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["keywords"] == PROJECT["keywords"]


def test_what_users_install_has_a_lowest_version_and_tests_ask_for_no_other() -> None:
    """The lowest versions are tested by a workflow of their own: a bound of the extra ``test`` must not hide them."""
    lowest = lowest_versions()
    assert {"numpy", "llvmlite", "scikit-learn", "onnx"} <= set(lowest)
    for requirement in PROJECT["optional-dependencies"]["test"]:
        name, _, version = requirement.partition(">=")
        if name in lowest:
            assert version == lowest[name], requirement


# What the code imports of each extra; a function of matplotlib's axes is called, the package itself is not imported.
IMPORTED = {
    "learn": r"(from|import) sklearn\b",
    "onnx": r"import onnx\b",
    "arrow": r"\bpyarrow\b",
    "excel": r"\bopenpyxl\b",
    "images": r"\bPIL\b",
    "plot": r"on matplotlib axes",
}


def test_every_extra_is_used_by_code_and_named_where_it_is_missing() -> None:
    extras = set(PROJECT["optional-dependencies"]) - FOR_DEVELOPERS
    assert extras == set(IMPORTED)
    sources = "\n".join(
        path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py")
    )
    for extra, use in IMPORTED.items():
        assert re.search(use, sources), f"no code stands behind the extra {extra}"
    documented = "\n".join(
        path.read_text("utf-8")
        for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    )
    claimed = re.findall(r"deltarule\[([a-z,]+)\]|\"\.\[([a-z,]+)\]\"", documented)
    for found in claimed:
        assert set("".join(found).split(",")) <= extras
