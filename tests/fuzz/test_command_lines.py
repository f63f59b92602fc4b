"""A sample of odd command lines; `python -m tests.fuzz.command_lines` tries all, or many more."""

import os
import sys
import time

import pytest

from . import command_lines

#: Lines are tried for so many seconds, whatever the machine.
BUDGET = 12.0


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_odd_command_lines_end_as_they_should():
    seed = int(os.environ.get("GOOGLENET_FUZZ_SEED", "0"))
    until = time.monotonic() + BUDGET
    outcomes = []
    for outcome in command_lines.tried(seed):
        outcomes.append(outcome)
        if time.monotonic() > until:
            break
    faults = [(each.fault, each.words, each.errors[-2000:]) for each in outcomes if each.fault]
    assert not faults
    assert outcomes


def test_every_parameter_of_every_command_is_given_an_odd_value():
    drawn = command_lines.lines(0)
    commands = command_lines.commands()
    assert len(drawn) == sum(map(len, commands.values()))
    assert {words[0] for words in drawn} == set(commands) == set(command_lines.LINES)
    given = {(words[0], word) for words in drawn for word in words}
    for name, params in commands.items():
        for param in params:
            if param.param_type_name == "option":
                assert any((name, each) in given for each in (*param.opts, *param.secondary_opts))


def test_the_same_seed_draws_the_same_lines():
    assert command_lines.lines(3, 50) == command_lines.lines(3, 50)
    assert command_lines.lines(3, 50) != command_lines.lines(4, 50)


@pytest.mark.parametrize(
    ("status", "output", "errors", "fault"),
    [
        (0, "fine\n", "", ""),
        (2, "", "googlenet: --size: no\n", ""),
        (2, "", "", "the last line does not say what is wrong"),
        (2, "", "googlenet: a\nand more\n", "the last line does not say what is wrong"),
        (-11, "", "", "ended with status -11"),
        (99, "", "Traceback (most recent call last):\n", "ended with status 99"),
        (0, "Traceback (most recent call last):\n", "", "a traceback"),
        (0, "\x1b[31m", "", "a character that a terminal would act on"),
        (1000, "", "", "hung"),
    ],
)
def test_what_a_fault_is(status, output, errors, fault):
    assert command_lines._fault(status, output, errors) == fault
