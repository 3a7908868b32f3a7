"""Records as services spell them at their oddest, planted among generated ones: what reports have to get right."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ualpipe.pipeline.report.contract import Own

Record = dict[str, Any]

TENANT = "22222222-2222-2222-2222-222222222222"
START = datetime(2026, 11, 21, 8, tzinfo=UTC)  # the day after that of the generated records
PARTNER, OTHER_PARTNER = "77777777-0000-4000-8000-000000000001", "77777777-0000-4000-8000-000000000002"
STAFF = "88888888-0000-4000-8000-000000000001"
APP, COLLECTOR = "99999999-0000-4000-8000-000000000001", "99999999-0000-4000-8000-000000000002"
OWN = (
    Own("domain", "contoso.com"),
    Own("service_account", "backup@contoso.com"),
    Own("break_glass", "emergency@contoso.com"),
    Own("admin", "chief@contoso.com"),
    Own("partner_tenant", PARTNER),
    Own("app", COLLECTOR),
    Own("delegate", "shared@contoso.com", "helper@contoso.com"),
)
SYSTEM = "NT AUTHORITY\\SYSTEM (Microsoft.Exchange.ServiceHost)"


class Planted:
    """Makes records one after the other, a minute apart."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.at = START

    def add(self, record_type: Any, operation: str, user: Any, **fields: Any) -> Record:
        """Adds a record; a field that is ``...`` is left out."""
        number = len(self.records)
        record = {
            "CreationTime": self.at.strftime("%Y-%m-%dT%H:%M:%S"),
            "Id": f"0dd00000-0000-4000-8000-{number:012d}",
            "Operation": operation,
            "OrganizationId": TENANT,
            "RecordType": record_type,
            "UserKey": "Not Available",
            "UserType": 0,
            "Version": 1,
            "Workload": {15: "AzureActiveDirectory", 9: "AzureActiveDirectory", 8: "AzureActiveDirectory"}.get(
                record_type if type(record_type) is int else 0, "Exchange"
            ),
            "UserId": user,
            "ResultStatus": "Succeeded",
            "ClientIP": "203.0.113.200",
            **fields,
        }
        self.records.append({name: value for name, value in record.items() if value is not ...})
        self.at += timedelta(minutes=1)
        return self.records[-1]

    def mail(self, operation: str, user: Any, owner: Any, **fields: Any) -> Record:
        """Adds a record of a mailbox; sids are those of the names."""
        known = {
            "LogonType": 0,
            "ExternalAccess": False,
            "MailboxOwnerUPN": owner,
            "MailboxOwnerSid": sid(owner),
            "MailboxGuid": guid(owner),
            "LogonUserSid": sid(user),
            "ClientInfoString": "Client=OWA;Action=ViaProxy",
            "SessionId": guid(f"{user} in {owner}"),
        }
        return self.add(fields.pop("RecordType", 2), operation, user, **{**known, **fields})

    def read(self, user: Any, owner: Any, access: str = "Bind", **fields: Any) -> Record:
        """Adds a record of MailItemsAccessed."""
        throttled = fields.pop("throttled", "False")
        properties = [{"Name": "MailAccessType", "Value": access}, {"Name": "IsThrottled", "Value": throttled}]
        item = {"InternetMessageId": f"<{len(self.records)}@contoso.com>", "SizeInBytes": 1000 + len(self.records)}
        folder = {"Path": "\\Inbox"} if access == "Sync" else {"Path": "\\Inbox", "FolderItems": [item]}
        record_type = fields.pop("RecordType", 50)
        more = {"RecordType": record_type, "OperationProperties": properties, "Folders": [folder], "OperationCount": 1, **fields}
        return self.mail("MailItemsAccessed", user, owner, **more)

    def cmdlet(self, name: str, user: Any, **parameters: Any) -> Record:
        """Adds a cmdlet; what begins with an underscore is a field of the record."""
        fields = {key[1:]: value for key, value in parameters.items() if key.startswith("_")}
        given = [{"Name": key, "Value": value} for key, value in parameters.items() if not key.startswith("_")]
        return self.add(1, name, user, **{"Parameters": given, "ResultStatus": "True", "UserType": 2, **fields})

    def sign_in(self, user: Any, error: Any = None, ip: str = "203.0.113.200", **fields: Any) -> Record:
        """Adds a sign-in; with an error one that failed, which the service calls a success, too."""
        operation = fields.pop("Operation", "UserLoginFailed" if error is not None else "UserLoggedIn")
        record_type = fields.pop("RecordType", 15)
        more = {"ClientIP": ip, "ActorIpAddress": ip, "ResultStatus": "Success", "ErrorNumber": error or "0", **fields}
        return self.add(record_type, operation, user, **more)


