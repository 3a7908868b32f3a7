"""Sixty mailboxes with planted states, and exports of them in each shape. What is expected is written down, not worked out."""

from __future__ import annotations

import csv
import gzip
import io
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.sax.saxutils import escape


def words(text: str) -> list[str]:
    """Returns the words of a text."""
    return text.split()


ADMIN = words(
    "ApplyRecord Copy Create FolderBind HardDelete Move MoveToDeletedItems RecordDelete SendAs SendOnBehalf SoftDelete Update "
    "UpdateCalendarDelegation UpdateFolderPermissions UpdateInboxRules"
)
DELEGATE = words(
    "ApplyRecord Create FolderBind HardDelete Move MoveToDeletedItems RecordDelete SendAs SendOnBehalf SoftDelete Update "
    "UpdateFolderPermissions UpdateInboxRules"
)
OWNER = words(
    "ApplyRecord Create HardDelete MailboxLogin Move MoveToDeletedItems RecordDelete SoftDelete Update UpdateCalendarDelegation "
    "UpdateFolderPermissions UpdateInboxRules"
)
"""The lists of the Blueprint that Exchange takes: its 16, 13 and 12 actions less MessageBind."""

DEFAULT_ADMIN = words(
    "ApplyRecord Create HardDelete MailItemsAccessed MoveToDeletedItems Send SendAs SendOnBehalf SoftDelete Update "
    "UpdateCalendarDelegation UpdateFolderPermissions UpdateInboxRules"
)
DEFAULT_DELEGATE = words(
    "ApplyRecord Create HardDelete MailItemsAccessed MoveToDeletedItems SendAs SendOnBehalf SoftDelete Update "
    "UpdateFolderPermissions UpdateInboxRules"
)
DEFAULT_OWNER = words(
    "ApplyRecord HardDelete MailItemsAccessed MoveToDeletedItems Send SoftDelete Update UpdateCalendarDelegation "
    "UpdateFolderPermissions UpdateInboxRules"
)
GROUP = words("Create HardDelete MoveToDeletedItems SendAs SendOnBehalf SoftDelete Update")
NOT_DEFAULT = (
    ["Copy", "FolderBind", "Move", "RecordDelete"],
    ["FolderBind", "Move", "RecordDelete"],
    ["Create", "MailboxLogin", "Move", "RecordDelete"],
)
"""What asd-2024 asks of administrators, delegates and owners and Microsoft does not audit by default."""

ALL = ("Admin", "Delegate", "Owner")
TYPE_NAME = "Microsoft.Exchange.Data.MultiValuedProperty`1[Microsoft.Exchange.Data.Directory.MailboxAuditOperations]"
NUMBERS = {
    "UserMailbox": 1,
    "SharedMailbox": 4,
    "RoomMailbox": 16,
    "PublicFolderMailbox": 68719476736,
    "GroupMailbox": 1099511627776,
}

Missing = tuple[Sequence[str], Sequence[str], Sequence[str]]
NOTHING: Missing = ((), (), ())


@dataclass(frozen=True)
class Planted:
    """A mailbox and what is to be found of it with asd-2024 and E5.

    Attributes:
        admin: A list; text where an export gave something else in its place.
    """

    state: str
    missing: Missing = NOTHING
    type_name: str = "UserMailbox"
    admin: Sequence[str] | str = tuple(ADMIN)
    delegate: Sequence[str] | str = tuple(DELEGATE)
    owner: Sequence[str] | str = tuple(OWNER)
    followed: Sequence[str] = ()
    is_enabled: bool = True
    age_limit: str = "90.00:00:00"
    is_passed_over: bool = False
    finding: str = ""
    number: int = 0

    @property
    def guid(self) -> str:
        return str(uuid.UUID(int=0x4D << 120 | self.number))

    @property
    def object_id(self) -> str:
        return str(uuid.UUID(int=0x0B << 120 | self.number))

    @property
    def exchange_guid(self) -> str:
        return str(uuid.UUID(int=0xE6 << 120 | self.number))

    @property
    def address(self) -> str:
        return f"mailbox{self.number:02}@contoso.com"


def _default(**more: Any) -> Planted:
    lists = {"admin": tuple(DEFAULT_ADMIN), "delegate": tuple(DEFAULT_DELEGATE), "owner": tuple(DEFAULT_OWNER), "followed": ALL}
    return Planted("missing actions", NOT_DEFAULT, **(lists | more))


_GROUP = Planted(
    "complete",
    type_name="GroupMailbox",
    admin=tuple(GROUP),
    delegate=tuple(GROUP),
    owner=("HardDelete", "MoveToDeletedItems", "SoftDelete", "Update"),
    followed=ALL,
    finding="fixed list",
)
_WITHOUT_FOLDER_BIND = tuple(one for one in ADMIN if one != "FolderBind")
_WITHOUT_UPDATE = tuple(one for one in OWNER if one not in ("Update", "HardDelete"))

