"""docs/configuration.md, written from the declarations of the settings.

Usage: python -m stackbench.config.settings_page > docs/configuration.md
"""

from __future__ import annotations

import inspect
import sys

from stackbench.config.concerns import CONCERNS
from stackbench.config.setting_fields import SettingField, list_settings

__all__ = ["configuration_page"]

HEAD = """# Configuration

<!-- Written by `python -m stackbench.config.settings_page`; a test holds it against the settings. -->

Defaults, then `~/.config/stackbench/config.toml`, then `stackbench.toml` in the working folder, then options of the
command line. `stackbench config` prints every setting, its value and where it came from.

A setting has the same name everywhere: `--max-tokens 512` is `max_tokens = 512` in a file, where hyphens may stand for
the underscores. What may be given several times on the command line takes a list in a file:

```toml
model = "openai:qwen@http://localhost:8000/v1"
concurrency = 128
sandboxes = 4
timeout = 10
seed = [0, 1, 2]
system_prompt = "@prompts/brief.txt"
stop = ["\\nQ:"]
```

`system_prompt` and `prefill` are read from a file where they begin with `@` (`@@` for the sign itself). A switch takes
`true` or `false`; on the command line `--no-` before its name turns it off.

A benchmark in a suite file (docs/running.md) may have `limit`, `samples`, `temperature` and `max_tokens` of its own,
under the same names.

## Prices

What a run cost is told from a table of prices per million tokens, by patterns of model names (`*`, `?`; the first that
fits, of the whole name or of the part between `openai:` and the address). Without a price nothing is told. A run keeps
the prices that it was made with; for one that was made without, `show` takes those of now.

```toml
[prices."gpt-4o-mini*"]
input = 0.15
output = 0.60
currency = "USD"
```
"""

VARIABLES = """## Environment variables

| variable | what |
| --- | --- |
| `STACKBENCH_HOME` | database and runs (default: the platform's user-data folder for stackbench) |
| `STACKBENCH_CACHE` | fetched models and datasets, for all homes of a user (default: the user-cache folder) |
| `STACKBENCH_DATA` | an extra, read-only folder of datasets |
| `STACKBENCH_MODELS` | a folder of models of your own, looked into before the hub |
| `OPENAI_API_KEY` | the key of an endpoint, or the variable that `--api-key-env` names |
| `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy` | the proxy that endpoints are reached through |
| `SSL_CERT_FILE` | certificates of authorities, for endpoints over https |
| `DOCKER_HOST` | another Docker engine |

`--debug`, anywhere on the command line, shows the traceback behind an error.

Models and datasets are fetched once per user, by one process at a time, and are checked by hash. A home in which an
older version put its own (`models/`, `data/`) uses these. A home that may only be read can be read: `runs`, `show`,
`query`, `compare`, `export`, `doctor`; what makes runs refuses it.
"""

NOTES = """`advanced` settings are those that few runs need. Those marked `resume` say how fast a run goes, not what it
measures: they may change when a run is resumed. Those marked `score` apply to `stackbench score` too.
"""


def configuration_page() -> str:
    """The page, as Markdown."""
    parts = [HEAD, "## Settings\n", NOTES]
    for concern, model in CONCERNS.items():
        parts.append(f"### {model.title}\n\n{inspect.cleandoc(model.__doc__ or '')}\n")
        parts.append("| option | key | default | what | |\n| --- | --- | --- | --- | --- |")
        parts += [_row(field) for field in list_settings() if field.concern == concern]
        parts.append("")
    return "\n".join([*parts, VARIABLES])


def _row(field: SettingField) -> str:
    value = f" {field.metavar}" if field.metavar else ""
    options = ", ".join(f"`{name}{value}`" for name in (field.short, field.flag) if name).replace("|", "\\|")
    marks = [
        mark
        for mark, there in (
            ("advanced", field.group == "advanced"),
            ("repeatable", field.repeatable),
            ("resume", field.changeable_on_resume),
            ("score", field.scores),
        )
        if there
    ]
    default = field.shown_default or ("off" if field.type == "switch" else "")
    return f"| {options} | `{field.name}` | {default} | {field.help} | {', '.join(marks)} |"


if __name__ == "__main__":
    sys.stdout.write(configuration_page())
