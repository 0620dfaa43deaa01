"""Writing: commands that are refused, completion, what is kept of it, and what a text becomes when it is shown."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.server.command import Command
from tests.web.page.wiring import Windows


def test_a_command_that_was_refused_can_be_corrected_and_is_not_kept(server: Command, windows: Windows) -> None:
    alice = windows.enter(server, "alice")
    alice.say("/nonsense and more")
    error = alice.log.locator(".error")
    expect(error).to_contain_text("/nonsense and more")
    expect(error).to_contain_text("There is no command /nonsense")
    alice.say("said after it")
    alice.hears("said after it")
    assert alice.log.locator("li").last.text_content() != error.text_content()
    alert = alice.page.evaluate("getComputedStyle(document.getElementById('names-problem')).color")
    expect(error.locator(".text")).to_have_css("color", alert)
    error.get_by_role("button", name="Edit").click()
    expect(alice.field).to_have_value("/nonsense and more")
    alice.page.reload()
    alice.hears("said after it")
    expect(alice.log).not_to_contain_text("nonsense")