_PLANTS = (
    (8, Planted("complete", finding="frozen list")),
    (4, Planted("complete", type_name="SharedMailbox", finding="below default")),
    (6, _GROUP),
    (10, _default(finding="default set")),
    (4, Planted("missing actions", (["FolderBind"], (), ()), admin=_WITHOUT_FOLDER_BIND)),
    (2, Planted("missing actions", ((), (), ["HardDelete", "Update"]), type_name="SharedMailbox", owner=_WITHOUT_UPDATE)),
    (5, Planted("auditing off", is_enabled=False, finding="auditing off")),
    (4, Planted("bypass", is_passed_over=True, finding="bypass")),
    (2, Planted("age limit", age_limit="00:00:00", finding="age limit")),
    (2, Planted("age limit", age_limit="30.00:00:00", finding="age limit")),
    (3, Planted("not supported", type_name="RoomMailbox", admin=(), delegate=(), owner=(), finding="not supported")),
    (1, Planted("not supported", type_name="PublicFolderMailbox", admin=(), delegate=(), owner=(), finding="not supported")),
    (3, Planted("not exported", admin="{ApplyRecord, Copy, Create, FolderBind…}", finding="cut list")),
    (2, Planted("not exported", owner=TYPE_NAME, finding="not exported")),
    (
        2,
        Planted(
            "missing actions", ((), (), NOT_DEFAULT[2]), owner=tuple(DEFAULT_OWNER), followed=("Owner",), finding="default set"
        ),
    ),
    (1, Planted("missing actions", (ADMIN, DELEGATE, OWNER), admin=(), delegate=(), owner=())),
    (1, Planted("complete", admin=(*ADMIN, "MessageBind"), finding="without effect")),
)
PLANTED = [
    replace(plant, number=number) for number, plant in enumerate((plant for count, plant in _PLANTS for _ in range(count)), 1)
]
COLUMNS = (
    *("Guid", "ExternalDirectoryObjectId", "ExchangeGuid", "UserPrincipalName", "PrimarySmtpAddress", "DisplayName"),
    *("RecipientTypeDetails", "AuditEnabled", "AuditLogAgeLimit", "DefaultAuditSet", "AuditAdmin", "AuditDelegate", "AuditOwner"),
)


def values(plant: Planted) -> dict[str, Any]:
    """Returns the properties of a mailbox; the display name is that of another one, too."""
    return {
        "Guid": plant.guid,
        "ExternalDirectoryObjectId": plant.object_id,
        "ExchangeGuid": plant.exchange_guid,
        "UserPrincipalName": plant.address,
        "PrimarySmtpAddress": plant.address,
        "DisplayName": f"Mailbox {plant.number // 2}",
        "RecipientTypeDetails": plant.type_name,
        "AuditEnabled": plant.is_enabled,
        "AuditLogAgeLimit": plant.age_limit,
        "DefaultAuditSet": list(plant.followed),
        "AuditAdmin": _listed(plant.admin),
        "AuditDelegate": _listed(plant.delegate),
        "AuditOwner": _listed(plant.owner),
    }


def _listed(value: Sequence[str] | str) -> Any:
    return value if isinstance(value, str) else list(value)


def passed_over() -> str:
    """Returns the export of accounts as CSV: the names are those of other mailboxes, too."""
    rows = [["Guid", "Name", "AuditBypassEnabled"]]
    rows += [[plant.guid, f"Mailbox {plant.number // 2}", str(plant.is_passed_over)] for plant in PLANTED]
    return _csv(rows, ",")


