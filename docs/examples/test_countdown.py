"""Tests of a handler, and of a program that uses a chat, with unittest. For pytest, wschat has fixtures.

    pip install wschat
    python -m unittest test_countdown.py

The functions to be tested are in this file, too, so that it is complete.
"""

import re
import unittest

import wschat
from wschat.testing.servers import Servers


def count_down(ws):
    """Answer a number with all numbers down to 0."""
    for message in ws:
        if not re.fullmatch("[0-9]{1,2}", str(message)):
            ws.close(1008, "send a number from 0 to 99")
            break
        for number in range(int(message), -1, -1):
            ws.send(str(number))


def greet(url):
    """Greet all members of a room."""
    with wschat.ChatClient(url, name="greeter", rooms=["tea"]) as client:
        client.say("tea", f"Hello {' and '.join(client.members('tea'))}!")


class CountDownTest(unittest.TestCase):
    """A server and a client for each test, which are closed after it in the reverse order."""

    def setUp(self):
        server = wschat.serve(count_down, port=0)  # any free port
        self.addCleanup(server.stop)
        server.start()  # in a thread
        self.ws = wschat.connect(f"ws://127.0.0.1:{server.port}")
        self.addCleanup(self.ws.close)

    def test_a_number(self):
        self.ws.send("2")
        self.assertEqual([self.ws.recv(timeout=5) for _ in range(3)], ["2", "1", "0"])

    def test_no_number(self):
        self.ws.send("two")
        with self.assertRaises(wschat.ConnectionClosed) as closed:
            self.ws.recv(timeout=5)
        self.assertEqual(closed.exception.code, 1008)


class GreetTest(unittest.TestCase):
    """A chat that keeps its messages in memory."""

    def test_a_greeting(self):
        with Servers(seed="1", timeout=5) as servers:  # if a handler has failed, the end of the block raises its error
            url = servers.chat().url
            with wschat.connect(f"{url}/rooms/tea?name=alice") as ws:
                self.assertEqual(ws.recv(timeout=5), "Welcome to the chat!")
                greet(url)
                self.assertEqual(ws.recv(timeout=5), "greeter: Hello alice and greeter!")


if __name__ == "__main__":
    unittest.main()
