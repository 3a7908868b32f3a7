"""Records of SharePoint and OneDrive: files, pages, lists, sharing."""

from __future__ import annotations

from ualpipe.simulator.records.maker import Maker, Record
from ualpipe.simulator.records.organisation import Person

ANONYMOUS = "urn:spo:anon"

_SHARING_TARGETS = ("Member", "Guest", "SecurityGroup")


def file_operation(m: Maker) -> Record:
    """Returns an operation on a file or folder, in a team's site or somebody's OneDrive."""
    operation = m.weighted("file_operations")
    person = m.person()
    record = _file_record(m, 6, operation, person)
    if operation.startswith("Folder"):
        record["ItemType"] = "Folder"
    if operation in ("FileRenamed", "FileMoved", "FileCopied"):
        record["DestinationFileName"] = f"{m.phrase()}.{record['SourceFileExtension']}"
        record["DestinationFileExtension"] = record["SourceFileExtension"]
        record["DestinationRelativeUrl"] = m.word("folders")
    if m.rng.random() < 0.4:
        record["FileSizeBytes"] = m.rng.randrange(100, 50_000_000)
    if m.rng.random() < 0.5:
        record["AppAccessContext"] = {
            "AADSessionId": m.guid(),
            "ClientAppId": m.word("apps")["id"],
            "CorrelationId": record["CorrelationId"],
            "UniqueTokenId": m.token(22),
        }
    return record


def sharing(m: Maker) -> Record:
    """Returns the sharing of a file, or the use of a link."""
    operation = m.weighted("sharing_operations")
    record = _file_record(m, 14, operation, m.member())
    kind = m.pick(_SHARING_TARGETS)
    record["TargetUserOrGroupType"] = kind
    record["TargetUserOrGroupName"] = _shared_with(m, kind)
    record["UniqueSharingId"] = m.guid()
    record["EventData"] = "<Type>View</Type><MembersCanShareApplied>False</MembersCanShareApplied>"
    return record


def shared_file(m: Maker, record_type: int, operation: str, person: Person, file: Record, address: str) -> Record:
    """Returns another record about the file of a record."""
    record = _file_record(m, record_type, operation, person)
    same = ("ObjectId", "SiteUrl", "Site", "WebId", "ListId", "ListItemUniqueId")
    names = ("SourceFileName", "SourceFileExtension", "SourceRelativeUrl", "Workload", "ItemType")
    record |= {name: file[name] for name in (*same, *names)}
    record["ClientIP"] = address
    return record


def page_view(m: Maker) -> Record:
    """Returns the view of a page of a site."""
    person, team = m.person(), m.pick(m.org.teams)
    record = _site_record(m, 4, "PageViewed", person, team.site, team.site_id)
    record["ObjectId"] = f"{team.site}SitePages/Home.aspx"
    record["ItemType"] = "Page"
    record["CustomUniqueId"] = True
    return record


def list_operation(m: Maker) -> Record:
    """Returns a change of a list."""
    person, team = m.member(), m.pick(m.org.teams)
    record = _site_record(m, 36, m.pick(("ListViewed", "ListUpdated", "ListCreated")), person, team.site, team.site_id)
    title = m.phrase()
    record |= {
        "ObjectId": f"{team.site}Lists/{title}",
        "ItemType": "List",
        "ListTitle": title,
        "ListUrl": f"{team.site}Lists/{title}",
        "ListBaseType": "GenericList",
        "ListBaseTemplateType": "100",
        "IsHiddenList": False,
        "IsDocLib": False,
    }
    return record


def _site_record(m: Maker, record_type: int, operation: str, person: Person, site: str, site_id: str) -> Record:
    record = m.base(record_type, operation, "OneDrive" if "-my." in site else "SharePoint", person)
    record |= {
        "UserKey": f"i:0h.f|membership|{person.puid.lower()}@live.com",
        "UserType": 0,
        "ClientIP": person.address,
        "ApplicationDisplayName": m.word("apps")["name"],
        "AuthenticationType": "OAuth",
        "CorrelationId": m.guid(),
        "EventSource": "SharePoint",
        "IsManagedDevice": m.rng.random() < 0.5,
        "ListId": m.guid(),
        "ListItemUniqueId": m.guid(),
        "Platform": person.agent["platform"],
        "Site": site_id,
        "SiteUrl": site,
        "UserAgent": person.agent["text"],
        "WebId": m.guid(),
    }
    return record


def _file_record(m: Maker, record_type: int, operation: str, person: Person) -> Record:
    if m.rng.random() < 0.45 and not person.is_guest:
        site = f"https://{m.org.label}-my.sharepoint.com/personal/{person.mail.replace('@', '_').replace('.', '_')}/"
        site_id, folder = person.mailbox, "Documents"
    else:
        team = m.pick(m.org.teams)
        site, site_id, folder = team.site, team.site_id, m.word("folders")
    extension = m.word("extensions")
    name = f"{m.phrase()}.{extension}"
    record = _site_record(m, record_type, operation, person, site, site_id)
    record |= {
        "ObjectId": f"{site}{folder}/{name}",
        "ItemType": "File",
        "HighPriorityMediaProcessing": False,
        "ListBaseType": 1,
        "ListServerTemplate": 101,
        "SourceFileExtension": extension,
        "SourceFileName": name,
        "SourceRelativeUrl": folder,
    }
    return record


def _shared_with(m: Maker, kind: str) -> str:
    if kind == "SecurityGroup":
        return m.pick(m.org.teams).name
    return m.pick(m.org.guests).upn if kind == "Guest" else m.member().upn
