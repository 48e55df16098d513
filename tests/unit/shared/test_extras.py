"""What is not installed is said with the command that installs it."""

import re
import tomllib
from pathlib import Path

import pytest

from shared import extras
from shared.errors import ConfigurationError
from shared.extras import EXTRAS, install_command, is_installed, missing, require

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]


def test_nothing_is_imported_to_know_whether_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_installed("json", "tomllib")
    assert not is_installed("json", "no_such_package")
    require("this", "json")
    with pytest.raises(ConfigurationError, match=r"this needs the package no_such_package$"):
        require("this", "json", "no_such_package")


def test_a_source_tree_installs_everything_and_elsewhere_pip_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert missing("training", "torch") == "training needs the package torch: make install"
    monkeypatch.setattr(extras, "SOURCES", tmp_path)
    assert missing("training", "torch") == "training needs the package torch: pip install 'headrace[learn]'"
    assert install_command("embedded") == "pip install 'headrace[embedded]'"


def test_every_extra_that_is_named_has_its_package() -> None:
    for package, extra in EXTRAS.items():
        declared = {
            re.match(r"[\w.-]+", line)[0].replace("-", "_")  # type: ignore[index]  every line has a name
            for line in PROJECT["optional-dependencies"][extra]
        }
        assert package in declared
