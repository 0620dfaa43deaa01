"""The example of an auction: prices live, no bid lost, none late."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from playwright.sync_api import expect

import wschat
from tests.concurrency import TIMEOUT, switching_often
from tests.examples.wiring import EXAMPLES, Visitor, running_site
from tests.web.page.wiring import Windows
from tests.wsgi.conftest import needs_gunicorn
from tests.wsgi.wiring import running_gunicorn
from wschat.testing.connections import Pair

pytest.importorskip("flask", reason="needs Flask: pip install '.[dev]'")

BIDDERS = 4
LAST_BID = 2000


def bidder(port: int, name: str) -> Visitor:
    visitor = Visitor(port)
    visitor.post("/name", name=name)
    return visitor


def receive(ws: wschat.Connection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(ws.recv(TIMEOUT))
    message.pop("seconds", None)
    return message


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running_site("auction.py") as port:
        yield port


def test_everyone_sees_the_price_live_and_a_bid_that_does_not_count_is_refused(port: int) -> None:
    alice, watcher = bidder(port, "alice"), Visitor(port)
    with alice.connect("/bids") as ws, watcher.connect("/bids") as other:
        price = receive(ws)["price"]
        assert receive(other)["price"] == price
        ws.send(str(price + 5))
        assert receive(ws) == receive(other) == {"price": price + 5, "bidder": "alice"}
        refused: list[tuple[str | bytes, str]] = [
            (str(price + 5), f"The price is {price + 5} already."),
            ("-1", "A bid is a whole number."),
            ("1e9", "A bid is a whole number."),
            ("٣٣٣", "A bid is a whole number."),
            ("9" * 10, "A bid is a whole number."),
            (b"99", "A bid is a whole number."),
        ]
        for bid, error in refused:
            ws.send(bid)
            assert receive(ws) == {"error": error}
        other.send(str(price + 6))
        assert receive(other) == {"error": "Give your name first."}


def test_a_name_has_a_length(port: int) -> None:
    for name in ("", " ", "x" * 31):
        with pytest.raises(HTTPError, match="400"):
            bidder(port, name)


def test_a_late_bid_is_refused() -> None:
    with running_site("auction.py", SECONDS="0") as port, bidder(port, "alice").connect("/bids") as ws:
        assert receive(ws) == {"price": 10, "bidder": None}
        ws.send("11")
        assert receive(ws) == {"error": "The auction is over."}


def test_the_page_shows_prices_and_no_html_of_others(port: int, windows: Windows) -> None:
    page = windows.open(f"http://127.0.0.1:{port}/")
    page.get_by_placeholder("Name").fill("carol")
    page.get_by_role("button", name="Join in").click()
    price = page.locator("#price")
    expect(price).to_have_text(re.compile(r"^\d+, "))
    mallory = "<b>mallory</b>"
    with bidder(port, mallory).connect("/bids") as ws:
        ws.send(str(receive(ws)["price"] + 1))
        amount = receive(ws)["price"]
        expect(price).to_have_text(f"{amount}, bid by {mallory}")
        page.locator("#amount").fill(str(amount))
        page.get_by_role("button", name="Bid as carol").click()
        expect(page.get_by_role("alert")).to_have_text(f"The price is {amount} already.")
        page.locator("#amount").fill(str(amount + 1))
        page.get_by_role("button", name="Bid as carol").click()
        expect(price).to_have_text(f"{amount + 1}, bid by carol")
        assert receive(ws) == {"price": amount + 1, "bidder": "carol"}


def test_under_gunicorn(tmp_path: Path) -> None:
    needs_gunicorn()
    with (
        running_gunicorn("auction:app", tmp_path, "--chdir", str(EXAMPLES)) as program,
        bidder(program.port, "alice").connect("/bids") as ws,
    ):
        assert receive(ws)["bidder"] is None
        ws.send("500")
        assert receive(ws) == {"price": 500, "bidder": "alice"}


def test_of_bids_at_the_same_moment_none_is_lost(ws_pair: Pair) -> None:
    """Who was told that a bid counts has it among the prices, which rise for all watchers, up to the highest bid."""
    example = runpy.run_path(str(EXAMPLES / "auction.py"))
    auction = example["Auction"]("A teapot", price=0, seconds=60)
    auction.watch(ws_pair.server)

    prices_to_bid = iter(range(1, LAST_BID + 1))

    def bid(_: int) -> list[int]:
        counting = []
        for price in prices_to_bid:
            with suppress(example["BidRefused"]):
                auction.bid("alice", price)
                counting.append(price)
        return counting

    with switching_often(), ThreadPoolExecutor(BIDDERS) as pool:
        counting = [price for prices in pool.map(bid, range(BIDDERS)) for price in prices]
    prices: list[int] = []
    while not prices or prices[-1] < LAST_BID:
        prices.append(json.loads(ws_pair.client.recv())["price"])
    assert prices == [0, *sorted(counting)]
