"""Delivers the rows of one write to one stream: in bodies that fit, and in smaller ones where the service says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.errors import SinkDenied, SinkError, SinkRejected
from ualpipe.sinks.sentinel.answers import TAKEN, said
from ualpipe.sinks.sentinel.cutting import bodies, body_of

MOST_REFUSED = 16
"""Bodies that the service may refuse as bad data before it has taken one: more than that, and it is not the rows' fault."""


@dataclass(slots=True)
class RowDelivery:
    """Delivers the rows of one write; a request is taken whole or not at all.

    Attributes:
        post: Sends a body.
        refusal: Returns the error for an answer.
        taken: Bodies that the service took.
        refused: Bodies that it refused as bad data.
    """

    post: Callable[[bytes], HttpAnswer]
    refusal: Callable[[HttpAnswer], SinkError]
    taken: int = 0
    refused: int = 0

    def deliver(self, rows: Sequence[bytes]) -> dict[int, SinkError]:
        """Sends rows; returns what went wrong, by position.

        Once the service is in trouble nothing more is sent: the rest has the same error.
        """
        parts = list(bodies(rows))
        errors: dict[int, SinkError] = {}
        for number, part in enumerate(parts):
            try:
                errors |= self._send(rows, part)
            except SinkError as exc:
                return errors | dict.fromkeys((at for rest in parts[number:] for at in rest), exc)
        return errors

    def _send(self, rows: Sequence[bytes], part: range) -> Mapping[int, SinkError]:
        """Sends some rows in one body.

        Raises:
            SinkError: None of them is known to be delivered.
        """
        body = body_of([rows[at] for at in part])
        answer = self.post(body)
        if answer.status == TAKEN:
            self.taken += 1
            return {}
        if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return self._in_halves(rows, part, f"the service takes no body of {len(body)} bytes (HTTP 413), and this is one row")
        if answer.status == HTTPStatus.BAD_REQUEST:
            self.refused += 1
            if not self.taken and (self.refused >= MOST_REFUSED or not self._takes_anything()):
                raise self.refusal(answer)
            return self._in_halves(rows, part, f"the service refuses the row: HTTP 400{said(answer)}")
        raise self.refusal(answer)

    def _takes_anything(self) -> bool:
        """Returns whether the service takes a body without rows: then a refusal is about the rows."""
        return self.refused > 1 or self.post(body_of(())).status == TAKEN

    def _in_halves(self, rows: Sequence[bytes], part: range, reason: str) -> Mapping[int, SinkError]:
        if len(part) == 1:
            return {part.start: SinkRejected(reason)}
        middle = len(part) // 2
        return self._each(rows, (part[:middle], part[middle:]))

    def _each(self, rows: Sequence[bytes], parts: Iterable[range]) -> dict[int, SinkError]:
        errors: dict[int, SinkError] = {}
        for part in parts:
            try:
                errors |= self._send(rows, part)
            except SinkError as exc:
                if isinstance(exc, SinkDenied) and not self.taken:
                    raise
                errors |= dict.fromkeys(part, exc)
        return errors
