from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import pytest

from manifestgen.azure import aml_sdk
from manifestgen.errors import CloudError, InputError

needs_sdk = [
    pytest.mark.azureml,
    pytest.mark.skipif(importlib.util.find_spec("azureml") is None, reason="azureml-core is not installed"),
]


def test_call_leaves_the_process_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "manifestgen.azure.aml")
    before = (Path.cwd(), tempfile.tempdir, sys.stdout)
    with aml_sdk.calling(tmp_path):
        print("Registering model")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        left_behind = Path(tempfile.mkstemp()[1])
        assert Path.cwd() == tmp_path
    assert (Path.cwd(), tempfile.tempdir, sys.stdout) == before
    assert not left_behind.exists()
    assert capsys.readouterr() == ("", "")
    assert "azureml-core: Registering model" in caplog.messages


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, SystemExit])
def test_call_that_is_broken_off_leaves_the_process_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    before = (Path.cwd(), tempfile.tempdir, sys.stdout)
    with pytest.raises(error), aml_sdk.calling(tmp_path):
        raise error
    assert (Path.cwd(), tempfile.tempdir, sys.stdout) == before


def test_calls_of_two_threads_do_not_meet(tmp_path: Path) -> None:
    inside, entered = threading.Event(), []

    def other() -> None:
        with aml_sdk.calling(tmp_path):
            entered.append("other")

    with aml_sdk.calling():
        thread = threading.Thread(target=other)
        thread.start()
        inside.wait(0.05)
        assert entered == []
        entered.append("first")
    thread.join(10)
    assert entered == ["first", "other"]


def test_bounded_call_gives_its_result_or_its_error() -> None:
    assert aml_sdk.bounded(lambda: None, 10, "testing") is None
    with pytest.raises(ZeroDivisionError):
        aml_sdk.bounded(lambda: 1 // 0, 10, "testing")


def test_call_that_hangs_is_given_up() -> None:
    never = threading.Event()
    with pytest.raises(CloudError, match="timed out after 0 s while starting the build"):
        aml_sdk.bounded(never.wait, 0.01, "starting the build")
    never.set()


def test_missing_sdk_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "azureml"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "azureml", None)
    with pytest.raises(InputError, match="Azure ML support is not installed") as caught:
        aml_sdk.load()
    assert caught.value.fix == "run: pip install 'manifestgen[azureml]'"


def test_sdk_that_cannot_be_imported_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "azureml"]:
        monkeypatch.delitem(sys.modules, name)
    core = tmp_path / "azureml" / "core"
    core.mkdir(parents=True)
    (core / "__init__.py").write_text("import distutils_of_an_old_python\n")
    (tmp_path / "azureml" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="cannot be loaded: No module named 'distutils_of_an_old_python'"):
        aml_sdk.load()
    for name in [name for name in sys.modules if name.partition(".")[0] == "azureml"]:
        del sys.modules[name]


@pytest.mark.parametrize("mark", [pytest.param(None, marks=needs_sdk)])
def test_import_is_silent_and_respects_settings(mark: None) -> None:
    code = "\n".join(
        [
            "from manifestgen.azure import aml_sdk",
            "aml_sdk.load()",
            "import logging, os",
            "logging.getLogger('azureml.core.model').warning('of the SDK')",
            "from azureml._restclient import clientbase",
            "assert clientbase.DEFAULT_BACKOFF == 7, clientbase.DEFAULT_BACKOFF",
            "assert os.environ['AZUREML_CURRENT_CLOUD'] == 'AzureCloud'",
        ]
    )
    environment = {**os.environ, "AZUREML_DEFAULT_BACKOFF": "7", "PYTHONWARNINGS": "default"}
    environment.pop("AZUREML_CURRENT_CLOUD", None)
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_adapter_can_be_imported_without_the_sdk() -> None:
    code = (
        "import sys; sys.modules['azureml'] = None\n"
        "import manifestgen.azure.aml\n"
        "assert not [name for name in sys.modules if name.startswith('azure.')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_answer_is_in_the_debug_log(caplog: pytest.LogCaptureFixture) -> None:
    aml_sdk.listen("sdk", "msrest")  # the real one may have been imported, with handlers of its own
    with caplog.at_level(logging.DEBUG, "manifestgen.azure.aml"):
        logging.getLogger("msrest.http_logger").debug("<html>canary</html>")
        logging.getLogger("sdk.x").warning("Received bad response.\nContent: canary")
    assert "Received bad response" in caplog.text and "canary" not in caplog.text
