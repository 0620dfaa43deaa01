"""The threads in which a test's server runs handlers, and the exceptions that handlers have raised."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from wschat.errors import ConnectionClosed, HttpConnectionClosed, RequestRefused

# With these, handlers end as they should.
_ENDS = (ConnectionClosed, HttpConnectionClosed, RequestRefused)


class HandlerThreads:
    """The threads of the handlers of one server, and their exceptions. Thread-safe."""

    def __init__(self) -> None:
        # Guards all attributes. No other lock is taken while it is held.
        self._changed = threading.Condition()
        self._running: set[int] = set()  # identifiers of threads
        self._errors: list[BaseException] = []
        self._recorded: list[BaseException] = []  # those that were in `_errors` at any time

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the calling thread as one that runs a handler."""
        with self._changed:
            self._running.add(threading.get_ident())
        try:
            with self.recording():
                yield
        except Exception:
            raise  # which the server logs
        except BaseException:  # pytest.fail and pytest.skip, which would end the thread with a message
            pass
        finally:
            with self._changed:
                self._running.discard(threading.get_ident())
                self._changed.notify_all()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record an exception of the block, and raise it. One that was recorded before is not recorded again."""
        try:
            yield
        except _ENDS:
            raise
        except BaseException as error:
            if isinstance(error.__cause__, _ENDS):  # as an application finds it that reads a body
                raise
            with self._changed:
                if not any(error is other for other in self._recorded):
                    self._recorded.append(error)
                    self._errors.append(error)
                    self._changed.notify_all()
            raise

    def pop_error(self, timeout: float | None) -> BaseException | None:
        """Wait for an exception, remove and return it. Return None if there is none within `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._errors, timeout)
            return self._errors.pop(0) if self._errors else None

    def take_errors(self) -> list[BaseException]:
        """Remove and return the exceptions recorded so far."""
        with self._changed:
            errors, self._errors = self._errors, []
            return errors

    def wait(self, timeout: float | None) -> str:
        """Wait until no handler runs. Return the stacks of those that still do after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running, timeout)
            frames = sys._current_frames()
            stacks = ["".join(traceback.format_stack(frames[ident])) for ident in self._running if ident in frames]
        return "\n".join(stacks)
