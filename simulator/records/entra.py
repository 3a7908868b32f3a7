"""Records of the directory: logons and changes."""

from __future__ import annotations

import json

from ualpipe.simulator.records.maker import Maker, Record
from ualpipe.simulator.records.organisation import Person


def logon(m: Maker, person: Person | None = None, address: str | None = None) -> Record:
    """Returns a successful logon at the token service."""
    person = person or m.person()
    record = _sts_record(m, "UserLoggedIn", person, address)
    record["ResultStatus"] = "Success"
    record["ErrorNumber"] = "0"
    record["ExtendedProperties"].insert(0, {"Name": "ResultStatusDetail", "Value": m.pick(("Success", "Redirect"))})
    return record


def failed_logon(m: Maker, person: Person | None = None, address: str | None = None, error: str | None = None) -> Record:
    """Returns a logon that was refused; like real ones, most say ``Success``, as the request itself went well."""
    person = person or m.member()
    record = _sts_record(m, "UserLoginFailed", person, address)
    known = m.weighted("logon_errors")
    if error:
        known = next(entry for entry in m.words["logon_errors"] if entry["number"] == error)
    record["ResultStatus"] = m.pick(("Success", "Success", "Failed"))
    record["LogonError"] = known["name"]
    record["ErrorNumber"] = known["number"]
    record["ExtendedProperties"].insert(0, {"Name": "ResultStatusDetail", "Value": "UserError"})
    return record


def directory_change(m: Maker) -> Record:
    """Returns a change of a user, group, role or application."""
    operation = m.weighted("directory_operations")
    known = m.words["directory_operations"][operation]
    actor, target = m.pick(m.org.admins), m.member()
    record = m.base(8, operation, "AzureActiveDirectory", actor)
    record |= {
        "ResultStatus": "Success",
        "ObjectId": target.upn if known["category"] in ("User", "Group", "Role") else m.guid(),
        "AzureActiveDirectoryEventType": 1,
        "ExtendedProperties": [
            {"Name": "additionalDetails", "Value": json.dumps({"User-Agent": actor.agent["text"]})},
            {"Name": "extendedAuditEventCategory", "Value": known["category"]},
        ],
        "ModifiedProperties": _modified(m, known["properties"]),
        "Actor": _identities(actor),
        "ActorContextId": m.org.tenant_id,
        "InterSystemsId": m.guid(),
        "IntraSystemId": m.guid(),
        "SupportTicketId": "",
        "Target": _identities(target),
        "TargetContextId": m.org.tenant_id,
    }
    return record


def _sts_record(m: Maker, operation: str, person: Person, address: str | None) -> Record:
    app, client = m.word("apps"), m.word("apps")
    ip = address or m.address(person)
    record = m.base(15, operation, "AzureActiveDirectory", person)
    record["UserKey"] = person.object_id
    record["UserType"] = 0  # logons never say more, whoever logs on
    record |= {
        "ClientIP": ip,
        "ObjectId": app["id"],
        "AzureActiveDirectoryEventType": 1,
        "ExtendedProperties": [
            {"Name": "UserAgent", "Value": person.agent["text"]},
            {"Name": "UserAuthenticationMethod", "Value": m.pick(("1", "9", "16457"))},
            {"Name": "RequestType", "Value": m.pick(("OAuth2:Authorize", "OAuth2:Token", "Login:login", "SAS:ProcessAuth"))},
        ],
        "ModifiedProperties": [],
        "Actor": [{"ID": person.object_id, "Type": 0}, {"ID": person.upn, "Type": 5}],
        "ActorContextId": m.org.tenant_id,
        "ActorIpAddress": ip,
        "InterSystemsId": m.guid(),
        "IntraSystemId": m.guid(),
        "SupportTicketId": "",
        "Target": [{"ID": app["id"], "Type": 0}],
        "TargetContextId": m.org.tenant_id,
        "ApplicationId": client["id"],
        "DeviceProperties": _device(m, person),
    }
    return record


def _device(m: Maker, person: Person) -> list[dict[str, str]]:
    return [
        {"Name": "OS", "Value": person.agent["os"]},
        {"Name": "BrowserType", "Value": person.agent["browser"]},
        {"Name": "IsCompliantAndManaged", "Value": m.pick(("True", "False"))},
        {"Name": "SessionId", "Value": m.guid()},
    ]


def _identities(person: Person) -> list[dict[str, str | int]]:
    return [
        {"ID": person.upn, "Type": 5},
        {"ID": person.puid, "Type": 3},
        {"ID": f"User_{person.object_id}", "Type": 2},
        {"ID": person.object_id, "Type": 2},
        {"ID": "User", "Type": 2},
    ]


def _modified(m: Maker, names: list[str]) -> list[dict[str, str]]:
    """Returns changed properties; values are JSON text with line breaks."""
    changed = [
        {"Name": name, "NewValue": json.dumps([m.phrase()], indent=2), "OldValue": json.dumps([m.phrase()], indent=2)}
        for name in names
    ]
    included = {"Name": "Included Updated Properties", "NewValue": ", ".join(names), "OldValue": ""}
    return [*changed, included]
