"""The conversions that a mapping row may name in ``as``: each turns an original value into what an ECS field takes.

A conversion gets one ``text`` or one plain ``value``, unless it is declared to take a ``structure`` (whatever stands at the
source) or the whole ``record`` of originals. It returns None for what it can't convert: the field is left out then, the
original stays. Its result may be remembered and shared: nobody changes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from ualpipe.schemas import read_csv, read_yaml
from ualpipe.transforms.ecs.conversions import agent, directory, investigation, mail, policy, sharepoint, values, web
from ualpipe.transforms.ecs.conversions.address import client_ip, network_type, read_address, read_server
from ualpipe.transforms.ecs.conversions.deed import Deeds
from ualpipe.transforms.ecs.conversions.identity import IdentityConversions
from ualpipe.transforms.ecs.conversions.outcome import make_outcome, make_status
from ualpipe.transforms.memo import OF_PEOPLE, Memo

Takes = Literal["text", "value", "structure", "record"]
PartTypes = Mapping[str, str]

_IDENTITY: PartTypes = {"id": "keyword", "name": "keyword", "email": "keyword", "domain": "keyword"}
_ADDRESSED: PartTypes = {"name": "keyword", "email": "keyword", "domain": "keyword"}
_ADDRESS: PartTypes = {"address": "keyword", "ip": "ip", "port": "long", "domain": "keyword"}
_SERVER: PartTypes = {"address": "keyword", "ip": "ip", "domain": "keyword"}
_NAMED: PartTypes = {"id": "keyword", "name": "keyword"}
_RULE: PartTypes = {"id": "keyword", "name": "keyword", "ruleset": "keyword"}
_URL: PartTypes = {
    "original": "wildcard",
    "full": "wildcard",
    "scheme": "keyword",
    "domain": "keyword",
    "port": "long",
    "path": "wildcard",
    "extension": "keyword",
    "query": "keyword",
    "fragment": "keyword",
    "registered_domain": "keyword",
    "top_level_domain": "keyword",
    "subdomain": "keyword",
}
_AGENT: PartTypes = {"name": "keyword", "version": "keyword"}
_SYSTEM: PartTypes = {"name": "keyword", "version": "keyword", "full": "keyword"}
_DEVICE: PartTypes = {"name": "keyword"}
_HASHES: PartTypes = {"md5": "keyword", "sha1": "keyword", "sha256": "keyword", "sha384": "keyword", "sha512": "keyword"}


@dataclass(frozen=True, slots=True)
class Conversion:
    """A named conversion.

    Attributes:
        name: As in ``as``.
        function: What converts; a ``Memo`` for conversions of text that comes again and again.
        doc: One sentence for the reference.
        type: ECS type of the result; for ``parts`` empty.
        parts: For a conversion into several fields below the row's ``to``: name of each with its ECS type.
        takes: What the function gets.
        makes_list: Whether it returns a list, for a field that holds one.
        prefers: Of several sources the first counts whose parts hold this one, else the first of which it makes anything.
    """

    name: str
    function: Callable[[Any], Any] | Memo
    doc: str
    type: str = "keyword"
    parts: PartTypes = field(default_factory=dict)
    takes: Takes = "text"
    makes_list: bool = False
    prefers: str = ""

    @property
    def convert(self) -> Callable[[Any], Any]:
        """The function, for any value: what is no text is not converted by a conversion of text."""
        function: Callable[[Any], Any] = self.function.__getitem__ if isinstance(self.function, Memo) else self.function
        return (lambda value: function(value) if type(value) is str else None) if self.takes == "text" else function


@cache
def load_conversions() -> dict[str, Conversion]:
    """Returns all conversions by name, with the word tables that they need."""
    words: dict[str, Any] = read_yaml("ecs/words.yaml")
    made = [*_plain(), *_network(), *_people(words), *_records(words), *_files(), *_mails(), *_policies()]
    return {conversion.name: conversion for conversion in made}


def _plain() -> list[Conversion]:
    return [
        Conversion("keyword", values.keyword, "Text as it is; numbers and booleans as text.", takes="value"),
        Conversion("text", values.keyword, "The same for message fields.", "match_only_text", takes="value"),
        Conversion("same", values.same, "The value of another ECS field, unchanged.", "", takes="structure"),
        Conversion("trimmed", values.trimmed, "Text without blanks around it."),
        Conversion("lower", values.lower, "Text in lower case."),
        Conversion("guid", Memo(values.guid), "A GUID in lower case; other text as it is."),
        Conversion("sha256", values.sha256, "A SHA-256 in lower case; nothing else."),
        Conversion("long", values.whole_number, "A whole number of 64 bits, also from text.", "long", takes="value"),
        Conversion("date", Memo(values.date), "A date and time in UTC; year 0001 is left out.", "date"),
        Conversion("boolean", values.boolean, "True or false, also from text.", "boolean", takes="value"),
        Conversion("json_value", directory.json_value, "The one text in a property value that is JSON."),
    ]


def _network() -> list[Conversion]:
    return [
        Conversion("ip", Memo(client_ip), "The IP address in any form of a client address.", "ip"),
        Conversion(
            "address", Memo(read_address), "Address, IP, port and domain of a client address.", "", _ADDRESS, prefers="ip"
        ),
        Conversion("server", read_server, "Address, IP and domain in `HOST (build or address)`.", "", _SERVER),
        Conversion("network_type", network_type, "`ipv4` or `ipv6` of an IP address."),
        Conversion("details_agent", directory.details_agent, "User-Agent in `additionalDetails`."),
        Conversion("client_agent", Memo(mail.client_agent), "User agent in a ClientInfoString; a UserAgent as it is."),
        Conversion("agent", Memo(agent.agent), "Name and version of the program in a user agent.", "", _AGENT),
        Conversion("agent_system", Memo(agent.system), "Operating system in a user agent.", "", _SYSTEM),
        Conversion("agent_device", Memo(agent.device), "Device in a user agent.", "", _DEVICE),
    ]


def _people(words: Mapping[str, Any]) -> list[Conversion]:
    people = IdentityConversions(words["identities"])
    identity, addressed, person = Memo(people.identity), Memo(people.addressed), Memo(people.person, OF_PEOPLE)
    return [
        Conversion("identity", identity, "User id, name, address and domain, by the form of a user id.", "", _IDENTITY),
        Conversion("addressed", addressed, "Name, address and domain of an e-mail address; nothing else.", "", _ADDRESSED),
        Conversion("user_id", Memo(people.user_id), "A user id, unless it stands for nobody (`Not Available`)."),
        Conversion("person", person, "Name and address of a person or service; nothing for opaque ids.", makes_list=True),
        Conversion(
            "principal",
            Memo(people.principal, OF_PEOPLE),
            "As `person`; SIDs and ids of directory objects, too.",
            makes_list=True,
        ),
        Conversion("process_of", Memo(people.process_of), "Process in `NT AUTHORITY\\SYSTEM (process)`."),
        Conversion("user_role", Memo(words["user_roles"].get), "Name of a user type, unless it is an ordinary user's."),
        Conversion("target_user", people.target_user, "The user a directory operation is about.", "", _IDENTITY, "structure"),
        Conversion(
            "changed_user", people.changed_user, "The user that ModifiedProperties name.", "", _IDENTITY, takes="structure"
        ),
        Conversion("target_group", directory.target_group, "The group a directory operation is about.", "", _NAMED, "structure"),
        Conversion("mailbox_owner", people.mailbox_owner, "Owner of a mailbox, where another acts.", "", _IDENTITY, "record"),
    ]


def _records(words: Mapping[str, Any]) -> list[Conversion]:
    names = {row["id"]: row["name"] for row in read_csv("record_types.csv")}
    outcome = make_outcome(words["outcomes"])
    reason = values.make_reason(words["identities"]["nobody"])
    deeds = Deeds(words["verbs"])
    return [
        Conversion("deed", deeds.deed, "An operation in words: `created a widget`."),
        Conversion("attempt", deeds.attempt, "A failed operation in words: `failed to create a widget`."),
        Conversion("action", Memo(values.trimmed), "The name of an operation as delivered, without blanks around it."),
        Conversion("record_type", Memo(lambda kind: names.get(kind, kind)), "Name of a record type, else its number."),
        Conversion("reason", reason, "Text, unless it is a word for nothing (`None`)."),
        Conversion("json_reason", lambda text: reason(directory.json_value(text) or ""), "As `reason`, of a value that is JSON."),
        Conversion("outcome", outcome, "Outcome by Operation and ResultStatus.", takes="record"),
        Conversion("status", make_status(words["outcomes"]), "Outcome by a status of the workload's own.", takes="value"),
    ]


def _files() -> list[Conversion]:
    return [
        Conversion("url", web.read_url, "The parts of a URL.", "", _URL),
        Conversion("link", web.read_link, "The parts of a URL, also of one without its scheme.", "", _URL),
        Conversion("file_url", web.read_file_url, "The parts of a URL as SharePoint writes it.", "", _URL),
        Conversion("file_name", web.file_name, "File name in a path."),
        Conversion("file_extension", web.file_extension, "Extension of a file name."),
        Conversion("extension", Memo(web.extension), "An extension without its dot."),
        Conversion("file_kind", Memo(web.file_kind), "`file` or `dir` of an ItemType."),
        Conversion("file_path", sharepoint.file_path, "Folder and file name of a SharePoint record.", takes="record"),
        Conversion("file_directory", sharepoint.file_directory, "Folder of a SharePoint record's file.", takes="record"),
        Conversion("event_data_group", sharepoint.group_in_event_data, "The group in `<Group>…</Group>`."),
        Conversion("plain_path", web.plain_path, "A path; nothing of a URL."),
        Conversion("windows_path", web.windows_path, "A path with drive or share; nothing else."),
    ]


def _mails() -> list[Conversion]:
    found = mail.threat_attachments
    return [
        Conversion("mail_address", mail.mail_address, "The address in `Name <address>`."),
        Conversion("mail_addresses", mail.mail_addresses, "All addresses in a list with commas or semicolons.", makes_list=True),
        Conversion("message_id", mail.message_id, "A message id without angle brackets."),
        Conversion("direction", mail.direction, "`inbound`, `outbound` or `internal`."),
        Conversion("attachments", mail.attachments, "Names and sizes in `name (123b); …`.", "nested", makes_list=True),
        Conversion(
            "threat_attachments", found, "Names and hashes of AttachmentData.", "nested", takes="structure", makes_list=True
        ),
        Conversion(
            "entity_attachments",
            investigation.entity_attachments,
            "Names and hashes of the files of mails.",
            "nested",
            takes="structure",
            makes_list=True,
        ),
        Conversion(
            "entity_hashes", investigation.entity_hashes, "Hashes of one file, by algorithm.", "", _HASHES, takes="structure"
        ),
    ]


def _policies() -> list[Conversion]:
    return [
        Conversion("severity", policy.severity, "1 informational, 2 low, 3 medium, 4 high.", "long"),
        Conversion("policy_rule", policy.most_severe_rule, "The most severe rule of PolicyDetails.", "", _RULE, "structure"),
        Conversion("policy_severity", policy.highest_severity, "Highest severity of PolicyDetails.", "long", takes="structure"),
        Conversion("policy_outcome", policy.policy_outcome, "Failure where a policy stopped the act.", takes="record"),
    ]


DEFAULTS = {
    "keyword": "keyword",
    "constant_keyword": "keyword",
    "wildcard": "keyword",
    "match_only_text": "text",
    "text": "text",
    "long": "long",
    "integer": "long",
    "date": "date",
    "ip": "ip",
    "boolean": "boolean",
}
"""The conversion of a row without ``as``, by the type of its ECS field."""

_SAME_FORM = (frozenset({"keyword", "constant_keyword", "wildcard", "match_only_text", "text"}), frozenset({"long", "integer"}))


def fits(made: str, wanted: str) -> bool:
    """Returns whether a value made for one ECS type may stand in a field of another."""
    return made == wanted or any(made in form and wanted in form for form in _SAME_FORM)
