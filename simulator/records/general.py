"""Records of Teams, and of rarer types, which are templates in data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ualpipe.simulator.records.maker import Maker, Record
from ualpipe.simulator.records.organisation import Person

_ROLES = (0, 0, 0, 1, 2)


def teams_message(m: Maker) -> Record:
    """Returns a message in a channel or chat."""
    person, team = m.person(), m.pick(m.org.teams)
    record = m.base(
        25, m.pick(("MessageSent", "MessageSent", "MessageUpdated", "MessageCreatedHasLink")), "MicrosoftTeams", person
    )
    message = str(int(m.at.timestamp() * 1000) + m.rng.randrange(1000))
    record |= {
        "UserType": 0,
        "ClientIP": m.address(person),
        "ObjectId": team.thread,
        "ItemName": team.thread,
        "CommunicationType": "Channel",
        "AADGroupId": team.group_id,
        "TeamGuid": team.thread,
        "TeamName": team.name,
        "ChannelGuid": team.thread,
        "ChannelName": m.word("channels"),
        "ChannelType": "Standard",
        "MessageId": message,
        "MessageVersion": message,
        "MessageSizeInBytes": m.rng.randrange(10, 4000),
        "ParticipantInfo": {
            "HasForeignTenantUsers": person.is_guest,
            "HasGuestUsers": person.is_guest,
            "HasOtherGuestUsers": False,
            "HasUnauthenticatedUsers": False,
            "ParticipatingTenantIds": [m.org.tenant_id],
        },
        "ExtraProperties": [
            {"Key": "TimeZone", "Value": "Europe/Berlin"},
            {"Key": "OsName", "Value": person.agent["os"].lower()},
        ],
    }
    if record["Operation"] == "MessageCreatedHasLink":
        record["MessageURLs"] = [f"{team.site}{m.word('folders')}"]
    return record


def teams_membership(m: Maker) -> Record:
    """Returns a change of the members of a team."""
    person, team = m.member(), m.pick(m.org.teams)
    record = m.base(25, m.pick(("MemberAdded", "MemberAdded", "MemberRemoved", "MemberRoleChanged")), "MicrosoftTeams", person)
    members = [m.person() for _ in range(m.rng.randrange(1, 5))]
    record |= {
        "UserType": 0,
        "ObjectId": team.name,
        "ItemName": team.name,
        "CommunicationType": "Team",
        "AADGroupId": team.group_id,
        "TeamGuid": team.thread,
        "TeamName": team.name,
        "Members": [{"DisplayName": member.name, "Role": m.pick(_ROLES), "UPN": member.upn} for member in members],
    }
    return record


def teams_session(m: Maker) -> Record:
    """Returns the sign-in of a client to Teams."""
    person = m.person()
    record = m.base(25, "TeamsSessionStarted", "MicrosoftTeams", person)
    record |= {
        "UserType": 0,
        "ClientIP": m.address(person),
        "ObjectId": "Unknown (Unknown)",
        "ExtraProperties": [{"Key": "ClientName", "Value": "skypeteams"}, {"Key": "Country", "Value": "de"}],
    }
    return record


def rare(m: Maker) -> Record:
    """Returns a record of one of the rarer types of the vocabulary."""
    template = m.word("rare")
    person = m.member()
    record = m.base(template["RecordType"], template["Operation"], template["Workload"], person)
    filled: Record = _fill(template, _Placeholders(m, person))
    return record | {"ObjectId": m.guid(), "UserType": 0, **filled}


class _Placeholders(dict[str, str]):
    """Draws a value for a placeholder when a template asks for it."""

    def __init__(self, m: Maker, person: Person) -> None:
        super().__init__(upn=person.upn, address=person.address, time=m.time)
        self._draw: dict[str, Callable[[], str]] = {
            "guid": m.guid,
            "other": lambda: m.member().upn,
            "stem": lambda: str(m.word("stems")),
            "file": lambda: f"{m.phrase()}.{m.word('extensions')}",
            "team": lambda: m.pick(m.org.teams).name,
            "words": m.phrase,
            "token": lambda: f"{m.rng.getrandbits(128):032x}",
            "number": lambda: str(m.rng.randrange(10**9, 10**12)),
        }

    def __missing__(self, name: str) -> str:
        return self._draw[name]()


def _fill(template: Any, values: _Placeholders) -> Any:
    """Returns a template with its placeholders filled in; ``{number}`` alone becomes a number."""
    if isinstance(template, dict):
        return {name: _fill(value, values) for name, value in template.items()}
    if isinstance(template, list):
        return [_fill(value, values) for value in template]
    if not isinstance(template, str):
        return template
    filled = template.format_map(values)
    return int(filled) if template == "{number}" else filled