def sid(name: Any) -> str:
    """Returns a security id that a name always gets, in whatever case it is written."""
    return f"S-1-5-21-1-2-3-{_number(name) % 1_000_000}"


def guid(name: Any) -> str:
    """Returns a GUID that a name always gets."""
    return f"aaaaaaaa-0000-4000-8000-{_number(name) % 10**12:012d}"


def puid(name: Any) -> str:
    """Returns a PUID that a name always gets."""
    return f"1003{_number(name) % 16**12:012X}"


def _number(name: Any) -> int:
    return int(hashlib.sha256(str(name).lower().encode()).hexdigest(), 16)


def oddities() -> list[Record]:
    """Returns all of them, in order of time."""
    planted = Planted()
    for plot in (_in_another_name, _logon_types, _names, _no_people, _throttled, _administration, _sign_ins, _rules, _one_user):
        plot(planted)
    return planted.records


def _in_another_name(p: Planted) -> None:
    p.mail("SendAs", "sana.x@contoso.com", "sana.x@contoso.com", SendAsUserSmtp="Boss@Contoso.com", LogonType=0)
    p.mail("SendOnBehalf", "sana.x@contoso.com", "sana.x@contoso.com", SendOnBehalfOfUserSmtp="boss@contoso.com", LogonType="0")
    p.mail("sendas", "sana.x@contoso.com", "sana.x@contoso.com")
    p.mail(
        "SendAs",
        "SANA.X@contoso.com",
        "sana.x@contoso.com",
        SendAsUserSmtp="info@contoso.com",
        SendAsUserMailboxGuid=guid("info"),
    )
    p.mail("SendAs", "sana.x@contoso.com", "sana.x@contoso.com", SendAsUserSmtp="INFO@contoso.com", LogonType=...)


def _logon_types(p: Planted) -> None:
    for logon_type in ("Delegated", "Admin", "2", 2.0, 6, "DelegatedAdmin", 1, " delegate "):
        p.mail("HardDelete", "ann@contoso.com", "bob@contoso.com", LogonType=logon_type, RecordType=3)
    for logon_type in (..., None, 99, 0, "Owner", "none of these", [2], {"a": 1}, True, 2**70, "9" * 40):
        p.mail("SoftDelete", "ann@contoso.com", "bob@contoso.com", LogonType=logon_type, RecordType=3)
    for logon_type in (3, "Transport", 4, 5, "BestAccess"):
        p.mail("Move", "ann@contoso.com", "bob@contoso.com", LogonType=logon_type)
    p.mail("Update", "bob@contoso.com", "bob@contoso.com", ExternalAccess="true")
    p.mail("Update", "bob@contoso.com", "bob@contoso.com", ExternalAccess="False")
    p.mail("FolderBind", "ann@contoso.com", "bob@contoso.com", LogonType=2, RecordType=19, Folder={"Path": "\\Inbox"})
    p.mail("Create", "ann@contoso.com", "bob@contoso.com", LogonType=2, RecordType="2", OperationCount="7")
    p.read("ann@contoso.com", "bob@contoso.com", "sync", LogonType=2, RecordType="ExchangeItemAggregated")
    p.mail("Create", "ann@contoso.com", "bob@contoso.com", LogonType=2, RecordType=6)  # of no mailbox: only looks like one