def _csv(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue()


def as_csv(delimiter: str = ",", joined: str = ",", braces: str = "", words: Mapping[bool, str] | None = None) -> str:
    """Returns the mailboxes as CSV."""

    def cell(value: Any) -> str:
        if isinstance(value, bool):
            return (words or {True: "True", False: "False"})[value]
        if isinstance(value, list):
            return f"{braces[:1]}{joined.join(value)}{braces[1:]}"
        return str(value)

    rows = [[cell(one) for one in values(plant).values()] for plant in PLANTED]
    return _csv([COLUMNS, *rows], delimiter)


def as_json(change: Callable[[dict[str, Any]], dict[str, Any]] = lambda one: one, indent: int | None = 2) -> str:
    """Returns the mailboxes as JSON."""
    return json.dumps([change(values(plant)) for plant in PLANTED], indent=indent)


def as_numbers(one: dict[str, Any]) -> dict[str, Any]:
    """Returns a mailbox as ConvertTo-Json writes enumerations and lengths of time."""
    days, _, clock = one["AuditLogAgeLimit"].partition(".")
    whole = int(days) if clock else 0
    age = {"Days": whole, "Hours": 0, "Ticks": whole * 864_000_000_000, "TotalDays": float(whole)}
    return one | {"RecipientTypeDetails": NUMBERS[one["RecipientTypeDetails"]], "AuditLogAgeLimit": age}


def as_counted(one: dict[str, Any]) -> dict[str, Any]:
    """Returns a mailbox as Windows PowerShell 5.1 writes lists: with their count."""
    return {name: {"value": value, "Count": len(value)} if isinstance(value, list) else value for name, value in one.items()}


def as_clixml() -> str:
    """Returns the mailboxes as CLIXML; lists that came before are referred to."""
    refs: dict[str, int] = {}
    objects = "".join(
        f'<Obj RefId="{number * 100}"><TN RefId="0"><T>Selected.Mailbox</T></TN><ToString>x</ToString><MS>'
        + "".join(_member(name, value, number * 100 + at + 1, refs) for at, (name, value) in enumerate(values(plant).items()))
        + "</MS></Obj>\n"
        for number, plant in enumerate(PLANTED, 1)
    )
    return f'<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">\n{objects}</Objs>'


def _member(name: str, value: Any, ref: int, refs: dict[str, int]) -> str:
    if isinstance(value, bool):
        return f'<B N="{name}">{str(value).lower()}</B>'
    if isinstance(value, list):
        key = "|".join(value)
        if key in refs:
            return f'<Ref N="{name}" RefId="{refs[key]}" />'
        refs[key] = ref
        items = "".join(
            f"<Obj RefId='{ref}{at}'><TN RefId='1'><T>Enum</T></TN><ToString>{one}</ToString><I32>{at}</I32></Obj>"
            if at % 2
            else f"<S>{one}</S>"
            for at, one in enumerate(value)
        )
        return f'<Obj N="{name}" RefId="{ref}"><TN RefId="2"><T>System.Collections.ArrayList</T></TN><LST>{items}</LST></Obj>'
    if name == "AuditLogAgeLimit":
        days, _, clock = str(value).partition(".")
        return f'<TS N="{name}">{f"P{days}D" if clock else "PT0S"}</TS>'
    return f'<{"G" if name.endswith("uid") else "S"} N="{name}">{escape(str(value))}</{"G" if name.endswith("uid") else "S"}>'


def as_text() -> str:
    """Returns the mailboxes as Format-List prints them, long lists over several lines."""
    parts = []
    for plant in PLANTED:
        lines = []
        for name, value in values(plant).items():
            shown = "{" + ", ".join(value) + "}" if isinstance(value, list) else str(value)
            wrapped = shown.replace(", ", ",\r\n" + " " * 28) if len(shown) > 60 else shown
            lines.append(f"{name:<25} : {wrapped}")
        parts.append("\r\n".join(lines))
    return "\r\n\r\n" + "\r\n\r\n".join(parts) + "\r\n\r\n"


SHAPES: Mapping[str, Callable[[], bytes]] = {
    "comma": lambda: as_csv().encode(),
    "semicolon, lists by comma, byte order mark": lambda: as_csv(";").encode("utf-8-sig"),
    "tab, UTF-16": lambda: as_csv("\t").encode("utf-16"),
    "bar": lambda: as_csv("|").encode(),
    "lists by semicolon": lambda: as_csv(joined="; ").encode(),
    "lists by blank": lambda: as_csv(joined=" ").encode(),
    "lists in braces": lambda: as_csv(joined=", ", braces="{}").encode(),
    "type line": lambda: b"#TYPE Selected.Microsoft.Exchange.Data.Directory.Management.Mailbox\r\n" + as_csv().encode(),
    "sep line": lambda: b"sep=;\r\n" + as_csv(";").encode(),
    "German spreadsheet": lambda: as_csv(";", words={True: "WAHR", False: "FALSCH"}).encode("utf-8-sig"),
    "French spreadsheet": lambda: as_csv(";", words={True: "VRAI", False: "FAUX"}).encode("utf-8-sig"),
    "gzip": lambda: gzip.compress(as_csv().encode()),
    "JSON": lambda: as_json().encode(),
    "JSON, one line, UTF-16": lambda: as_json(indent=None).encode("utf-16"),
    "JSON with numbers": lambda: as_json(as_numbers).encode(),
    "JSON of Windows PowerShell": lambda: json.dumps(
        {"value": [as_counted(values(one)) for one in PLANTED], "Count": 60}
    ).encode(),
    "JSON, lists joined": lambda: as_json(
        lambda one: {name: ",".join(value) if isinstance(value, list) else value for name, value in one.items()}
    ).encode("utf-8-sig"),
    "JSON objects behind one another": lambda: "\n".join(json.dumps(values(one), indent=1) for one in PLANTED).encode(),
    "CLIXML": lambda: as_clixml().encode(),
    "CLIXML, UTF-16": lambda: as_clixml().encode("utf-16"),
    "CLIXML of stdout": lambda: b"#< CLIXML\r\n" + as_clixml().encode(),
    "Format-List": lambda: as_text().encode("utf-8"),
    "Format-List, UTF-16": lambda: as_text().encode("utf-16"),
}
