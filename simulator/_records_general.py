"""Records of Teams, of data loss prevention, of alerts and threats, and of rarer types, which are templates in data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ualpipe.simulator._maker import Maker, Record
from ualpipe.simulator._organisation import Person

_ROLES = (0, 0, 0, 1, 2)
_SEVERITIES = ("Low", "Medium", "High")


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
    """Returns members being added to or removed from a team."""
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
    """Returns a client that signed in to Teams."""
    person = m.person()
    record = m.base(25, "TeamsSessionStarted", "MicrosoftTeams", person)
    record |= {
        "UserType": 0,
        "ClientIP": m.address(person),
        "ObjectId": "Unknown (Unknown)",
        "ExtraProperties": [{"Key": "ClientName", "Value": "skypeteams"}, {"Key": "Country", "Value": "de"}],
    }
    return record


def dlp_file(m: Maker) -> Record:
    """Returns a policy match on a file."""
    person = m.member()
    record = _dlp_record(m, 11, "OneDrive", person)
    site = f"https://{m.org.label}-my.sharepoint.com/personal/{person.mail.replace('@', '_').replace('.', '_')}"
    name = f"{m.phrase()}.xlsx"
    record["ObjectId"] = m.guid()
    record["SharePointMetaData"] = {
        "DocumentLastModifier": person.name,
        "FileName": name,
        "FileOwner": person.name,
        "FilePathUrl": f"{site}/Documents/{name.replace(' ', '%20')}",
        "From": person.mail.upper(),
        "IsViewableByExternalUsers": False,
        "ItemCreationTime": m.time,
        "LastModifiedTime": m.time,
        "SiteCollectionGuid": person.mailbox,
        "SiteCollectionUrl": site,
        "UniqueID": record["ObjectId"],
    }
    return record


def dlp_mail(m: Maker) -> Record:
    """Returns a policy match on a message."""
    person = m.member()
    record = _dlp_record(m, 13, "Exchange", person)
    recipients = [f"accounts@{m.word('outside_domains')}" for _ in range(m.rng.randrange(1, 4))]
    record["ObjectId"] = f"<{m.token(30)}@AM0PR01MB.eurprd01.prod.outlook.com>"
    record["ExchangeMetaData"] = {
        "BCC": [],
        "CC": [],
        "FileSize": m.rng.randrange(1_000, 900_000),
        "From": person.mail,
        "MessageID": record["ObjectId"],
        "RecipientCount": len(recipients),
        "Sent": m.time,
        "Subject": m.phrase(),
        "To": recipients,
        "UniqueID": m.guid(),
    }
    return record


def dlp_endpoint(m: Maker) -> Record:
    """Returns a policy match on a device."""
    person = m.member()
    record = _dlp_record(m, 63, "Endpoint", person)
    record["Operation"] = m.pick(("FileCopiedToRemovableMedia", "FileUploadedToCloud", "FilePrinted"))
    record["ClientIP"] = person.address
    record["ObjectId"] = f"C:\\Users\\{person.mail.partition('@')[0]}\\Documents\\{m.phrase()}.docx"
    record["EndpointMetaData"] = {
        "DeviceName": f"pc-{m.rng.randrange(1000):03d}.{m.org.domain}",
        "EnforcementMode": m.rng.randrange(1, 5),
        "FileExtension": "docx",
        "FileType": "DOCX",
        "SensitiveInfoTypeData": [],
        "Sha256": f"{m.rng.getrandbits(256):064x}",
    }
    return record


def alert(m: Maker) -> Record:
    """Returns an alert of the compliance centre; its ``Data`` is JSON text with short keys."""
    known, person = m.word("alerts"), m.member()
    record = m.base(40, m.pick(("AlertTriggered", "AlertEntityGenerated")), "SecurityComplianceCenter", person)
    details = {
        "f3u": person.upn,
        "ts": m.time + "Z",
        "te": m.time + "Z",
        "op": known["name"],
        "tht": "Phish",
        "etps": known["entity"],
    }
    record |= {
        "UserId": "SecurityComplianceAlerts",
        "UserKey": "SecurityComplianceAlerts",
        "UserType": 4,
        "ResultStatus": "Succeeded",
        "ObjectId": person.upn,
        "AlertId": m.guid(),
        "AlertEntityId": person.upn,
        "AlertLinks": [],
        "AlertType": "System",
        "Category": known["category"],
        "Comments": "New alert",
        "Data": json.dumps(details),
        "EntityType": known["entity"],
        "Name": known["name"],
        "PolicyId": m.guid(),
        "Severity": known["severity"],
        "Source": "Office 365 Security & Compliance",
        "Status": "Active",
    }
    return record


def threat_mail(m: Maker) -> Record:
    """Returns the verdict on a bad message."""
    person, domain = m.member(), m.word("outside_domains")
    record = m.base(28, "TIMailData", "ThreatIntelligence", person)
    record |= {
        "UserId": "ThreatIntel",
        "UserKey": "ThreatIntel",
        "UserType": 4,
        "ObjectId": m.guid(),
        "AttachmentData": [],
        "AuthDetails": [{"Name": "SPF", "Value": "Fail"}, {"Name": "DKIM", "Value": "None"}, {"Name": "DMARC", "Value": "Fail"}],
        "DeliveryAction": m.pick(("Blocked", "DeliveredAsSpam")),
        "DetectionMethod": "URL malicious reputation",
        "DetectionType": "Inline",
        "Directionality": "Inbound",
        "EventDeepLink": f"https://security.microsoft.com/?hash=/threatexplorer?messageParams={m.guid()}",
        "InternetMessageId": f"<{m.token(24)}@{domain}>",
        "LatestDeliveryLocation": "Quarantine",
        "MessageTime": m.time,
        "NetworkMessageId": m.guid(),
        "OriginalDeliveryLocation": "Quarantine",
        "P1Sender": f"bounce@{domain}",
        "P2Sender": f"it-service@{domain}",
        "Policy": "SpoofPolicy",
        "PolicyAction": "Quarantine",
        "Recipients": [person.mail],
        "SenderIp": f"192.0.2.{m.rng.randrange(1, 255)}",
        "Subject": m.phrase(),
        "Verdict": "Phish",
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


def _dlp_record(m: Maker, record_type: int, workload: str, person: Person) -> Record:
    record = m.base(record_type, m.pick(("DlpRuleMatch", "DlpRuleMatch", "DlpRuleMatch", "DlpRuleUndo")), workload, person)
    record |= {
        "UserKey": "DlpAgent",
        "UserType": 4,
        "IncidentId": m.guid(),
        "PolicyDetails": [_policy_match(m) for _ in range(1 + (m.rng.random() < 0.15))],
        "SensitiveInfoDetectionIsIncluded": False,
    }
    return record


def _policy_match(m: Maker) -> Record:
    known = m.word("dlp_policies")
    found = {
        "ClassifierType": "Content",
        "Confidence": m.pick((65, 75, 85)),
        "Count": m.rng.randrange(1, 50),
        "SensitiveInformationTypeName": known["type"],
        "SensitiveType": m.guid(),
        "UniqueCount": m.rng.randrange(1, 10),
    }
    rule = {
        "Actions": m.pick((["NotifyUser"], ["BlockAccess", "NotifyUser"], ["GenerateIncidentReport"])),
        "ConditionsMatched": {"ConditionMatchedInNewScheme": True, "SensitiveInformation": [found]},
        "RuleId": m.guid(),
        "RuleMode": "Enable",
        "RuleName": known["rule"],
        "Severity": m.pick(_SEVERITIES),
    }
    return {"PolicyId": m.guid(), "PolicyName": known["name"], "Rules": [rule]}