def _names(p: Planted) -> None:
    p.mail("Update", "zoe.new@contoso.com", "zoe.old@contoso.com", LogonUserSid=sid("zoe"), MailboxOwnerSid=sid("ZOE"))
    p.mail("Update", "ann@contoso.com", "carl@contoso.com", LogonUserSid=..., MailboxOwnerSid=...)
    p.mail("Update", "ann@contoso.com", "bob@contoso.com", LogonType=2, LogonUserSid=...)
    p.mail("Update", "CARL@contoso.com", "carl@Contoso.com", LogonUserSid=..., MailboxOwnerSid=...)
    p.mail("Update", "ann@contoso.com", "Default-1@x.templateTenant", LogonUserSid=..., MailboxOwnerSid=...)
    p.mail("Update", "ann@contoso.com", ..., LogonType=2, MailboxOwnerSid=..., MailboxGuid=...)
    p.mail("Update", "ann@contoso.com", "dora.old@contoso.com", LogonType=2, MailboxGuid=guid("dora"))
    p.mail("Update", "ann@contoso.com", "dora.new@contoso.com", LogonType=2, MailboxGuid=guid("DORA"))
    p.mail("Update", "eve.old@contoso.com", "bob@contoso.com", LogonType=2, LogonUserSid=sid("eve"))
    p.mail("Update", "eve.new@contoso.com", "bob@contoso.com", LogonType=2, LogonUserSid=sid("Eve"))
    p.mail("Update", ..., "bob@contoso.com", LogonType=2, LogonUserSid=sid("gus"), UserKey=...)
    p.mail("Update", "ann@contoso.com", "bob@contoso.com", LogonType=2, Item={"Id": "1", "Subject": "a\0b\ud83d c"})
    p.mail("Update", "helper@contoso.com", "shared@contoso.com", LogonType=2)
    p.mail("Update", "Helper@Contoso.com", "SHARED@contoso.com", LogonType=2)
    p.mail("Update", "helper@contoso.com", "bob@contoso.com", LogonType=2)
    p.mail("Update", "ann@contoso.com", "shared@contoso.com", LogonType=2)
    p.at = START.replace(hour=22, minute=59)
    p.mail("Update", "ann@contoso.com", "late@contoso.com", LogonType=2)
    p.mail("Update", "ann@contoso.com", "late@contoso.com", LogonType=2)  # 23:00 UTC: the next day in Berlin
    p.at = START + timedelta(hours=2)


def _no_people(p: Planted) -> None:
    spellings = (SYSTEM, SYSTEM.replace("ServiceHost", "Servicehost"), SYSTEM.upper(), "S-1-5-18", "sharepoint\\SYSTEM")
    for spelled in spellings:
        p.mail("Update", spelled, "bob@contoso.com", LogonType=1, UserType=0)
    p.mail("Update", "DlpAgent", "bob@contoso.com", LogonType=1, UserType="System")
    for tenant in (PARTNER, OTHER_PARTNER):
        p.read(f"contoso.onmicrosoft.com\\tenant: {tenant}, object: {STAFF}", "bob@contoso.com", LogonType=6)
    p.read(f"contoso.onmicrosoft.com\\Tenant:{PARTNER},Object:{STAFF}".upper(), "bob@contoso.com", LogonUserSid=...)
    p.read(f"user_{STAFF.replace('-', '')}@contoso.onmicrosoft.com", "bob@contoso.com", LogonUserSid=...)
    p.read(APP, "bob@contoso.com", LogonUserSid=..., AppId=APP, ClientInfoString="Client=REST;Client=RESTSystem;;")
    p.read(f"ServicePrincipal_{APP}", "bob@contoso.com", LogonType=1, UserType=6)
    p.read("mail robot", "bob@contoso.com", LogonUserSid=..., UserType="Application")
    p.read(COLLECTOR, "bob@contoso.com", LogonUserSid=..., AppId=COLLECTOR)
    p.read(APP.upper(), "bob@contoso.com", LogonUserSid=..., ClientAppId=COLLECTOR.upper())
    p.read("backup@contoso.com", "bob@contoso.com", LogonType=2)
    p.mail("Update", "ann@contoso.com", "DiscoverySearchMailbox{D919BA05-46A6-415f-80AD-7E09334BB852}@contoso.com", LogonType=1)


