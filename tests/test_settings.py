import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from stackbench.cli.app import build_app
from stackbench.config import CONCERNS, Settings, changeable_on_resume, list_settings, load_settings
from stackbench.config.settings_page import configuration_page
from stackbench.errors import ConfigError
from tests.command_line import help_of

PAGE = Path(__file__).parents[1] / "docs/configuration.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_the_configuration_page_is_made_from_the_settings() -> None:
    assert PAGE.read_text() == configuration_page()


def test_each_setting_is_declared_once_in_one_concern() -> None:
    declared = [name for model in CONCERNS.values() for name in model.__annotations__ if name != "title"]

    assert sorted(declared) == sorted(Settings.model_fields)
    assert [field.attribute for field in list_settings() if field.attribute not in declared] == []
    assert len({field.flag for field in list_settings()}) == len(declared)


def test_every_setting_is_an_option_of_eval_in_the_group_of_its_concern() -> None:
    page = help_of("eval", width=120)
    sections = dict(re.findall(r"^(\S[^\n]*):\n((?:  [^\n]*\n)+)", page, re.MULTILINE))

    for field in list_settings():
        assert re.search(rf"^  .*{field.flag}\b", sections[CONCERNS[field.concern].title], re.MULTILINE), field.flag


def test_a_setting_is_described_for_a_form() -> None:
    fields = {field.name: field for field in list_settings()}

    timeout, api, seed = fields["timeout"], fields["api"], fields["seed"]
    assert (timeout.concern, timeout.flag, timeout.type, timeout.unit) == ("run", "--timeout", "number", "seconds")
    assert (timeout.group, timeout.changeable_on_resume, timeout.default) == ("basic", False, None)
    assert (api.choices, api.default, api.concern) == (("auto", "chat", "completions"), "auto", "endpoint")
    assert (seed.attribute, seed.repeatable, seed.type, seed.default) == ("seeds", True, "integer", (0,))
    assert fields["request_timeout"].shown_default == "600 seconds"


def test_what_is_measured_does_not_change_when_a_run_is_resumed() -> None:
    changeable = changeable_on_resume()

    assert {"concurrency", "retries", "sandboxes", "headers", "max_hours"} <= changeable
    assert not {"model", "temperature", "seeds", "limit", "timeout_s", "system_prompt", "sandbox_image"} & changeable


def test_a_file_names_settings_as_the_command_line_does(folder: Path) -> None:
    (folder / "stackbench.toml").write_text('timeout = 7\nseed = [3, 4]\nmax-tokens = 9\nvllm_arg = "--x"\n')

    sourced = load_settings({"limit": 2})

    settings = sourced.settings
    assert (settings.timeout_s, settings.seeds, settings.max_tokens, settings.vllm_args) == (7, (3, 4), 9, ("--x",))
    assert (sourced.sources["timeout_s"], sourced.sources["limit"]) == ("stackbench.toml", "--limit")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tempratur = 1", r'unknown key "tempratur" \(did you mean "temperature"'),
        ("max-token = 1", r'unknown key "max-token" \(did you mean "max_tokens"'),
        ("zzz = 1", r'unknown key "zzz"; "stackbench eval --help" lists them, as options'),
        ("timeout = 1\ntimeout_s = 2", '"timeout_s" sets timeout a second time'),
        ("timeout = -1", r"stackbench.toml: timeout: .*greater than 0 \(got -1\)"),
        ("api = 'caht'", r"""stackbench.toml: api: .*\(got 'caht'\) \(did you mean "chat"\?\)"""),
    ],
)
def test_a_file_that_is_wrong_is_named_with_the_key(folder: Path, text: str, message: str) -> None:
    (folder / "stackbench.toml").write_text(text)

    with pytest.raises(ConfigError, match=message):
        load_settings()


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"no_such": 1})


def test_a_page_of_another_command_loads_no_settings() -> None:
    names = {command.name: command for command in build_app("").registered_commands}
    assert build_app("runs").registered_commands == []
    assert "--temperature" not in str(names["eval"].callback.__annotations__)  # type: ignore[union-attr]
