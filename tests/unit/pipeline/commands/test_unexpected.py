"""A bug in a command or a stage: one line without secrets for whoever looks on, and what is left is done."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ualpipe.pipeline.cli import main
from ualpipe.pipeline.redaction import hide
from ualpipe.pipeline.stages import Finding

SECRET = "Kq8Q~planted.Vn0pXw_LmBc2sDy7GhJ5"


class Failing:
    """A sink whose probe fails unexpectedly, after a finding."""

    def check(self) -> Iterator[Finding]:
        yield Finding("ok", "cluster", f"reached with {SECRET}", f"nothing, {SECRET}")
        raise ValueError(f"Invalid header value {(SECRET + chr(10)).encode()!r}")

    def close(self) -> None:
        raise RuntimeError(SECRET)


def command(name: str, monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    """Puts a command in the place of another: the command line knows commands by the names of their modules."""
    module = types.ModuleType(name)
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, f"ualpipe.pipeline.commands.{name}", module)


def test_a_bug_in_a_command_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hide(SECRET)

    def run(_args: object) -> int:
        raise ValueError(SECRET)

    command("plugins", monkeypatch, run)
    assert main(["plugins"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ualpipe failed unexpectedly: ValueError: *** (test_unexpected.py:")


def test_a_bug_in_one_stage_is_a_finding_and_the_others_are_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ualpipe.pipeline.commands import check  # noqa: PLC0415
    from ualpipe.pipeline.commands._findings import Report  # noqa: PLC0415
    from ualpipe.pipeline.config.loader import load_for_use  # noqa: PLC0415
    from ualpipe.pipeline.supervisor.stages import StageMaker  # noqa: PLC0415

    (tmp_path / "in").mkdir()
    sinks = {"one": {"type": "file", "path": "a"}, "two": {"type": "elasticsearch", "urls": ["http://x"], "api_key": SECRET}}
    sources = {"archive": {"type": "files", "paths": ["in"]}}
    path = tmp_path / "pipeline.yaml"
    path.write_text(json.dumps({"version": 1, "pipeline": "p", "state_dir": "s", "sources": sources, "sinks": sinks}))
    config = load_for_use(path)

    class Maker(StageMaker):
        def make(self, spec: Any) -> Any:
            return Failing()

    maker = Maker.for_command(config)
    report = Report()
    check.probe_stages(config, maker, report)
    assert report.has_error
    printed = capsys.readouterr()
    assert printed.out.count("ERROR") == 3
    assert "failed unexpectedly: ValueError: Invalid header value" in printed.out
    assert not any(SECRET[at : at + 9] in printed.out + printed.err for at in range(len(SECRET) - 8))
    assert "Traceback" not in printed.out + printed.err
