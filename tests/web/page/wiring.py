"""Windows of a browser, and users of the chat page in them."""

from __future__ import annotations

import shutil
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Playwright, expect

from tests.concurrency import TIMEOUT
from tests.server.command import Served

# What the browser itself logs when a connection is refused or lost, or a server is stopping. A page cannot prevent it.
_LOGGED_BY_THE_BROWSER = (
    "WebSocket connection to",
    "ERR_CONNECTION_REFUSED",
    "ERR_CONNECTION_RESET",
    "ERR_EMPTY_RESPONSE",
    "ERR_INTERNET_DISCONNECTED",
    "a status of 502",
    "a status of 503",
)

# These let any user run the browser, and keep it from requesting anything but the pages under test.
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The first two: each window would otherwise load two pages for its location bar, which takes three times as long as the page
    # under test. The third: a page of another origin may reach a server on this machine. The others are Playwright's own list,
    # repeated here because only the last such option counts.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,LocalNetworkAccessChecks,"
    "AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,LensOverlay,"
    "MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,AvoidCorsURLLoaderRestartOnRedirect,OptimizationHints,"
    "NetworkTimeServiceQuerying,AimEnabled,PreconnectToSearch",
]

SECRET = b"0123456789abcdef0123456789abcdef"
"""The secret that signs the tokens of a chat that needs tokens."""

expect.set_options(timeout=10_000)


# In order of preference. The headless shell draws no window, which halves the processor time of a test.
_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Return the path of the system's Chromium, None if there is none."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def launch(playwright: Playwright) -> Browser:
    """Start the system's Chromium, headless."""
    return playwright.chromium.launch(executable_path=chromium(), args=_OPTIONS)


class Windows:
    """Opens browser windows, each with a profile of its own, and collects the errors that they log."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def open(self, url: str, **options: Any) -> Page:
        """Open a page in a window with an empty profile."""
        context = self._browser.new_context(**{"viewport": {"width": 1100, "height": 700}, "reduced_motion": "reduce", **options})
        self._contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.goto(url)
        return page

    def enter(self, server: Served, name: str, room: str = "lobby", **options: Any) -> Guest:
        """Open the chat page in a window, and join a room with a name."""
        guest = Guest(self.open(f"{http(server)}#/{room}", **options))
        guest.take_name(name)
        return guest

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in _LOGGED_BY_THE_BROWSER):
            self.complaints.append(f"{message.type}: {message.text} ({message.location['url']})")


class Guest:
    """A user of the chat page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.field = page.get_by_role("textbox", name="Message")
        self.rooms = page.get_by_role("navigation", name="Rooms")
        self.members = page.get_by_role("complementary", name="Members")

    @property
    def log(self) -> Locator:
        """The messages of the room that is shown."""
        return self.page.get_by_role("log")

    def take_name(self, name: str) -> None:
        self.page.get_by_label("Name", exact=True).fill(name)
        self.page.get_by_role("button", name="Join the chat").click()
        expect(self.page.get_by_role("dialog")).to_be_hidden()
        expect(self.page.locator("#members")).to_contain_text(name)  # not visible on a phone until opened

    def say(self, text: str) -> None:
        self.field.fill(text)
        self.field.press("Enter")

    def join(self, room: str) -> None:
        self.page.get_by_label("Room to join").fill(room)
        self.page.keyboard.press("Enter")

    def message(self, text: str) -> Locator:
        """The messages with exactly this text."""
        return self.log.locator(".message").filter(has=self.page.get_by_text(text, exact=True))

    def hears(self, text: str) -> None:
        """Wait until the page shows this message once, and as sent by the server: own messages are shown before that."""
        expect(self.message(text).and_(self.log.locator("[data-seq]"))).to_have_count(1)
        expect(self.message(text)).to_have_count(1)

    def expect_sent(self, text: str) -> None:
        """Wait until the page shows that the server has acknowledged this message."""
        expect(self.message(text).get_by_role("img", name="Sent", exact=True)).to_be_visible()

    def say_and_wait(self, text: str) -> None:
        self.say(text)
        self.expect_sent(text)

    def texts(self) -> list[str]:
        """The texts of all messages in the log, in order."""
        return self.log.locator(".message .text").all_text_contents()


def http(server: Served) -> str:
    """The address of the chat page of a server."""
    return f"http://{server.host}:{server.port}{server.prefix}/"


def until(page: Page, condition: str) -> None:
    """Wait until a condition is true in a page. (`Page.wait_for_function` needs `eval`, which the policy of our pages forbids.)"""
    script = f"""async (seconds) => {{
        const end = performance.now() + seconds * 1000;
        while (!({condition}) && performance.now() < end) await new Promise(requestAnimationFrame);
        return Boolean({condition});
    }}"""
    assert page.evaluate(script, TIMEOUT), f"not true within {TIMEOUT} seconds: {condition}"
