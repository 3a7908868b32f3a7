"""Findings as ``ualpipe check`` prints them: each cause once, however many stages and streams it holds up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ualpipe.pipeline.redaction import blanked
from ualpipe.pipeline.stages import Finding
from ualpipe.pipeline.wording import visible

MOST_NAMED = 30
"""Places of one cause that are named; of more their number is told."""

_MARKS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}
_CHANGING = ("Trace ID:", "Correlation ID:", "Timestamp:")  # what login services put behind a cause, anew each time
_Cause = tuple[str, str, str, str]


@dataclass(slots=True)
class Report:
    """Prints findings as they come, those of a cause that was printed before all together at the end.

    Attributes:
        has_error: Whether one of them was an error.
    """

    has_error: bool = False
    _first: dict[_Cause, str] = field(default_factory=dict)
    _again: dict[_Cause, list[str]] = field(default_factory=dict)
    _broken_files: list[str] = field(default_factory=list)

    def show(self, place: str, findings: Iterable[Finding], tenant: str = "") -> None:
        """Prints findings about one place in the config.

        Args:
            place: Option or stage (``state_dir``, ``sinks.siem.tls.ca_file``, ``contoso``).
            findings: What was found.
            tenant: Id of the stage's tenant: causes that differ in that alone are the same.
        """
        for finding in findings:
            self.has_error |= finding.level == "error"
            if not self._is_known(place, finding, tenant):
                self._print(f" {place}: {finding.subject}: {finding.message}", finding)

    def note_broken_file(self, path: str) -> None:
        """Notes a file that was said to be unusable: a stage that fails for the same file is not said as well."""
        self._broken_files.append(path)

    def end(self) -> None:
        """Prints where else the causes were found that were printed once."""
        for cause, places in self._again.items():
            level, subject, _message, _action = cause
            named = ", ".join(places[:MOST_NAMED])
            more = f" and {len(places) - MOST_NAMED:,} more" if len(places) > MOST_NAMED else ""
            print(_MARKS[level], visible(blanked(f" {self._first[cause]}: {subject}: the same for {named}{more}")))

    def _is_known(self, place: str, finding: Finding, tenant: str) -> bool:
        if finding.level == "ok":
            return False
        if finding.level == "error" and any(path in finding.message for path in self._broken_files):
            return True
        message = finding.message.replace(tenant, "TENANT") if tenant else finding.message
        for mark in _CHANGING:
            message = message.partition(mark)[0]
        cause = (finding.level, finding.subject, message, finding.action)
        if self._first.setdefault(cause, place) == place:
            return False
        self._again.setdefault(cause, []).append(place)
        return True

    def _print(self, text: str, finding: Finding) -> None:
        print(_MARKS[finding.level], visible(blanked(text)))
        if finding.action:
            print(f"           -> {visible(blanked(finding.action))}")
