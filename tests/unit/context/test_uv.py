"""What uv prints, by its cause; the words are those of uv 0.13."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from manifestgen.context import uv
from manifestgen.errors import CloudError, InputError, ManifestgenError

PLATFORMS = ("linux/amd64", "linux/arm64")


def explained(words: str) -> ManifestgenError:
    return uv._explained(words, "requirements.txt", PLATFORMS)


def test_a_package_that_is_not_there_has_a_nearest_name() -> None:
    error = explained(
        "error: No solution found when resolving dependencies for split (markers: …)\n"
        "  cause: Because scikit-lern was not found in the package registry and you require scikit-lern,\n"
        "         we can conclude that your requirements are unsatisfiable.\n"
    )
    assert isinstance(error, InputError)
    assert (error.what, error.fix) == ("package 'scikit-lern' is not on PyPI", "did you mean 'scikit-learn'?")
    unknown = explained("Because zzzqqq was not found in the package registry and you require zzzqqq, we …")
    assert "UV_INDEX" in unknown.fix


@pytest.mark.parametrize(
    ("words", "package", "platform"),
    [
        (
            "Because pyspark==3.5.1 has no usable wheels and you require pyspark",
            "pyspark 3.5.1",
            " or ".join(PLATFORMS),
        ),
        (
            "Because native has no wheels with a matching platform tag (e.g., `any`) and",
            "native",
            " or ".join(PLATFORMS),
        ),
        (
            "Because native==1.0 has no `python_full_version < '3.12' and platform_machine == 'aarch64' and "
            "sys_platform == 'linux'`-compatible wheels and you require native==1.0, we can conclude",
            "native 1.0",
            "linux/arm64",
        ),
    ],
)
def test_a_package_without_a_wheel_is_named(words: str, package: str, platform: str) -> None:
    error = explained(f"error: No solution found\n  cause: {words}")
    assert error.what == f"package {package!r} has no wheel for {platform}"
    assert "image.platforms" in error.fix


def test_a_version_that_is_not_there_is_named() -> None:
    error = explained("cause: Because there is no version of scikit-learn==99 and you require scikit-learn==99, we")
    assert error.what == "there is no version scikit-learn==99 that fits"


def test_versions_that_do_not_fit_together_are_explained_in_uvs_words() -> None:
    error = explained(
        "error: No solution found when resolving dependencies\n"
        "  cause: Because a==1 depends on b>=2 and you require b<2, we can conclude that your\n"
        "         requirements are unsatisfiable.\n"
    )
    assert error.what == (
        "no versions of the packages fit together: Because a==1 depends on b>=2 and you require b<2, we can conclude "
        "that your requirements are unsatisfiable"
    )


def test_an_index_that_cannot_be_reached_is_the_clouds_fault() -> None:
    error = explained(
        "error: Request failed after 3 retries in 10.5s\n"
        "  cause: Failed to fetch: https://127.0.0.1:9/simple/numpy/\n"
        "  cause: Connection refused (os error 111)\n"
    )
    assert isinstance(error, CloudError)
    assert error.what == "the package index could not be reached: Connection refused (os error 111)"


def test_a_file_that_the_index_has_changed_is_rejected() -> None:
    error = explained("error: Failed to download `native==1.0`\n  cause: Hash mismatch for `native==1.0`\n Expected: …")
    assert "another file of native==1.0 than the one that was locked" in error.what


def test_a_requirement_that_is_not_one_is_shown() -> None:
    error = explained(
        "error: Couldn't parse requirement in `image.in` at position 0\n"
        '  cause: no such comparison operator ">>", must be one of ~= == != <= >= < > ===\n'
    )
    assert error.what.startswith('uv could not resolve the packages: no such comparison operator ">>"')


def test_without_uv_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="uv is not installed") as caught:
        uv.find_uv()
    assert "manifestgen[build]" in caught.value.fix
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert uv.find_uv() == "/usr/bin/uv"


def test_markers_of_what_all_platforms_need_are_removed() -> None:
    marker = "; python_full_version < '3.12' and sys_platform == 'linux'"
    text = (
        f"numpy==2.0 {marker} \\\n    --hash=sha256:aa\n"
        "only-arm==1.0 ; platform_machine == 'aarch64' \\\n    --hash=sha256:bb\n"
        f"paho-mqtt==2.1.0 {marker} \\\n    --hash=sha256:cc\n"
    )
    assert uv._without_markers(text) == (
        "numpy==2.0 \\\n    --hash=sha256:aa\n"
        "only-arm==1.0 ; platform_machine == 'aarch64' \\\n    --hash=sha256:bb\n"
        "paho-mqtt==2.1.0 \\\n    --hash=sha256:cc\n"
    )


def test_a_python_that_cannot_be_had_is_told_apart_from_one_that_does_not_exist() -> None:
    for words in (
        "error: Request failed after 3 retries in 8.4s\n  cause: Failed to download "
        "`https://github.com/astral-sh/python-build-standalone/releases/download/20261110/cpython-3.12.16%2B20261110-"
        "x86_64-unknown-linux-gnu-install_only_stripped.tar.gz`\n  cause: dns error",
        "error: No interpreter found for Python 3.12 in managed installations or search path\n"
        "hint: A managed Python download is available for Python 3.12, but Python downloads are set to 'never'",
        "error: Failed to inspect Python interpreter from first executable in the search path at "
        "`/home/me/.pyenv/shims/python3.12`\n  cause: …",
    ):
        error = explained(words)
        assert isinstance(error, uv.PythonUnavailableError), words
        assert error.version == "3.12"
    missing = explained("error: No interpreter found for Python 3.99 in managed installations or search path")
    assert isinstance(missing, InputError)
    assert missing.what == "there is no Python 3.99"


def test_a_full_disk_is_said() -> None:
    error = explained("error: Failed to download `numpy==2`\n  cause: No space left on device (os error 28)")
    assert error.what == "the disk is full, so the packages could not be unpacked"


def test_a_hint_of_uv_is_not_the_cause() -> None:
    words = "error: Request failed\n  cause: dns error\n  hint: Consider enabling use of system TLS certificates"
    assert explained(words).what == "the package index could not be reached: dns error"


def test_a_certificate_that_is_not_trusted_is_not_the_network() -> None:
    assert "SSL_CERT_FILE" in explained("error: Request failed\n  cause: invalid peer certificate: UnknownIssuer").fix
