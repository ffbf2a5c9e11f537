"""The versions that a project file is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifestgen.errors import InputError
from manifestgen.project.load import read
from manifestgen.project.requires import check_required


@pytest.mark.parametrize("text", [">=0.3", ">= 0.3, <1", "==0.9.2", "!=0.9.1", "<=0.9.2", ">0.9.1.0", ">=0.9.2.0"])
def test_a_version_that_fits_is_taken(text: str) -> None:
    check_required(text, "here", "0.9.2")


@pytest.mark.parametrize("text", [">=0.10", "<0.9", "==1", ">=0.3, <0.9.2", "!=0.9.2"])
def test_another_is_refused_with_what_to_install(text: str) -> None:
    with pytest.raises(InputError, match="this project requires manifestgen") as caught:
        check_required(text, "manifestgen.yaml:2:11", "0.9.2rc1")
    assert caught.value.fix.startswith("install one that fits: pip install 'manifestgen")
    assert caught.value.where == "manifestgen.yaml:2:11"


@pytest.mark.parametrize("text", ["0.3", "~=0.3", ">=", ">=0.3 <1", ">=0.3,", "latest", ">=0.3; rm -rf /"])
def test_what_is_not_a_condition_is_said(text: str) -> None:
    with pytest.raises(InputError, match="is not a condition for a version"):
        check_required(text, "here", "0.9.2")


def test_it_is_looked_at_before_keys_that_only_a_newer_version_knows() -> None:
    text = 'version: 1\nrequires: ">=99"\nbrand_new: {}\n'
    with pytest.raises(InputError, match="requires manifestgen >=99") as caught:
        read(text, Path("manifestgen.yaml"), {})
    assert caught.value.where == "manifestgen.yaml:2:11"
    assert read('version: 1\nrequires: ">=0.0.1"\n', Path("manifestgen.yaml"), {}).path == Path("manifestgen.yaml")
