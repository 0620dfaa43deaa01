"""Calling publishers and subscribers."""

from __future__ import annotations

import pytest

from wschat.brokers.callbacks import call_logged


def test_a_callback_gets_its_arguments() -> None:
    calls: list[object] = []
    call_logged(calls.append, "argument")
    assert calls == ["argument"]


def test_an_exception_is_logged_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("a bug")

    call_logged(fail)
    [record] = caplog.records
    assert "fail" in record.getMessage()
    assert "ValueError: a bug" in caplog.text
