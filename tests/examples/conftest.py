"""Fixtures for the tests of the examples."""

from __future__ import annotations

from tests.web.page.conftest import windows

__all__ = ["windows"]
