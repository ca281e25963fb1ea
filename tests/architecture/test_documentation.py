"""The documentation names every setting, command and option, and its links lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

import coordinator.__main__
import coordinator.metrics
import coordinator.settings
import observer_agent.__main__
import observer_agent.settings
import operator_console.cli.app
import training_worker.__main__
import training_worker.settings

ROOT = Path(__file__).resolve().parents[2]
OPERATING = (ROOT / "docs/operating.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SETTINGS: dict[str, type[BaseSettings]] = {
    coordinator.settings.ENVIRONMENT_PREFIX: coordinator.settings.CoordinatorSettings,
    training_worker.settings.ENVIRONMENT_PREFIX: training_worker.settings.WorkerSettings,
    observer_agent.settings.ENVIRONMENT_PREFIX: observer_agent.settings.AgentSettings,
}
PROGRAMS = {
    "bandwatch": operator_console.cli.app.app,
    "bandwatch-agent": observer_agent.__main__.app,
    "bandwatch-coordinator": coordinator.__main__.cli,
    "bandwatch-worker": training_worker.__main__.cli,
}
METRIC_ROW = re.compile(r"^\| `(bandwatch_\w+)` \|([^|]*)\|", re.MULTILINE)
HEADINGS_OF = {page: re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE) for page in PAGES}


def commands_of(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each command that people may give, by its whole name, and the program where it has options of its own."""
    if command.hidden:
        return
    children = getattr(command, "commands", {})
    if not children or options_of(command):
        yield name, command
    for word, child in children.items():
        yield from commands_of(child, f"{name} {word}")


def options_of(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "option"]


COMMANDS = {
    name: command
    for program, app in PROGRAMS.items()
    for name, command in commands_of(typer.main.get_command(app), program)
}


def place_of(command_name: str) -> str:
    """Return the section under a heading that is the command, else its row in a table, else nothing."""
    section = re.search(rf"^### `{command_name}`\n(.*?)(?=^##|\Z)", OPERATING, re.MULTILINE | re.DOTALL)
    row = re.search(rf"^\| `{command_name}` \|.*$", OPERATING, re.MULTILINE)
    found = section or row
    return found[0] if found else ""


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "from the host"
    if field.default is None:
        return "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def anchor_of(heading: str) -> str:
    """Return the anchor that a heading gets on GitHub: lower case, hyphens for spaces, no punctuation."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize(
    ("name", "field"),
    [(prefix + name.upper(), field) for prefix, kind in SETTINGS.items() for name, field in kind.model_fields.items()],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_setting_is_documented_with_its_default_and_its_meaning(name: str, field: FieldInfo) -> None:
    assert f"| `{name}` | {default_of(field)} | {field.description} |\n" in OPERATING


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_all_of_its_options(name: str) -> None:
    place = place_of(name)
    assert place
    flags = [flag for option in options_of(COMMANDS[name]) for flag in (*option.opts, *option.secondary_opts)]
    assert [flag for flag in flags if flag not in ("--help", "-h") and not re.search(rf"`{flag}[ `]", place)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_environment_variable_of_an_option_is_documented(name: str) -> None:
    variables = [option.envvar for option in options_of(COMMANDS[name]) if option.envvar]
    assert [variable for variable in variables if f"`{variable}`" not in OPERATING] == []


def test_the_first_screen_of_the_readme_shows_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:25])
    assert re.findall(r"^```sh\n(.*?)\n```$", first_screen, re.MULTILINE | re.DOTALL) == ["make demo", "make test"]
    assert re.findall(r"\bmake [a-z]+\b", first_screen) == ["make demo", "make test"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in map(anchor_of, HEADINGS_OF.get(target, []))):
            broken.append(link)
    assert broken == []


def test_every_metric_is_documented_with_its_labels_and_no_other_is() -> None:
    section = OPERATING.split("\n## Metrics\n")[1].split("\n## ")[0]
    told = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in METRIC_ROW.findall(section)}
    metrics = vars(coordinator.metrics.Metrics()).values()
    assert told == {metric._name: set(metric._labelnames) for metric in metrics if hasattr(metric, "_labelnames")}
