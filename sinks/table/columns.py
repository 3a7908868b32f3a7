"""The columns of an event: their names, types and meaning. Reports and searches are written in these names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["text", "long", "boolean", "instant", "json"]
"""What a column holds. ``instant`` is a point in time with microseconds, in UTC; ``json`` is text of JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; all but ``event_id`` and ``tenant`` may be null.

    Attributes:
        meaning: What stands in it, for the reference and for whoever asks the files with a tool of his own.
    """

    name: str
    type: ColumnType
    meaning: str


COLUMNS = (
    Column("event_id", "text", "`TENANT:Id` as Elasticsearch's `_id`: the same whenever the event comes again"),
    Column("id", "text", "`Id` of the record"),
    Column("time", "instant", "when the act took place: `@timestamp`, else `CreationTime`"),
    Column("received", "instant", "when ualpipe stored the record"),
    Column("tenant", "text", "tenant id, lower case"),
    Column("source", "text", "source in the pipeline's config"),
    Column("stream", "text", "content type, folder or partition"),
    Column("item", "text", "content blob or file that the record came in"),
    Column("position", "long", "position of the record in its stored batch, from 0"),
    Column("workload", "text", "`Workload`: Exchange, SharePoint, AzureActiveDirectory …"),
    Column("record_type", "long", "`RecordType`, as a number"),
    Column("record_type_name", "text", "`event.code`: name of the record type, else its number"),
    Column("operation", "text", "`Operation`, without blanks around it"),
    Column("kind", "text", "`event.kind`; `pipeline_error` where no usable document could be made"),
    Column("outcome", "text", "`event.outcome`: success, failure, unknown"),
    Column("error_code", "text", "`ErrorNumber`, else `ErrorCode`, where it is not 0"),
    Column("reason", "text", "`event.reason`, else `LogonError`, else `ResultStatus`"),
    Column("actor", "text", "who did it, lower case: of persons the address, else name, else id; of others the id"),
    Column("actor_name", "text", "display name of who did it"),
    Column(
        "actor_kind",
        "text",
        "person, partner (staff of another tenant with delegated administration), app, or service (no person)",
    ),
    Column(
        "actor_keys", "text", "ids of who did it that survive renaming, lower case, with blanks between: PUID, SID, object id"
    ),
    Column("actor_sid", "text", "`LogonUserSid`"),
    Column("partner_tenant", "text", "tenant of a partner's staff, where the record names it"),
    Column("user_type", "long", "`UserType`, as a number"),
    Column("target", "text", "person or group that it was done to, lower case: address, else name, else id"),
    Column("targets", "json", "`Target` of Entra records, `Members` of Teams records: list of {id, type}"),
    Column(
        "owner",
        "text",
        "owner of the mailbox, lower case; with SendAs and SendOnBehalf whose name was used; of cmdlets as named there",
    ),
    Column("owner_sid", "text", "`MailboxOwnerSid`"),
    Column("mailbox_id", "text", "`MailboxGuid`"),
    Column(
        "logon_type",
        "long",
        "0 owner, 1 administrator, 2 delegate, 3 transport, 4 system, 5 best access, 6 delegated administrator",
    ),
    Column("external_access", "boolean", "`ExternalAccess`"),
    Column("ip", "text", "address that it was done from"),
    Column("country", "text", "ISO code of the address's country, where `geoip` knows it"),
    Column("network", "text", "owner of the address's network, where `geoip` knows it"),
    Column("client", "text", "`ClientInfoString`, else the user agent"),
    Column("app_id", "text", "id of the application that was used, lower case"),
    Column("session", "text", "id of the session"),
    Column("managed", "boolean", "whether the device is managed or compliant"),
    Column("object", "text", "`ObjectId`: what it was done to"),
    Column("url", "text", "address of the file or page"),
    Column("site", "text", "address of the site"),
    Column("file_name", "text", "name of the file"),
    Column("file_size", "long", "bytes of the file"),
    Column("subject", "text", "subject of the message; of several, with line breaks between"),
    Column("messages", "long", "messages that the record names"),
    Column("folder", "text", "path of the mailbox folder; of several, with line breaks between"),
    Column("access_type", "text", "of MailItemsAccessed: `Bind` (single messages) or `Sync` (all of a folder)"),
    Column("throttled", "boolean", "of MailItemsAccessed: reads of this mailbox are not recorded for 24 hours from here"),
    Column("count", "long", "acts that the record stands for: `OperationCount`, else 1"),
    Column("items", "json", "messages: list of {folder, subject, message_id, size}"),
    Column("changes", "json", "what changed: list of {name, old, new}"),
    Column(
        "parameters",
        "json",
        "parameters and properties: list of {name, value}; actions of Outlook's rules also as cmdlets name them",
    ),
    Column("sentence", "text", "`message`: what happened, in words"),
    Column("conflict", "text", "where another record with this Id came before: what tells this one's content"),
    Column("document", "json", "the ECS document; null without the transform `ecs`"),
    Column("record", "json", "the record as received"),
)

NAMES = tuple(column.name for column in COLUMNS)
