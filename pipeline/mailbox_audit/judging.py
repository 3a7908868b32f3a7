"""Judges mailboxes by a profile: what is audited, what is missing, and why nothing may be recorded all the same. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, get_args

from ualpipe.pipeline.mailbox_audit.actions import LOGONS, Licence, Logon, MailboxKind, catalogue, default_lists
from ualpipe.pipeline.mailbox_audit.mailboxes import Mailbox, Tenant
from ualpipe.pipeline.mailbox_audit.profiles import Profile
from ualpipe.pipeline.wording import counted

State = Literal[
    "organisation switch",
    "auditing off",
    "bypass",
    "missing actions",
    "not supported",
    "age limit",
    "not exported",
    "complete",
]
STATES: tuple[State, ...] = get_args(State)
"""The worst first; a mailbox has the first that is true of it."""

ListState = Literal["default set", "frozen list", "fixed list", "not exported"]
"""Whether a list follows Microsoft's, was changed by somebody and stays as it is, or is a group's, which can't be changed."""

_SUPPORTED: tuple[MailboxKind, ...] = ("user", "shared", "group", "unknown")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a mailbox.

    Attributes:
        name: What it is, of a fixed set: ``bypass``, ``frozen list`` …
        text: What it means here.
    """

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


@dataclass(slots=True)
class Verdict:
    """What is found of a mailbox.

    Attributes:
        missing: Actions of the profile that are not audited, sorted.
        lists: What became of each list.
        audited: What is recorded by the settings, switches apart; None where a list is not exported.
        unknown: Actions of the profile of which no export tells whether they are audited.
    """

    mailbox: Mailbox
    state: State
    missing: Mapping[Logon, Sequence[str]]
    lists: Mapping[Logon, ListState]
    audited: Mapping[Logon, frozenset[str] | None]
    unknown: Mapping[Logon, Sequence[str]]
    findings: list[Finding] = field(default_factory=list)


def judge(tenant: Tenant, profile: Profile, licence: Licence) -> list[Verdict]:
    """Returns a verdict for each mailbox, in the order of the exports."""
    return [_Judgement(mailbox, tenant, profile, licence).verdict() for mailbox in tenant.mailboxes]


class _Judgement:
    """Judges one mailbox."""

    def __init__(self, mailbox: Mailbox, tenant: Tenant, profile: Profile, licence: Licence) -> None:
        self._mailbox = mailbox
        self._tenant = tenant
        self._profile = profile
        self._licence = licence
        self._is_asked = ("user" if mailbox.kind == "unknown" else mailbox.kind) in profile.lists
        self._is_supported = mailbox.kind in _SUPPORTED
        self._lists: dict[Logon, ListState] = {logon: self._list_state(logon) for logon in LOGONS}

    def verdict(self) -> Verdict:
        audited = {logon: self._audited(logon) for logon in LOGONS}
        missing = {logon: self._missing(logon) for logon in LOGONS}
        unknown = {logon: self._unknown(logon) for logon in LOGONS}
        findings = list(self._findings(unknown))
        return Verdict(self._mailbox, self._state(missing, unknown), missing, self._lists, audited, unknown, findings)

    # --- lists -------------------------------------------------------------------------------------------------------

    def _list_state(self, logon: Logon) -> ListState:
        mailbox = self._mailbox
        if mailbox.kind == "group":
            return "fixed list"
        if not self._is_supported:  # nothing of Microsoft's to follow there
            return "not exported" if mailbox.lists[logon] is None else "frozen list"
        if mailbox.followed is not None and logon in mailbox.followed.names:
            return "default set"
        if mailbox.followed is not None and not mailbox.followed.is_cut and mailbox.lists[logon] is not None:
            return "frozen list"
        return "not exported"

    def _surely_audited(self, logon: Logon) -> frozenset[str]:
        """Returns what is audited for sure: what the list names, and Microsoft's defaults where it follows them."""
        listed = self._mailbox.lists[logon]
        names = listed.names if listed is not None else frozenset()
        if self._lists[logon] in ("default set", "fixed list"):
            return _with_defaults(names, default_lists(self._mailbox.kind)[logon], self._uncertain_defaults())
        return names

    def _uncertain_defaults(self) -> frozenset[str]:
        """Returns defaults that came to E3 years after E5: there only the list itself tells whether they have arrived."""
        return catalogue().licensed if self._licence == "e3" else frozenset()

    def _is_list_whole(self, logon: Logon) -> bool:
        listed = self._mailbox.lists[logon]
        if self._mailbox.kind == "group":
            return True
        return listed is not None and not listed.is_cut

    def _wanted(self, logon: Logon) -> frozenset[str]:
        wanted = self._profile.wanted(self._mailbox.kind, logon)
        return wanted & catalogue().group[logon] if self._mailbox.kind == "group" else wanted

    def _not_told(self, logon: Logon) -> frozenset[str]:
        """Returns the wanted actions of which nobody tells whether they are audited."""
        lacking = self._wanted(logon) - self._surely_audited(logon)
        if self._is_list_whole(logon):
            return frozenset()
        if self._lists[logon] == "default set":  # no default, and no part of the list that is told: for sure not audited
            defaults = default_lists(self._mailbox.kind)[logon]
            listed = self._mailbox.lists[logon]
            return lacking if listed is not None and listed.is_cut else lacking & (defaults | catalogue().licensed)
        return lacking

    def _missing(self, logon: Logon) -> Sequence[str]:
        return _lacking(self._wanted(logon), self._surely_audited(logon), self._not_told(logon))

    def _unknown(self, logon: Logon) -> Sequence[str]:
        return _lacking(self._not_told(logon), frozenset(), frozenset())

    def _audited(self, logon: Logon) -> frozenset[str] | None:
        known = self._is_list_whole(logon) or self._lists[logon] == "default set"
        return self._surely_audited(logon) if known else None

    # --- state -------------------------------------------------------------------------------------------------------

    def _state(self, missing: Mapping[Logon, Sequence[str]], unknown: Mapping[Logon, Sequence[str]]) -> State:
        mailbox = self._mailbox
        is_judged = self._is_supported or self._is_asked
        true_of: dict[State, bool] = {
            "organisation switch": self._tenant.is_audit_disabled is True or self._tenant.is_unified_log_on is False,
            "auditing off": mailbox.is_enabled is False,
            "bypass": mailbox.is_passed_over is True,
            "missing actions": is_judged and any(missing.values()),
            "not supported": not is_judged,
            "age limit": self._is_age_limit_short(),
            "not exported": is_judged and (any(unknown.values()) or self._is_nothing_told()),
            "complete": True,
        }
        return next(state for state in STATES if true_of[state])

    def _is_nothing_told(self) -> bool:
        """Returns whether no export has anything of how this mailbox is audited."""
        mailbox = self._mailbox
        return (
            mailbox.kind != "group"
            and mailbox.followed is None
            and mailbox.is_enabled is None
            and not any(mailbox.lists.values())
        )

    def _is_age_limit_short(self) -> bool:
        found, wanted = self._mailbox.age_limit_days, self._profile.age_limit_days
        return found is not None and (found == 0 or (wanted is not None and found < wanted))

    # --- findings ----------------------------------------------------------------------------------------------------

    def _findings(self, unknown: Mapping[Logon, Sequence[str]]) -> Iterator[Finding]:
        yield from self._switches()
        yield from self._kind()
        yield from self._list_findings(unknown)
        if self._is_age_limit_short():
            yield self._age_limit()
        if self._mailbox.differing:
            yield Finding("differing rows", f"{', '.join(self._mailbox.differing)}: the narrower setting counts")

    def _switches(self) -> Iterator[Finding]:
        mailbox, tenant = self._mailbox, self._tenant
        if tenant.is_audit_disabled:
            yield Finding("organisation switch", "AuditDisabled of the organisation is True: nothing is recorded in any mailbox")
        if tenant.is_unified_log_on is False:
            yield Finding(
                "unified log", "UnifiedAuditLogIngestionEnabled is False: records reach neither the unified log nor this feed"
            )
        if mailbox.is_enabled is False:
            yield Finding("auditing off", _OFF_E3 if self._licence == "e3" else _OFF_E5)
        elif mailbox.is_enabled is None:
            yield Finding("not exported", "AuditEnabled")
        if mailbox.is_passed_over:
            yield Finding("bypass", "AuditBypassEnabled: whatever this account does, in any mailbox, is not recorded")
        elif mailbox.is_passed_over is None and tenant.has_accounts:
            yield Finding("not exported", "AuditBypassEnabled: no export of accounts has this one (-ResultSize Unlimited?)")

    def _kind(self) -> Iterator[Finding]:
        kind = self._mailbox.kind
        if not self._is_supported:
            named = self._mailbox.type_name or kind
            yield Finding(
                "not supported", f"auditing on by default leaves out mailboxes of this type ({named}): they need AuditEnabled"
            )
        elif not self._is_asked:
            yield Finding("not in the profile", f"{self._profile.name} says nothing of {kind} mailboxes")
        if kind == "unknown":
            yield Finding("not exported", "RecipientTypeDetails: judged as the mailbox of a user")
        if not self._mailbox.guid:
            yield Finding(
                "not exported", "Guid and ExternalDirectoryObjectId: no export can be joined by them, and no script can mend it"
            )

    def _list_findings(self, unknown: Mapping[Logon, Sequence[str]]) -> Iterator[Finding]:
        for state in ("default set", "frozen list", "fixed list"):
            logons = [logon for logon in LOGONS if self._lists[logon] == state]
            if logons and self._is_supported:
                yield Finding(state, ", ".join(logons))
        if self._mailbox.followed is None and self._mailbox.kind != "group":
            yield Finding("not exported", "DefaultAuditSet: whether the lists follow Microsoft's")
        for logon in LOGONS:
            listed = self._mailbox.lists[logon]
            if listed is not None and listed.is_cut:
                yield Finding("cut list", f"{logon}: the export is cut, what is behind it is not known")
            if unknown[logon]:
                yield Finding("not exported", f"{logon}: whether {_these(unknown[logon])} audited")
            yield from self._without_effect(logon)
        yield from self._below_default()

    def _below_default(self) -> Iterator[Finding]:
        """Yields what lists that somebody changed have lost, or never got, of what Microsoft audits by default."""
        lost = {
            logon: self._lost(logon) for logon in LOGONS if self._lists[logon] == "frozen list" and self._is_list_whole(logon)
        }
        said = "; ".join(f"{logon}: {', '.join(names)}" for logon, names in lost.items() if names)
        if said and self._is_supported:
            yield Finding("below default", f"not audited, though Microsoft does by default: {said}")

    def _lost(self, logon: Logon) -> Sequence[str]:
        wanted = default_lists(self._mailbox.kind)[logon] - self._profile.wanted(self._mailbox.kind, logon)
        return sorted(wanted - self._surely_audited(logon))

    def _without_effect(self, logon: Logon) -> Iterator[Finding]:
        listed = self._mailbox.lists[logon]
        reasons = {**catalogue().refused, **catalogue().superseded}
        if listed is not None and (found := sorted(listed.names & reasons.keys())):
            yield Finding("without effect", f"{logon}: {', '.join(found)}: set, and nothing is logged for it")

    def _age_limit(self) -> Finding:
        found = self._mailbox.age_limit_days or 0.0
        if found == 0:
            return Finding("age limit", "AuditLogAgeLimit is 0, which empties the mailbox's own audit log (not the unified log)")
        said = f"the mailbox's own audit log keeps {counted(round(found), 'day')} (the unified log has times of its own)"
        return Finding("age limit", f"{said}; the profile asks for {self._profile.age_limit_days}")


_OFF_E3 = (
    "AuditEnabled is False: while auditing is on by default the mailbox is audited all the same, but without a licence of the"
    " class of E5 its records do not reach the unified log or this feed"
)
_OFF_E5 = "AuditEnabled is False, which auditing on by default passes over; it counts again when the licence changes"


@lru_cache(maxsize=4096)
def _with_defaults(listed: frozenset[str], defaults: frozenset[str], uncertain: frozenset[str]) -> frozenset[str]:
    return listed | (defaults - uncertain)


@lru_cache(maxsize=4096)
def _lacking(wanted: frozenset[str], audited: frozenset[str], not_told: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(wanted - audited - not_told))


def _these(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more are"
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