def _throttled(p: Planted) -> None:
    p.read("fay@contoso.com", "fay@contoso.com", throttled="True")
    p.read("ann@contoso.com", "fay@contoso.com", "Sync", LogonType=2)
    p.read("ann@contoso.com", "hal@contoso.com", throttled=True, LogonType=2)
    p.cmdlet("Set-MailboxAuditBypassAssociation", "chief@contoso.com", Identity="ivy@contoso.com", AuditBypassEnabled="True")
    p.read("ivy@contoso.com", "hal@contoso.com", LogonType=2)
    p.cmdlet("Set-MailboxAuditBypassAssociation", "chief@contoso.com", Identity="ivy@contoso.com", AuditBypassEnabled="False")
    p.cmdlet("Set-MailboxAuditBypassAssociation", "chief@contoso.com", Identity="jim@contoso.com", AuditBypassEnabled="False")
    p.read("jim@contoso.com", "hal@contoso.com", LogonType=2)
    p.at += timedelta(days=2)
    p.read("ann@contoso.com", "fay@contoso.com", "Sync", LogonType=2)  # a day after reads are recorded again
    p.read("ivy@contoso.com", "hal@contoso.com", LogonType=2)
    p.at -= timedelta(days=2)


def _administration(p: Planted) -> None:
    for spelled in (SYSTEM, SYSTEM.replace("ServiceHost", "Servicehost"), SYSTEM.lower()):
        p.cmdlet("Set-MailboxPlan", spelled, Identity="plan", _UserType=3)
    p.cmdlet("New-InboxRule", "bob@contoso.com", Name="newsletters", MoveToFolder="Reading", _UserType="Regular")
    p.cmdlet("New-InboxRule", "chief@contoso.com", Name="newsletters", MoveToFolder="Reading", _UserType=0)
    p.cmdlet("Set-Mailbox", "lee@contoso.com", Identity="bob", AuditEnabled="True", _UserType="Admin")
    p.cmdlet("Set-CASMailbox", "emergency@contoso.com", Identity="bob", ImapEnabled="True", _UserType=0)
    p.cmdlet("Set-CASMailbox", "backup@contoso.com", Identity="bob", ImapEnabled="True")
    p.cmdlet("Get-Mailbox", f"contoso.onmicrosoft.com\\tenant: {OTHER_PARTNER}, object: {STAFF}", Identity="bob", _UserType=9)
    p.cmdlet("Set-MailboxAutoReplyConfiguration", "nia@contoso.com", Identity="nia", _UserType=0)
    _role(p, "Add member to role.", "nia@contoso.com")
    p.cmdlet("Set-MailboxAutoReplyConfiguration", "nia@contoso.com", Identity="nia", _UserType=0)
    _role(p, "Remove member from role.", "nia@contoso.com")
    p.cmdlet("Set-MailboxAutoReplyConfiguration", "nia@contoso.com", Identity="nia", _UserType=0)
    _role(p, "Add member to role.", "oto@contoso.com", ResultStatus="Failure")
    p.cmdlet("Disable-InboxRule", "oto@contoso.com", Identity="1", _UserType=0)
    own = {"Target": [{"ID": "Bob@contoso.com", "Type": 5}], "ObjectId": "bob@contoso.com"}
    p.add("8", "Change user password.", "bob@contoso.com", Workload="AzureActiveDirectory", ResultStatus="Success", **own)
    p.add(8, "Update user.", "fim_password_service@support.onmicrosoft.com", ResultStatus="Success", **own)
    p.add(8, "Update user.", COLLECTOR, ResultStatus="Success", **own)
    p.add(
        18,
        "Get-ComplianceSearch",
        "lee@contoso.com",
        UserType=2,
        Parameters='-Identity "all of it"',
        Workload="SecurityComplianceCenter",
    )
    p.add(24, "SearchStarted", "lee@contoso.com", UserType=2, Workload="SecurityComplianceCenter")
    p.add(14, "SiteCollectionAdminAdded", "lee@contoso.com", Workload="SharePoint", ObjectId="https://contoso.sharepoint.com/")
    p.add(4, "sharingpolicychanged", "lee@contoso.com", Workload="SharePoint", ObjectId="https://contoso.sharepoint.com/")
    p.add(4, "PageViewed", "chief@contoso.com", Workload="SharePoint", ObjectId="https://contoso.sharepoint.com/")
    p.add(25, "TeamsTenantSettingChanged", "lee@contoso.com", Workload="MicrosoftTeams", UserType=2)
    p.add(25, "TeamSettingChanged", "lee@contoso.com", Workload="MicrosoftTeams", UserType=2)


