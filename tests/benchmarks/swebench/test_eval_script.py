"""The script that runs an instance's tests, and the test in it that always fails."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from stackbench.benchmarks.swebench.eval_script import END, START, EvalScript, eval_script, with_canary
from stackbench.benchmarks.swebench.instances import Instance, read_instances
from stackbench.benchmarks.swebench.official import parsers_of_repositories
from stackbench.benchmarks.swebench.spec_tables import SpecTables, load_spec_tables
from stackbench.errors import DataCorruptError
from tests.benchmarks.swebench.small_repositories import patch_of


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> SpecTables:
    return load_spec_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def instances(data_dir: Path) -> dict[str, Instance]:
    lines = (data_dir / "swebench" / "instances.jsonl").read_text().splitlines()
    return {one.task_id: one for one in read_instances([json.loads(line) for line in lines], "x")}


def script_of(instance: Instance, tables: SpecTables, patch: str = "", *, any_python: bool = True) -> EvalScript:
    return eval_script(instance, tables, parsers_of_repositories(), patch, any_python=any_python)


def command_of(script: EvalScript) -> str:
    lines = script.text.split("\n")
    first = next(number for number, line in enumerate(lines) if START in line)
    return lines[first + 1]


@pytest.mark.parametrize(
    ("instance_id", "command", "canary"),
    [
        ("pallets__flask-5063", "pytest -rA tests/test_cli.py", "tests/test_abc123.py"),
        (
            "django__django-16139",
            "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1 auth_tests.test_forms",
            "auth_tests.test_abc123",
        ),
        (
            "sphinx-doc__sphinx-10673",
            "python -m pytest -rA tests/roots/test-toctree-index/conf.py tests/roots/test-toctree-index/foo.rst "
            "tests/roots/test-toctree-index/index.rst tests/test_environment_toctree.py",
            "tests/test_abc123.py",
        ),
        (
            "sympy__sympy-24213",
            "PYTHONWARNINGS='ignore::UserWarning,ignore::SyntaxWarning' bin/test -C --verbose "
            "sympy/physics/units/tests/test_quantities.py",
            "sympy/physics/units/tests/test_abc123.py",
        ),
    ],
)
def test_the_tables_command_runs_the_files_of_the_test_patch_and_the_canary(
    instances: dict[str, Instance], tables: SpecTables, instance_id: str, command: str, canary: str
) -> None:
    script = script_of(instances[instance_id], tables)
    assert command_of(script) == command
    guarded = with_canary(script, "abc123")
    assert command_of(guarded) == f"{command} {canary}"
    assert guarded.canary is not None and guarded.canary.path.endswith("test_abc123.py")
    assert subprocess.run(["bash", "-n"], input=guarded.text, text=True, check=False).returncode == 0


def test_tox_is_kept_where_its_python_is_there(instances: dict[str, Instance], tables: SpecTables) -> None:
    script = script_of(instances["sphinx-doc__sphinx-10673"], tables, any_python=False)
    assert command_of(script).startswith("tox --current-env -epy39 -v -- tests/roots/")


def test_a_project_is_installed_again_where_the_patch_changes_how(
    instances: dict[str, Instance], tables: SpecTables
) -> None:
    flask = instances["pallets__flask-5063"]
    assert "pip install -e ." not in script_of(flask, tables, flask.gold_patch).text
    assert "python -m pip install -e ." in script_of(flask, tables, patch_of("setup.cfg", "a\n", "b\n")).text
    assert "python -m pip install -e ." in script_of(flask, tables, patch_of("src/x.pyx", "a\n", "b\n")).text


def test_processors_of_a_specification_are_given(instances: dict[str, Instance], tables: SpecTables) -> None:
    assert script_of(instances["pylint-dev__pylint-6386"], tables).cpus == 2
    assert script_of(instances["pallets__flask-5063"], tables).cpus == 0


def test_the_script_ends_with_the_status_of_the_tests() -> None:
    script = EvalScript((f": '{START}'", "(exit 7)", f": '{END}'", "true"), (), "parse_log_pytest", "pass_and_fail")
    assert subprocess.run(["bash", "-c", script.text], capture_output=True, check=False).returncode == 7
    cut = EvalScript(("true",), (), "parse_log_pytest", "pass_and_fail")
    assert subprocess.run(["bash", "-c", cut.text], capture_output=True, check=False).returncode == 255


def test_a_script_without_python_test_files_has_no_canary() -> None:
    script = EvalScript((f": '{START}'", "npm test a.js", f": '{END}'"), ("a.js",), "parse_log_jest", "pass_and_fail")
    assert with_canary(script, "abc123") == script


def test_the_tables_are_read_once_and_checked(tmp_path: Path, tables: SpecTables) -> None:
    again = load_spec_tables(tmp_path)
    assert again == tables
    spec = again.spec("pallets/flask", "2.3")
    assert spec is not None and spec["python"] == "3.11" and spec["packages"] == "requirements.txt"
    (kept,) = tmp_path.glob("specs-4.1.0-*.json")
    assert again.spec("pallets/flask", "99") is None and again.spec("no/such", "1") is None
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    wheel.write_bytes(b"another one")
    assert load_spec_tables(tmp_path) == again
    kept.unlink()
    with pytest.raises(DataCorruptError, match="has the sha256 .*, not .*; it was removed"):
        load_spec_tables(tmp_path)
    assert not wheel.exists()
