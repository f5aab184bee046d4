"""What reaches a terminal: nothing but what was meant, aligned, in colour only where it may be."""

from __future__ import annotations

import io
import json

import pytest
import yaml

from tests.unit.cli.build import HOSTILE, screen
from tidb_volume.cli import render
from tidb_volume.cli.ask import Asker
from tidb_volume.cli.exits import CliError, Exit
from tidb_volume.cli.render import Screen, clean, cut, line, span, table


@pytest.mark.parametrize("make", [clean, lambda name: line(name).text, lambda name: span(name).text])
def test_a_hostile_name_is_one_line_without_anything_that_a_terminal_obeys(make) -> None:  # type: ignore[no-untyped-def]
    shown = make(HOSTILE)
    assert shown.isprintable()
    assert "\\x1b[31m" in shown
    assert "\\nfleet paused" in shown
    assert "\\u202e" in shown


def test_a_span_made_by_hand_is_cleaned_once_it_is_in_a_line() -> None:
    assert line(render.Span(HOSTILE)).text.isprintable()


def test_a_table_with_a_hostile_name_has_as_many_lines_as_rows() -> None:
    lines = table(["NAME", "STATE"], [[HOSTILE, "Bound"], ["b", "Available"]])
    assert len(lines) == 3
    assert all(each.text.isprintable() for each in lines)
    assert {
        each.text.index(state) for each, state in zip(lines, ("STATE", "Bound", "Available"), strict=True)
    }
    assert lines[1].text.index("Bound") == lines[2].text.index("Available")


def test_columns_stay_aligned_beside_wide_characters() -> None:
    lines = table([], [["磁盘", "x"], ["disk", "x"]])
    assert lines[0].text.index("x") == lines[1].text.index("x") - 2


def test_what_is_cut_ends_with_an_ellipsis_and_fits() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert render.wide(cut("磁盘磁盘磁盘", 5)) <= 5


@pytest.mark.parametrize(
    ("terminal", "environ", "coloured"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_colour_is_for_terminals_and_never_with_no_color(
    terminal: bool, environ: dict[str, str], coloured: bool
) -> None:
    seen = screen(terminal=terminal, environ=environ)
    seen.show([line(span("Bound", "blue"))])
    seen.warn("careful")
    assert isinstance(seen.out, io.StringIO)
    assert isinstance(seen.err, io.StringIO)
    assert ("\x1b[" in seen.out.getvalue()) is coloured
    assert ("\x1b[" in seen.err.getvalue()) is coloured


def test_data_goes_to_stdout_and_warnings_to_stderr() -> None:
    seen = screen()
    seen.show([line("data")])
    seen.warn("look")
    assert seen.out.getvalue() == "data\n"  # type: ignore[attr-defined]
    assert seen.err.getvalue() == "warning: look\n"  # type: ignore[attr-defined]


def test_json_and_yaml_hold_a_hostile_name_whole_and_print_none_of_it() -> None:
    made = render.as_text({"name": HOSTILE, "face": "\U0001f600\U000e0001"}, "json")
    assert json.loads(made) == {"name": HOSTILE, "face": "\U0001f600\U000e0001"}
    assert all(char.isprintable() or char == "\n" for char in made)
    made = render.as_text({"name": HOSTILE}, "yaml")
    assert yaml.safe_load(made) == {"name": HOSTILE}
    assert all(char.isprintable() or char == "\n" for char in made)


class Typed(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("typed", ["n\n", "\n", "", "yep\n"])
def test_anything_but_a_yes_is_a_no(typed: str) -> None:
    with pytest.raises(CliError) as raised:
        Asker(screen(), yes=False, source=Typed(typed)).agree("go on?")
    assert raised.value.code is Exit.REFUSED


@pytest.mark.parametrize("typed", ["y\n", "YES\n", "y"])
def test_a_yes_goes_on(typed: str) -> None:
    Asker(screen(), yes=False, source=Typed(typed)).agree("go on?")


def test_a_serial_must_be_typed_as_it_is() -> None:
    Asker(screen(), yes=False, source=Typed("S-1\n")).type_out("the serial", "S-1")
    with pytest.raises(CliError, match="that is not the serial"):
        Asker(screen(), yes=False, source=Typed("y\n")).type_out("the serial", "S-1")


def test_without_a_terminal_nobody_is_asked_and_nothing_is_done() -> None:
    with pytest.raises(CliError, match="no terminal") as raised:
        Asker(screen(), yes=False, source=io.StringIO("y\n")).agree("go on?")
    assert raised.value.way_out == "add --yes"


def test_yes_on_the_command_line_answers_all() -> None:
    asker = Asker(screen(), yes=True, source=io.StringIO())
    asker.agree("go on?")
    asker.type_out("the serial", "S-1")


def test_a_question_of_a_hostile_name_stays_on_its_line() -> None:
    seen = screen()
    with pytest.raises(CliError):
        Asker(seen, yes=False, source=Typed("no\n")).type_out("the serial", HOSTILE)
    assert "\n" not in seen.err.getvalue()  # type: ignore[attr-defined]


def test_a_screen_without_a_terminal_is_laid_out_for_a_file() -> None:
    assert Screen(io.StringIO(), io.StringIO(), {}).size == (120, 60)