def _role(p: Planted, operation: str, who: str, **fields: Any) -> None:
    changed = [{"Name": "Role.DisplayName", "NewValue": '[\r\n  "Helpdesk"\r\n]', "OldValue": "[]"}]
    more = {
        "ObjectId": who,
        "Target": [{"ID": who, "Type": 5}],
        "ModifiedProperties": changed,
        "ResultStatus": "Success",
        **fields,
    }
    p.add(8, operation, "chief@contoso.com", **more)


def _sign_ins(p: Planted) -> None:
    for error in ("50074", 50076, "50079", "65001", "50140", "50058"):
        p.sign_in("pia@contoso.com", error)
    for error in ("500121", 50126, " 50053 "):
        p.sign_in("Quin@contoso.com" if error == 50126 else "quin@contoso.com", error)
    p.sign_in("quin@contoso.com", ip="203.0.113.201")  # another address than those that failed
    p.sign_in("rob@contoso.com", ip="203.0.113.202")
    p.sign_in("rob@contoso.com", "50126", ip="203.0.113.202")  # in before it failed, not afterwards
    p.sign_in("sue@contoso.com", "50126", ip="203.0.113.203", Operation="userloginfailed")
    p.sign_in("sue@contoso.com", ip="203.0.113.203", ErrorNumber="50140")
    p.sign_in("tom@contoso.com", "50126", ErrorNumber=..., LogonError="unknown")
    p.sign_in(
        "tom@contoso.com", RecordType=9, Operation="PasswordLogonInitialAuthUsingPassword", ResultStatus="failed", ErrorNumber=...
    )
    p.sign_in(
        "tom@contoso.com",
        RecordType=9,
        Operation="PasswordLogonInitialAuthUsingPassword",
        ResultStatus="Success",
        ErrorNumber=...,
    )
    p.sign_in("backup@contoso.com", "50126", ip="203.0.113.204")
    p.sign_in("", "50034", ip="203.0.113.205", UserKey=...)
    for number in range(10):
        p.sign_in(f"sprayed{number}@contoso.com", "50126", ip="192.0.2.210")
        p.sign_in(f"office{number}@contoso.com", "50126", ip="192.0.2.212")
        p.sign_in(f"office{number}@contoso.com", ip="192.0.2.212")
        p.sign_in(f"blocked{number}@contoso.com", "53003", ip="192.0.2.213")
    for number in range(9):
        p.sign_in(f"nearly{number}@contoso.com", "50126", ip="192.0.2.211")
    p.sign_in("nearly0@contoso.com", "50126", ip="192.0.2.211")  # ten failures, of nine accounts
    p.sign_in("sprayed3@contoso.com", ip="192.0.2.210")
    for error in (None, "50126"):
        agent = [{"Name": "UserAgent", "Value": "BAV2ROPC"}]
        p.sign_in("una@contoso.com", error, ip="203.0.113.206", ExtendedProperties=agent)


