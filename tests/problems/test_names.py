"""One sentence for a name that does not exist: what came, the nearest name, what there is."""

from __future__ import annotations

import pytest

from problems import FAMILIES, load
from problems.names import UsageError, lookup, unknown

TABLE = {"zeta": 1, "alpha": 2, "beta": 3}


def test_a_known_name_is_found():
    assert lookup("letter", "beta", TABLE) == 3


def test_the_nearest_name_is_offered_and_all_are_listed_in_order():
    with pytest.raises(UsageError) as caught:
        lookup("letter", "bta", TABLE)
    assert str(caught.value) == "no letter 'bta'; did you mean 'beta'? there are: alpha, beta, zeta"


def test_nothing_is_offered_when_nothing_is_near():
    assert str(unknown("letter", "qqqq", TABLE)) == "no letter 'qqqq'; there are: alpha, beta, zeta"


def test_an_empty_table_says_none():
    assert str(unknown("letter", "a", {})) == "no letter 'a'; there are: none"


def test_a_usage_error_is_a_value_error():
    assert issubclass(UsageError, ValueError)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_misspelt_family_is_answered_with_its_name(name):
    with pytest.raises(UsageError) as caught:
        load(name[:-1] + "x", 0)
    assert "did you mean" in str(caught.value)
    assert all(other in str(caught.value) for other in FAMILIES)


def test_a_negative_index_is_refused():
    with pytest.raises(UsageError, match="an instance index is 0 or more, got -1 for problem 'seed2d'"):
        load("seed2d", -1)
