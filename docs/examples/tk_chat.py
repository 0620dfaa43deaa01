"""A window with a room of a chat, made with Tkinter.

    pip install wschat
    python tk_chat.py 'ws://127.0.0.1:8080/?name=alice' lobby

Only its own thread may use Tkinter, and that must not wait for a network. So one worker receives messages and puts them into a queue,
from which the window takes them every 50 milliseconds, and another one says what was typed.
"""

import signal
import sys
import tkinter
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from tkinter.scrolledtext import ScrolledText

import wschat
from wschat.events import Joined, MessageEvent


class ChatWindow(tkinter.Tk):
    """The lines of a queue, and a field for a text to say."""

    def __init__(self, lines, say):
        super().__init__()
        self.lines, self.say = lines, say
        self.log = ScrolledText(self, state="disabled", wrap="word")
        self.log.pack(fill="both", expand=True)
        self.entry = tkinter.Entry(self)
        self.entry.pack(fill="x")
        self.entry.bind("<Return>", self.on_return)
        self.entry.focus()
        self.after(0, self.show_lines)

    def on_return(self, _):
        if text := self.entry.get().strip():
            self.say(text)
            self.entry.delete(0, "end")

    def show_lines(self):
        """Show what is in the queue, and do so again in a while."""
        self.log["state"] = "normal"  # a disabled one ignores the program as well as the user
        while not self.lines.empty():
            self.log.insert("end", self.lines.get() + "\n")
            self.log.see("end")
        self.log["state"] = "disabled"
        self.after(50, self.show_lines)


def receive(client, lines):
    """Put what is said into the queue until the client is closed."""
    try:
        for event in client:
            if isinstance(event, Joined):
                lines.put(f"In this room: {', '.join(event.members)}")
            elif isinstance(event, MessageEvent):
                lines.put(f"{event.sender}: {event.text}")
    except Exception as error:
        lines.put(f"The chat has ended: {error}")


def say(client, room, text, lines):
    """Say a text, which the room then sends to its members, this one too."""
    try:
        client.say(room, text)
    except Exception as error:
        lines.put(f"Not sent: {text} ({error})")


def main(url, room):
    lines = SimpleQueue()

    def report(attempt):
        if attempt.error:
            lines.put(f"No connection: {attempt.error}")

    # At the end, the client is closed first, so that the workers do not wait any more.
    with ThreadPoolExecutor(2) as workers, wschat.ChatClient(url, rooms=[room], on_attempt=report) as client:
        workers.submit(receive, client, lines)
        window = ChatWindow(lines, lambda text: workers.submit(say, client, room, text, lines))
        window.title(room)
        signal.signal(signal.SIGINT, lambda *_: window.after(0, window.destroy))  # Tkinter ignores a KeyboardInterrupt
        window.mainloop()  # until the window is closed


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("Usage: python tk_chat.py URL ROOM")
    main(*sys.argv[1:])
