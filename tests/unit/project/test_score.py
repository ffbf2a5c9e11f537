from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manifestgen.errors import InputError
from manifestgen.project import Project, load
from manifestgen.project.score import check_conda_file, check_entry_script, check_inputs

GOOD_SCRIPT = "def init():\n    pass\n\n\ndef run(input_data):\n    return input_data\n"
GOOD_CONDA = "name: x\ndependencies:\n  - python=3.11\n  - pip:\n      - azureml-defaults\n"


def refusal(check: Any, path: Path | Project) -> Any:
    with pytest.raises(InputError) as caught:
        check(path)
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        GOOD_SCRIPT,
        "from serving import init, run\n",
        "import serving\ninit = serving.start\nrun: object = serving.run\n",
        "def init(path='x'): pass\ndef run(data, more=None, *, flag=False): pass\n",
        "def init(*a, **k): pass\ndef run(*data): pass\n",
        "def init(): pass\n@input_schema('data', x)\ndef run(data, other): pass\n",
        "try:\n    def init(): pass\nexcept E:\n    pass\nelse:\n    def run(d): pass\n",
        "if True:\n    def init(): pass\nelse:\n    init = None\nwith x:\n    def run(d): pass\n",
        "def init(): pass\ndef run(d): return '\\d'\n",
        "\ufeffdef init(): pass\ndef run(d, /): pass\n",
    ],
)
def test_scripts_that_the_server_can_call_pass(tmp_path: Path, text: str) -> None:
    path = tmp_path / "score.py"
    path.write_text(text, encoding="utf-8")
    check_entry_script(path)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("def init(:\n", ":1:10", "not Python"),
        ("def init(): pass\n def run(d): pass\n", ":2:", "not Python"),
        ("\0", "", "not Python"),
        ("x = " + "(" * 3000, ":1:", "not Python"),
        ("def run(d): pass\n", "", "no function init()"),
        ("def init(): pass\n", "", "no function run()"),
        ("class A:\n    def init(): pass\n    def run(d): pass\n", "", "no function init()"),
        ("def init(a, b): pass\ndef run(d): pass\n", ":1", "init() is called without arguments, but requires 2"),
        ("def init(*, a): pass\ndef run(d): pass\n", ":1", "requires 1"),
        ("def init(): pass\n\ndef run(): pass\n", ":3", "takes none"),
        ("def init(): pass\n\ndef run(a, b): pass\n", ":3", "takes 2"),
        ("def init(): pass\n\ndef run(a, *, b): pass\n", ":3", "takes 2"),
        ("def init(): pass\n\ndef run(*, b=1): pass\n", ":3", "takes none"),
        ("def init(): pass\n\nasync def run(a): pass\n", ":3", "run() is async"),
        ("async def init(): pass\n\ndef run(a): pass\n", ":1", "init() is async"),
        ("def init(): pass\n\nclass run: pass\n", ":3", "run is a class"),
    ],
)
def test_scripts_that_the_server_cannot_call_are_refused_with_their_line(
    tmp_path: Path, text: str, line: str, what: str
) -> None:
    path = tmp_path / "score.py"
    path.write_text(text)
    error = refusal(check_entry_script, path)
    assert error.where.startswith(f"{path}{line}")
    assert what in error.what


def test_the_last_definition_is_the_one_that_counts(tmp_path: Path) -> None:
    path = tmp_path / "score.py"
    path.write_text(GOOD_SCRIPT + "\ndef run():\n    pass\n")
    assert "takes none" in refusal(check_entry_script, path).what


def test_a_good_conda_file_passes(tmp_path: Path) -> None:
    path = tmp_path / "env.yml"
    path.write_text(GOOD_CONDA)
    check_conda_file(path)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "", "not a mapping"),
        ("[a]", "", "not a mapping"),
        ("name: x\n", "", "no dependencies"),
        ("dependencies: [a\n", ":2:1", "not YAML"),
        ("dependencies:\n", ":1:1", "dependencies is not a list"),
        ("name: x\ndependencies: numpy\n", ":2:1", "dependencies is not a list"),
        ("dependencies: []\n", ":1:1", "dependencies is empty"),
        ("dependencies:\n  - a\n  - ''\n", ":3:5", "entry 2 of dependencies is not the name"),
        ("dependencies:\n  - a: 1\n", ":2:5", "entry 1"),
        ("dependencies:\n  - 3\n", ":2:5", "entry 1"),
        ("dependencies:\n  - pip: []\n", ":2:5", "dependencies.pip is empty"),
        ("dependencies:\n  - pip:\n", ":2:5", "dependencies.pip is not a list"),
        ("dependencies:\n  - pip:\n      - pip: [a]\n", ":3:9", "entry 1 of dependencies.pip"),
        ("dependencies: [a]\ndependencies: [b]\n", ":2:1", "given twice"),
    ],
)
def test_conda_files_that_conda_would_not_take_are_refused_with_their_line(
    tmp_path: Path, text: str, where: str, what: str
) -> None:
    path = tmp_path / "env.yml"
    path.write_text(text)
    error = refusal(check_conda_file, path)
    assert error.where == f"{path}{where}"
    assert what in error.what


PROJECT = """\
version: 1
model: {name: m, path: model.pkl}
image: {name: n, entry_script: score.py, conda_file: env.yml}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    (tmp_path / "manifestgen.yaml").write_text(PROJECT)
    (tmp_path / "score.py").write_text(GOOD_SCRIPT)
    (tmp_path / "env.yml").write_text(GOOD_CONDA)
    (tmp_path / "model.pkl").write_text("z")
    return tmp_path


def test_a_project_with_all_its_inputs_passes(folder: Path) -> None:
    check_inputs(load(folder))


@pytest.mark.parametrize(
    ("name", "what"),
    [("model.pkl", "model not found"), ("score.py", "entry script not found"), ("env.yml", "conda file not found")],
)
def test_a_missing_input_is_named(folder: Path, name: str, what: str) -> None:
    (folder / name).unlink()
    error = refusal(check_inputs, load(folder))
    assert error.where == str(folder / name)
    assert error.what == what


def test_nothing_is_checked_for_an_image_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "manifestgen.yaml").write_text(
        "version: 1\nimage: {builder: none, reference: a/b:1, entry_script: nowhere.py}\n"
    )
    check_inputs(load(tmp_path))


def test_a_project_without_an_image_cannot_be_built(tmp_path: Path) -> None:
    (tmp_path / "manifestgen.yaml").write_text("version: 1\n")
    assert "no image" in refusal(check_inputs, load(tmp_path)).what