def _rules(p: Planted) -> None:
    def rule(name: str, user: str = "vic@contoso.com", **given: Any) -> None:
        p.cmdlet(name, user, **{"_UserType": 0, "_ClientIP": "203.0.113.220:4711", **given})

    rule("New-InboxRule", Name="..", ForwardTo="thief@mail.example", DeleteMessage="True")
    rule("New-InboxRule", Name="holiday", ForwardTo="wil@contoso.com;thief@mail.example")
    rule("New-InboxRule", Name="holiday", RedirectTo="wil@contoso.com")
    rule("New-InboxRule", Name="ab", MoveToFolder="Reading")
    rule("New-InboxRule", Name="abc", MoveToFolder="Reading")
    rule("New-InboxRule", Name="branch", RedirectTo="wil@north.contoso.com")
    rule("New-InboxRule", Name="lookalike", ForwardAsAttachmentTo="wil@notcontoso.com")
    rule("New-InboxRule", Name="by place", ForwardTo="/o=ExchangeLabs/ou=x/cn=Recipients/cn=wil")
    rule("New-InboxRule", Name="quoted", ForwardTo='"Wil" [SMTP:wil@mail.example]')
    rule("New-InboxRule", Name="hidden", MoveToFolder="RSS Subscriptions", MarkAsRead="true")
    rule("New-InboxRule", Name="plain", MoveToFolder="Archive", DeleteMessage="False")
    rule("New-InboxRule", Name="", BodyContainsWords="invoice", MoveToFolder="Archive")
    rule("Set-InboxRule", Identity="vic@contoso.com\\123", StopProcessingRules="False")
    rule("Set-InboxRule", Identity="vic@contoso.com\\123", ForwardTo="thief@mail.example")
    rule("Enable-InboxRule", Identity="vic@contoso.com\\123")
    rule("Remove-InboxRule", Identity="vic@contoso.com\\123")
    rule("New-InboxRule", "chief@contoso.com", Name="for another", Mailbox="vic@contoso.com", ForwardTo="thief@mail.example")
    rule(
        "Set-Mailbox",
        Identity="vic@contoso.com",
        ForwardingSmtpAddress="smtp:thief@mail.example",
        DeliverToMailboxAndForward="False",
    )
    rule("set-mailbox", Identity="vic@contoso.com", ForwardingAddress="Wil")
    rule("Set-Mailbox", Identity="vic@contoso.com", ForwardingSmtpAddress="")
    rule("Set-Mailbox", Identity="vic@contoso.com", ForwardingSmtpAddress=None)
    rule("New-TransportRule", "chief@contoso.com", Name="copy", BlindCopyTo="thief@mail.example")
    rule("Set-TransportRule", "chief@contoso.com", Identity="copy", Priority="0")
    rule("Set-Mailbox", SYSTEM, Identity="SystemMailbox{1}", ForwardingAddress="x@contoso.com")
    for operation, actions in _OUTLOOK_RULES:
        properties = [
            {"Name": "RuleOperation", "Value": operation},
            {"Name": "RuleName"},
            {"Name": "RuleActions", "Value": actions},
        ]
        p.mail(
            "UpdateInboxRules",
            "vic@contoso.com",
            "vic@contoso.com",
            OperationProperties=properties,
            ClientIP=...,
            ClientIPAddress="203.0.113.220",
        )
    p.sign_in("VIC@contoso.com", ip="203.0.113.220")
    rule("New-InboxRule", Name="afterwards", ForwardTo="thief@mail.example")


