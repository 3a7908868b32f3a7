"""Transforms that only tests of worker processes use: a worker imports them by name, from this folder."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, ClassVar

from fakes import NoOptions
from ualpipe.pipeline.drift import FIELD, Thing
from ualpipe.pipeline.errors import SchemaMismatch
from ualpipe.pipeline.events import Event
from ualpipe.pipeline.stages import Env


class ByOperation:
    """Does what a record's Operation says."""

    Config: ClassVar[type] = NoOptions

    def __init__(self, config: Any, env: Env) -> None:
        self._env = env

    def open(self) -> None:
        """Has nothing to open."""

    def apply(self, event: Event) -> Event | None:
        record = event.record
        match record["Operation"]:
            case "filter":
                return None
            case "refuse":
                raise SchemaMismatch("refused", "/Operation")
            case "fail":
                raise ZeroDivisionError("unexpected")
            case "note":
                self._env.drift.note(Thing(FIELD, "6", "New"), event.origin.source)
                self._env.metrics.add("odd.seen", operation="note")
                self._env.metrics.set("odd.last", event.index)
                self._env.log.warning("seen %s", "something", extra={"item": event.origin.item})
            case "end once" if not (marker := Path(record["Marker"])).exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(600)
            case "end":
                os.kill(os.getpid(), signal.SIGKILL)
        event.document = {"event": {"action": record["Operation"], "id": event.id}, "pid": os.getpid()}
        return event
