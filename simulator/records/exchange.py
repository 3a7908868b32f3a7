"""Records of Exchange: mail that is read, sent, moved and deleted, and cmdlets."""

from __future__ import annotations

from collections.abc import Mapping

from ualpipe.simulator.records.maker import Maker, Record
from ualpipe.simulator.records.organisation import Person

OWNER, DELEGATED = 0, 2  # LogonType

_HOSTED_IN = "EURPR01A001.PROD.OUTLOOK.COM/Microsoft Exchange Hosted Organizations"
_ITEMS_READ = ([1, 2, 5, 20], [55, 80, 95, 100])
_FOLDERS_READ = ([1, 2, 4], [80, 95, 100])
_CLIENTS = (
    "Client=OWA;Action=ViaProxy",
    "Client=REST;Client=RESTSystem;;",
    "Client=MSExchangeRPC",
    "Client=ActiveSync;OutlookService;",
)


def mail_access(
    m: Maker, actor: Person | None = None, owner: Person | None = None, access: str | None = None, address: str | None = None
) -> Record:
    """Returns a MailItemsAccessed record: single messages (``Bind``), or folders as a whole (``Sync``)."""
    actor = actor or m.member()
    record = _mailbox_record(m, 50, "MailItemsAccessed", actor, owner or actor, address)
    access = access or m.pick(("Bind", "Bind", "Bind", "Sync"))
    count = m.rng.choices(_FOLDERS_READ[0], cum_weights=_FOLDERS_READ[1])[0]
    folders = [_folder_read(m, access) for _ in range(count)]
    record["AppId"] = record["ClientAppId"] = m.word("apps")["id"]
    record["OperationProperties"] = [{"Name": "MailAccessType", "Value": access}, {"Name": "IsThrottled", "Value": "False"}]
    record["Folders"] = folders
    record["OperationCount"] = sum(len(folder.get("FolderItems", ())) for folder in folders) or 1
    return record


def mail_item(m: Maker) -> Record:
    """Returns an action on one item."""
    operation = m.weighted("mail_item_operations")
    owner = m.member()
    is_for_another = operation in ("SendAs", "SendOnBehalf")
    actor = m.member() if is_for_another else owner
    record = _mailbox_record(m, 2, operation, actor, owner)
    record["ClientProcessName"] = "OUTLOOK.EXE"
    record["Item"] = _item(m, "\\Sent Items" if operation.startswith("Send") else m.word("mail_folders"))
    if operation == "Update":
        record["ModifiedProperties"] = ["RecipientsInternal", "Subject"]
    if is_for_another:
        record[f"{operation if operation == 'SendAs' else 'SendOnBehalfOf'}UserSmtp"] = owner.mail
        record[f"{operation if operation == 'SendAs' else 'SendOnBehalfOf'}UserMailboxGuid"] = owner.mailbox
    return record


def mail_items(m: Maker) -> Record:
    """Returns an action that moves or deletes several items."""
    operation = m.weighted("mail_group_operations")
    owner = m.member()
    record = _mailbox_record(m, 3, operation, owner, owner)
    folder = m.word("mail_folders")
    record["AffectedItems"] = [_item(m, folder) for _ in range(m.rng.randrange(1, 4))]
    record["CrossMailboxOperation"] = False
    record["Folder"] = {"Id": "LgAAAAC" + m.token(50), "Path": folder}
    if operation in ("MoveToDeletedItems", "Move"):
        record["DestFolder"] = {"Id": "LgAAAAC" + m.token(50), "Path": "\\Deleted Items" if operation != "Move" else "\\Archive"}
    return record


def inbox_rule_update(m: Maker, owner: Person, name: str, address: str) -> Record:
    """Returns the mailbox's own record of a changed inbox rule."""
    record = _mailbox_record(m, 2, "UpdateInboxRules", owner, owner, address)
    record["OperationProperties"] = [
        {"Name": "RuleOperation", "Value": "AddMailboxRule"},
        {"Name": "RuleName", "Value": name},
        {"Name": "RuleState", "Value": "Enabled"},
        {"Name": "RuleActions", "Value": '[{"ActionType":"Forward","ForwardFlags":"None"}]'},
    ]
    return record


