"""Runs and races of the reference, killed at random moments; those of each framework are in
`tests/native/test_training.py`.
"""

import pytest

from ..killed import ends_as_one_that_was_not_killed


@pytest.mark.parametrize("way", ["race", "one"])
def test_what_is_killed_ends_as_if_it_had_not_been(way):
    ends_as_one_that_was_not_killed("numpy", way)
