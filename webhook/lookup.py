"""Guests as the database knows them now, looked up together by those who ask at the same time."""

import threading
from collections.abc import Callable
from typing import Any

from aodh_ha.db import Database, senders
from aodh_ha.db.senders import Found
from aodh_ha.exceptions import AodhHAError, NotFound


class Lookup:
    """One transaction for all the heartbeats that came while the last one was under way.

    Nothing is remembered: a key that was revoked anywhere is refused at once, since every look
    begins after the heartbeats that it is for have come. Who finds nobody looking, looks; who
    finds somebody waits, and is served by the next look or does it.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[_Question] = []
        self._busy = False
        self._quick = senders.Quick(database) if database.is_sqlite else None

    def find(self, server_id: str) -> Found:
        """The guest, and the commands that its next reply carries.

        Raises NotFound, DatabaseAway.
        """
        if self._quick:
            found = self._quick.look(server_id, self._clock())
            if found is None:
                raise NotFound(f'no guest {server_id} is enrolled')
            return found
        return self._together(server_id)

    def _together(self, server_id: str) -> Found:
        question = _Question(server_id)
        with self._lock:
            self._waiting.append(question)
            mine = not self._busy
            self._busy = True
        if not mine:
            question.turn.acquire()
        if question.answer is None:
            self._look()
        answer = question.answer
        if isinstance(answer, AodhHAError):
            raise type(answer)(answer.detail)  # each its own: a traceback grows where it passes
        if isinstance(answer, BaseException):
            raise answer
        together: Found = answer
        return together

    def _look(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
        try:
            ids = sorted({q.server_id for q in batch})
            with self._database.read() as connection:
                found = senders.look(connection, ids, self._clock())
            for q in batch:
                q.answer = found.get(q.server_id) or _missing(q)
        except BaseException as e:
            for q in batch:
                q.answer = e
            if not isinstance(e, Exception):
                raise
        finally:
            with self._lock:
                # The first who came meanwhile looks next, for all who did.
                following = self._waiting[:1]
                self._busy = bool(following)
            for q in (*batch, *following):
                q.turn.release()


def _missing(question: '_Question') -> NotFound:
    return NotFound(f'no guest {question.server_id} is enrolled')


class _Question:
    """Whom somebody asks for, and the answer when it is there."""

    __slots__ = ('answer', 'server_id', 'turn')

    def __init__(self, server_id: str) -> None:
        self.server_id = server_id
        self.answer: Any = None
        self.turn = threading.Lock()
        self.turn.acquire()