def exchange_admin(m: Maker) -> Record:
    """Returns a cmdlet that somebody ran."""
    known = m.weighted("cmdlets")
    owner = m.member()
    filling = {
        "upn": owner.upn,
        "other": m.member().upn,
        "stem": m.word("stems"),
        "team": m.pick(m.org.teams).name,
        "guid": m.guid(),
    }
    parameters = {name: text.format_map(filling) for name, text in known["parameters"].items()}
    actor = owner if known["name"] == "New-InboxRule" else m.pick(m.org.admins)
    return cmdlet(m, known["name"], actor, owner, parameters)


def cmdlet(
    m: Maker, name: str, actor: Person, subject: Person, parameters: Mapping[str, str], address: str | None = None
) -> Record:
    """Returns a cmdlet with its parameters, run on somebody's mailbox."""
    record = m.base(1, name, "Exchange", actor)
    record |= {
        "ResultStatus": "True",
        "ClientIP": address or m.address(actor),
        "ObjectId": f"{_HOSTED_IN}/{m.org.label}.onmicrosoft.com/{subject.name}",
        "ExternalAccess": False,
        "OrganizationName": f"{m.org.label}.onmicrosoft.com",
        "OriginatingServer": f"{_server(m)} (15.20.9298.010)",
        "Parameters": [{"Name": key, "Value": value} for key, value in parameters.items()],
        "SessionId": m.guid(),
        "AppId": "fb78d390-0c51-40cd-8e17-fdbfab77341b",
    }
    return record


def _mailbox_record(
    m: Maker, record_type: int, operation: str, actor: Person, owner: Person, address: str | None = None
) -> Record:
    record = m.base(record_type, operation, "Exchange", actor)
    record["UserType"] = 0
    record |= {
        "ResultStatus": "Succeeded",
        "ClientIPAddress": address or m.address(actor),
        "ClientInfoString": m.pick(_CLIENTS),
        "ExternalAccess": False,
        "InternalLogonType": 0,
        "LogonType": OWNER if actor is owner else DELEGATED,
        "LogonUserSid": actor.sid,
        "MailboxGuid": owner.mailbox,
        "MailboxOwnerSid": owner.sid,
        "MailboxOwnerUPN": owner.upn,
        "OrganizationName": f"{m.org.label}.onmicrosoft.com",
        "OriginatingServer": f"{_server(m)} (15.20.9298.010)\r\n",  # the line break is in the real ones
        "SessionId": m.guid(),
    }
    if actor is not owner:
        record["LogonUserDisplayName"] = actor.name
    return record


def _server(m: Maker) -> str:
    return f"AM{m.rng.randrange(10)}PR{m.rng.randrange(1, 30):02d}MB{m.rng.randrange(10_000):04d}"


def _folder_read(m: Maker, access: str) -> Record:
    folder = {"Id": "LgAAAAD" + m.token(50), "Path": m.word("mail_folders")}
    if access == "Sync":
        return folder
    count = m.rng.choices(_ITEMS_READ[0], cum_weights=_ITEMS_READ[1])[0]
    return {**folder, "FolderItems": [_item_read(m) for _ in range(count)]}


def _item_read(m: Maker) -> Record:
    return {
        "Id": "RgAAAAC" + m.token(50),
        "ImmutableId": "LgAAAAB" + m.token(40),
        "InternetMessageId": _message_id(m),
        "SizeInBytes": m.rng.randrange(2_000, 4_000_000),
    }


def _item(m: Maker, folder: str) -> Record:
    item = {
        "Id": "RgAAAAD" + m.token(60),
        "InternetMessageId": _message_id(m),
        "ParentFolder": {"Id": "LgAAAAC" + m.token(50), "Path": folder},
        "SizeInBytes": m.rng.randrange(2_000, 4_000_000),
        "Subject": m.phrase(),
    }
    if m.rng.random() < 0.2:
        item["Attachments"] = f"{m.word('stems')}.{m.word('extensions')} ({m.rng.randrange(500, 900_000)}b)"
    return item


def _message_id(m: Maker) -> str:
    return f"<{m.token(30)}@AM0PR01MB.eurprd01.prod.outlook.com>"
