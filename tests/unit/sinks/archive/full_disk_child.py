"""Runs on a small disk: writes, fills it, writes in vain, makes room, and goes on; prints what happened."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from archives.sinks import counting_files, events, ids_in, sink
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.stages import Batch


def main(folder: Path) -> None:
    one = sink(folder)
    one.open()
    one.write(Batch(events("first")))
    (stood,) = counting_files(folder / "archive")
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    said = {"error": "", "left": [], "then": 0}
    batch = Batch(events(*(f"{at}" for at in range(300))))
    try:
        one.write(batch)
    except SinkError as exc:
        said["error"] = f"{type(exc).__name__}: {exc}"
    said["left"] = sorted(path.name for path in stood.parent.iterdir())
    ballast.unlink()
    one.open()
    one.write(batch)
    one.close()
    said["then"] = len(ids_in(folder / "archive"))
    sys.stdout.write(orjson.dumps(said).decode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
