"""The conversation with one client: its requests in, replies out, as fast as its budget allows."""

from __future__ import annotations

from wschat.chat.action import LATER, AnyAction, run_action
from wschat.chat.actions.join import Join
from wschat.chat.actions.say import Say
from wschat.chat.addresses import network_of
from wschat.chat.budgets import Budget, Budgets
from wschat.chat.costs import cost_of_text
from wschat.chat.dialects.interactive import InteractiveDialect
from wschat.chat.sessions import Session
from wschat.chat.state import State
from wschat.connection.connection import Connection
from wschat.errors import HistoryUnavailable, Rejected
from wschat.protocol.frames import CloseCode

# The codes of errors that a client is told once for each room, until an action of this kind succeeds there.
_TOLD_ONCE: dict[str, type[AnyAction]] = {"muted": Say, "banned": Join}


class Conversation:
    """The requests of one session. For the thread that receives."""

    def __init__(self, state: State, ws: Connection, session: Session, dialect: InteractiveDialect, budgets: Budgets) -> None:
        self._state = state
        self._ws = ws
        self._session = session
        self._dialect = dialect
        self._budgets = budgets

    def run(self) -> None:
        """Reply to all requests until the connection is closed or the session's identity expires."""
        budget: Budget | None = None  # most connections only listen: it is made for the first request
        for number, message in enumerate(self._ws):
            if number == 0:
                budget = self._budgets.for_connection(network_of(self._session.address))
            text = message if isinstance(message, str) else ""
            if self._session.identity.has_expired:
                return
            if budget is not None:
                refusal = budget.count_request()
                if budget.is_abused:
                    close_with_reason(self._ws, "too many messages")
                    return
                if refusal is not None:
                    self.reject(text, refusal.error, is_news=refusal.is_news)
                    continue
                budget.spend(cost_of_text(text))
            try:
                if isinstance(message, bytes):
                    raise Rejected("bad-request", "Messages must be text, not binary.")
                self._do(message, budget)
            except Rejected as error:
                self.reject(text, error)
            except HistoryUnavailable as error:
                self.reject(text, Rejected("unavailable", f"Sorry, {error}."))

    def reject(self, text: str, error: Rejected, *, is_news: bool = True) -> None:
        """Send the reply to a request that failed, if there is one."""
        reply = self._dialect.rejection_of(text, error, is_news=is_news)
        if reply is not None:
            self._session.connection.send(reply)

    def _do(self, text: str, budget: Budget | None) -> None:
        session = self._session
        action = self._dialect.parse(text, session.room)
        room = getattr(action, "room", "")
        try:
            result = run_action(self._state, session, action)
        except Rejected as error:
            if error.code not in _TOLD_ONCE:
                raise
            self.reject(text, error, is_news=(error.code, room) not in session.told)
            session.told.add((error.code, room))
            return
        if budget is not None:
            budget.spend(action.cost(self._state, session, result))
        if session.told:
            session.told -= {(code, room) for code, kind in _TOLD_ONCE.items() if isinstance(action, kind)}
        if result is not LATER:
            reply = self._dialect.reply_to(action, result)
            if reply is not None:
                session.connection.send(reply)


def close_with_reason(ws: Connection, reason: str) -> None:
    """Close with 1008 and a reason, cut to the 123 bytes that a close frame can hold."""
    ws.close(CloseCode.POLICY_VIOLATION, reason.removesuffix(".").encode()[:123].decode(errors="ignore"))
