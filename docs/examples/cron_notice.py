"""Says a line in a room of a chat, for cron.

    30 4 * * * backup && python cron_notice.py 'ws://127.0.0.1:8080/?name=backup' ops 'The backup is done.'

If all goes well, it prints nothing, and its exit code is 0: the line is on the disk of the server. Otherwise it says on standard
error what went wrong, which cron sends as a mail, and the exit code is 1; for a wrong command line it is 2.
"""

import argparse
import sys

import wschat


def main() -> int:
    parser = argparse.ArgumentParser(description="Say a line in a room of a chat.")
    parser.add_argument("url", help="the chat, with a name of its own for each job: ws://127.0.0.1:8080/?name=backup")
    parser.add_argument("room")
    parser.add_argument("text")
    parser.add_argument("--timeout", type=float, default=60, help="seconds, in which a server that restarts may come back")
    arguments = parser.parse_args()
    try:
        with wschat.ChatClient(arguments.url, rooms=[arguments.room]) as client:
            client.say(arguments.room, arguments.text, timeout=arguments.timeout)  # returns when the server has acknowledged it
    except (OSError, wschat.WSChatError) as error:
        print(f"cron_notice: not said: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