_OUTLOOK_RULES = (
    ("AddMailboxRule", '[{"ActionType":"Forward","Recipients":["thief@mail.example"],"ForwardFlags":"None"}]'),
    (
        "ModifyMailboxRule",
        '[{"ActionType":"Forward","Recipients":[{"SmtpAddress":"wil@contoso.com"}],"ForwardFlags":"ForwardAsAttachment"}]',
    ),
    ("AddMailboxRule", '{"ActionType":"Delete"}'),
    ("AddMailboxRule", '[{"ActionType":"Move","FolderName":"Conversation History"},{"ActionType":"MarkAsRead"}]'),
    ("ModifyMailboxRule", '[{"ActionType":"Move","FolderName":"Reading"}]'),
    ("AddMailboxRule", '[{"ActionType":"Forward","ForwardFlags":"None"}]'),
    ("RemoveMailboxRule", '[{"ActionType":"Redirect","Recipients":["thief@mail.example"]}]'),
    ("ModifyMailboxRule", '[{"ActionType":"Forward",'),
)

SHE, SHE_ONCE = "wilma.new@contoso.com", "wilma.old@contoso.com"


def _one_user(p: Planted) -> None:
    key = puid("wilma")
    site = {
        "Workload": "SharePoint",
        "SiteUrl": "https://contoso.sharepoint.com/sites/x/",
        "ObjectId": "https://contoso.sharepoint.com/a",
    }
    p.add(6, "FileAccessed", SHE, UserKey=f"i:0h.f|membership|{key.lower()}@live.com", **site)
    p.add(6, "FileAccessed", SHE.upper(), UserKey=..., **site)
    p.add(6, "FileDownloaded", f"i:0#.f|membership|{SHE}", UserKey=..., FileSizeBytes="12", **site)
    p.add(6, "FileSyncDownloadedFull", SHE_ONCE, UserKey=f"{key}@contoso.onmicrosoft.com", FileSizeBytes=2**70, **site)
    p.add(6, "FilePreviewed", f"i:0h.f|membership|{key.lower()}@live.com", UserKey=..., **site)
    p.mail("Create", SHE, SHE, UserKey=key, LogonUserSid=sid("wilma"), MailboxOwnerSid=sid("wilma"))
    p.mail("Create", ..., SHE, UserKey=..., LogonUserSid=sid("wilma"), MailboxOwnerSid=sid("wilma"))
    p.mail("Create", sid("Wilma"), SHE, UserKey=..., LogonUserSid=..., MailboxOwnerSid=...)
    own = [
        {"ID": "00000006-0000-0ff1-ce00-000000000000", "Type": 2},
        {"ID": f"User_{guid('wilma')}", "Type": 2},
        {"ID": key, "Type": 3},
    ]
    p.add(8, "Update user.", SHE, Actor=own, ResultStatus="Success")
    p.sign_in(SHE, Actor=[{"ID": guid("wilma"), "Type": 0}, {"ID": SHE, "Type": 5}], UserKey=guid("Wilma"))
    p.sign_in(guid("wilma"), "50126", UserKey=...)
    # Not she: who shares with her an application that was used, a name but for the domain, or a mailbox.
    shared = [{"ID": "00000006-0000-0ff1-ce00-000000000000", "Type": 2}, {"ID": f"User_{guid('xena')}", "Type": 2}]
    p.add(8, "Update user.", "xena@contoso.com", Actor=shared, ResultStatus="Success")
    p.add(6, "FileAccessed", "wilma.new@contoso.example", UserKey=..., **site)
    p.mail("Create", "xena@contoso.com", SHE, LogonType=2, UserKey=puid("xena"))
    p.add(6, "FileAccessed", "nobody@contoso.com", UserKey="00000000-0000-0000-0000-000000000000", **site)


def in_order(records: list[Record]) -> Iterator[Record]:
    """Yields records in the order of time, as services do by and large."""
    yield from sorted(records, key=lambda record: str(record.get("CreationTime", "")))
