"""Valid and invalid values of `Limits`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from wschat import Limits, UsageError

NAMES = [field.name for field in fields(Limits) if field.name != "slow_peer"]


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), 1e30, "64K", None])
@pytest.mark.parametrize("name", NAMES)
def test_an_invalid_limit_is_refused(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{name} must be a number from 0 "):
        Limits(**{name: value})


@pytest.mark.parametrize("name", NAMES)
def test_0_is_a_valid_limit(name: str) -> None:
    assert getattr(Limits(**{name: 0}), name) == 0  # type: ignore[arg-type]


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(UsageError, match="slow_peer"):
        Limits(slow_peer="ignore")
