from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fakes
from ualpipe.pipeline.errors import ConfigError
from ualpipe.pipeline.events import Event, Origin
from ualpipe.pipeline.options import build
from ualpipe.pipeline.records.chunk import Chunk
from ualpipe.schemas import read_yaml
from ualpipe.transforms.ecs.conversions.deed import Deeds
from ualpipe.transforms.ecs.mapping.reader import shipped_files
from ualpipe.transforms.ecs.messages.renderer import Messages, load_messages
from ualpipe.transforms.ecs.messages.words import MAX_LENGTH
from ualpipe.transforms.ecs.options import EcsTransformConfig
from ualpipe.transforms.ecs.transform import EcsTransform

ORIGIN = Origin("contoso", fakes.TENANT, "Audit.General", "item", Chunk(b"[]", "array"))
MESSAGES = load_messages()
ALICE, BOB, ADMIN = "alice@contoso.com", "bob@contoso.com", "admin@contoso.com"
SITE = "https://contoso.sharepoint.com/sites/finance/"
FILE = {"SiteUrl": SITE, "SourceRelativeUrl": "Shared Documents", "SourceFileName": "Budget 2026.xlsx"}
FROM = {"ClientIP": "203.0.113.7"}


def made_ecs() -> EcsTransform:
    made = EcsTransform(build(EcsTransformConfig, {}, Path()), fakes.env("ecs"))
    made.open()
    return made


ECS = made_ecs()


def mapped(record: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns originals and document of a record; the document without a message."""
    event = Event(record, 0, ORIGIN)
    ECS.apply(event)
    document = dict(event.document or {})
    document.pop("message", None)
    return document.get("o365", {}).get("audit", {}), document


def said(kind: int | str, operation: str, by: Messages = MESSAGES, **fields: Any) -> str | None:
    return by.say(*mapped(fakes.record(1, RecordType=kind, Operation=operation, **fields)))


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


def changes(**values: str) -> list[dict[str, str]]:
    return [{"Name": name.replace("__", "."), "NewValue": value, "OldValue": ""} for name, value in values.items()]


def target(kind: str, name: str, *, upn: str = "") -> dict[str, Any]:
    """Returns the target of a directory operation, as the service lists it."""
    own = "44444444-4444-4444-4444-444444444444"
    ids = [(f"{kind}_{own}", 2), (own, 2), (kind, 2), *([(upn, 5)] if upn else [(name, 1)])]
    return {"Target": [{"ID": text, "Type": number} for text, number in ids], "ObjectId": own, "ResultStatus": "Success"}


USER = target("User", "", upn=BOB)
APPLICATION = target("Application", "Payroll")
GROUP = target("Group", "Finance")
MAILBOX = {"MailboxOwnerUPN": BOB, "LogonType": 2, "ResultStatus": "Succeeded", "ClientIPAddress": "203.0.113.7"}
OWN = {"MailboxOwnerUPN": ALICE, "LogonType": 0, "ResultStatus": "Succeeded", "ClientIPAddress": "203.0.113.7"}
ITEM = {"Item": {"Subject": "Salaries", "ParentFolder": {"Path": "\\Inbox"}}}
ITEMS = {"AffectedItems": [{"Subject": "One"}, {"Subject": "Two"}], "Folder": {"Path": "\\Inbox"}}
TEAM = {"TeamName": "Finance", "ChannelName": "General"}
RULE = {"PolicyDetails": [{"PolicyName": "Cards", "Rules": [{"RuleName": "Card numbers", "Severity": "High"}]}]}

CASES: list[tuple[int, str, dict[str, Any], str]] = [
    # Sign-ins
    (15, "UserLoggedIn", {"ActorIpAddress": "203.0.113.7"}, "alice@contoso.com signed in from 203.0.113.7"),
    (15, "UserLoggedIn", {"ApplicationId": "04B07795-8ddb-461a-bbee-02f9e1bf7b46"}, "alice@contoso.com signed in to Azure CLI"),
    (15, "UserLoginFailed", {**FROM, "ResultStatus": "Success", "LogonError": "InvalidUserNameOrPassword"},
     "alice@contoso.com failed to sign in from 203.0.113.7: wrong user name or password"),
    (15, "UserLoginFailed", {"ErrorNumber": 53003}, "alice@contoso.com failed to sign in: blocked by conditional access"),
    (15, "UserLoginFailed", {"LogonError": "SomethingNew"}, "alice@contoso.com failed to sign in: SomethingNew"),
    (15, "UserLoggedIn", {"ResultStatus": "Failed", "LogonError": "IdsLocked"},
     "alice@contoso.com failed to sign in: the account is locked, or the address is blocked"),
    # Mailboxes
    (50, "MailItemsAccessed", {**MAILBOX, "OperationCount": 3},
     "alice@contoso.com read 3 messages in bob@contoso.com's mailbox as a delegate from 203.0.113.7"),
    (50, "MailItemsAccessed", {**OWN, "OperationCount": 1},
     "alice@contoso.com read 1 message in their own mailbox from 203.0.113.7"),
    (50, "MailItemsAccessed", {}, "alice@contoso.com read messages in a mailbox"),
    (50, "MailItemsAccessed", {**MAILBOX, **ITEM, "OperationProperties": pairs(MailAccessType="Sync")},
     "alice@contoso.com synchronised the folder '\\Inbox' of bob@contoso.com's mailbox as a delegate from 203.0.113.7"),
    (50, "AttachmentAccess", {**OWN, "OperationCount": 2},
     "alice@contoso.com opened 2 attachments in their own mailbox from 203.0.113.7"),
    (2, "Send", {**OWN, **ITEM}, "alice@contoso.com sent the message 'Salaries' from 203.0.113.7"),
    (2, "SendAs", {**MAILBOX, **ITEM, "SendAsUserSmtp": "ceo@contoso.com"},
     "alice@contoso.com sent the message 'Salaries' as ceo@contoso.com from 203.0.113.7"),
    (2, "SendOnBehalf", {**ITEM, "SendOnBehalfOfUserSmtp": BOB},
     "alice@contoso.com sent the message 'Salaries' on behalf of bob@contoso.com"),
    (2, "Create", {**OWN, **ITEM},
     "alice@contoso.com created the item 'Salaries' in the folder '\\Inbox' of their own mailbox from 203.0.113.7"),
    (2, "Update", {**OWN}, "alice@contoso.com changed an item of their own mailbox from 203.0.113.7"),
    (3, "Move", {**OWN, **ITEMS, "DestFolder": {"Path": "\\Archive"}},
     "alice@contoso.com moved 2 items from '\\Inbox' to '\\Archive' in their own mailbox from 203.0.113.7"),
    (3, "MoveToDeletedItems", {**MAILBOX, **ITEMS},
     "alice@contoso.com moved 2 items from '\\Inbox' to the deleted items of bob@contoso.com's mailbox as a delegate "
     "from 203.0.113.7"),
    (3, "SoftDelete", {**OWN, "AffectedItems": [{"Subject": "One"}]},
     "alice@contoso.com deleted the item 'One' in their own mailbox from 203.0.113.7"),
    (3, "HardDelete", {**OWN, **ITEMS}, "alice@contoso.com purged 2 items from '\\Inbox' in their own mailbox from 203.0.113.7"),
    (2, "MailboxLogin", {**MAILBOX, "LogonType": 1},
     "alice@contoso.com opened bob@contoso.com's mailbox as an administrator from 203.0.113.7"),
    (2, "UpdateInboxRules", {**OWN, "OperationProperties": pairs(RuleOperation="AddMailboxRule", RuleName="..")},
     "alice@contoso.com created the inbox rule '..' of their own mailbox from 203.0.113.7"),
    (2, "ModifyFolderPermissions", {**OWN, "Item": {"ParentFolder": {"Path": "\\Calendar", "MemberUpn": "Everyone"}}},
     "alice@contoso.com changed the rights of Everyone on the folder '\\Calendar' of their own mailbox from 203.0.113.7"),
    # Cmdlets
    (1, "New-InboxRule", {"Parameters": pairs(Name=".", From="it@contoso.com", DeleteMessage="True"), **FROM},
     "alice@contoso.com created the inbox rule '.', for messages from it@contoso.com, which deletes messages, from 203.0.113.7"),
    (1, "Set-InboxRule", {"Parameters": pairs(Identity="bob\\Bills", ForwardTo="smtp:eve@example.com")},
     "alice@contoso.com changed the inbox rule 'Bills', which forwards to eve@example.com"),
    (1, "Set-Mailbox", {"Parameters": pairs(Identity="Bob", ForwardingSmtpAddress="smtp:eve@example.com")},
     "alice@contoso.com made Bob's mailbox forward to eve@example.com"),
    (1, "Set-Mailbox", {"Parameters": pairs(Identity="Bob", ForwardingSmtpAddress="")},
     "alice@contoso.com stopped the forwarding of Bob's mailbox"),
    (1, "Set-Mailbox", {"ObjectId": "contoso.onmicrosoft.com/Users/Bob"}, "alice@contoso.com changed Bob's mailbox"),
    (1, "Add-MailboxPermission", {"Parameters": pairs(Identity="Bob", User=ALICE, AccessRights="FullAccess"), "UserId": ADMIN},
     "admin@contoso.com gave alice@contoso.com FullAccess access to Bob's mailbox"),
    (1, "Remove-MailboxPermission", {"Parameters": pairs(Identity="Bob", User=ALICE)},
     "alice@contoso.com removed alice@contoso.com's access to Bob's mailbox"),
    (1, "New-TransportRule", {"Parameters": pairs(Name="Copies", BlindCopyTo="eve@example.com")},
     "alice@contoso.com created the mail flow rule 'Copies', which copies to eve@example.com"),
    (1, "Set-AdminAuditLogConfig", {"Parameters": pairs(UnifiedAuditLogIngestionEnabled="False")},
     "alice@contoso.com switched off the unified audit log"),
    (1, "Set-OwaMailboxPolicy", {"ObjectId": "contoso\\Default", **FROM},
     "alice@contoso.com ran Set-OwaMailboxPolicy on Default from 203.0.113.7"),
    (18, "Get-DlpCompliancePolicy", {}, "alice@contoso.com ran Get-DlpCompliancePolicy"),
    # SharePoint and OneDrive
    (6, "FileAccessed", {**FILE, **FROM},
     "alice@contoso.com opened 'Budget 2026.xlsx' on contoso.sharepoint.com/sites/finance from 203.0.113.7"),
    (6, "FileDownloaded", FILE, "alice@contoso.com downloaded 'Budget 2026.xlsx' on contoso.sharepoint.com/sites/finance"),
    (6, "FileUploaded", {"SourceFileName": "a.txt"}, "alice@contoso.com uploaded 'a.txt'"),
    (6, "FileModified", {"SourceFileName": "a.txt"}, "alice@contoso.com changed 'a.txt'"),
    (6, "FileDeleted", {"SourceFileName": "a.txt"}, "alice@contoso.com deleted 'a.txt'"),
    (6, "FileSyncDownloadedFull", {"SourceFileName": "a.txt"}, "alice@contoso.com synchronised a copy of 'a.txt'"),
    (6, "FileRenamed", {"SourceFileName": "a.txt", "DestinationFileName": "b.txt"},
     "alice@contoso.com renamed 'a.txt' to 'b.txt'"),
    (6, "FileMoved", {"SourceFileName": "a.txt", "DestinationRelativeUrl": "Archive"},
     "alice@contoso.com moved 'a.txt' to 'Archive'"),
    (6, "FileMalwareDetected", {"SourceFileName": "a.exe", "VirusInfo": "Bad"}, "Malware (Bad) was found in 'a.exe'"),
    (6, "FolderCreated", {"SourceFileName": "New"}, "alice@contoso.com created the folder 'New'"),
    (4, "PageViewed", {"ObjectId": f"{SITE}Home.aspx"}, "alice@contoso.com viewed the page /sites/finance/Home.aspx"),
    (6, "SearchQueryPerformed", {"SearchQueryText": "passwords"}, "alice@contoso.com searched SharePoint for 'passwords'"),
    (14, "SharingSet", {**FILE, "TargetUserOrGroupType": "Guest", "TargetUserOrGroupName": "eve@example.com",
                        "EventData": "<Permissions granted>Contribute</Permissions granted>"},
     "alice@contoso.com shared 'Budget 2026.xlsx' with eve@example.com with the right Contribute"),
    (14, "SharingSet", {**FILE, "TargetUserOrGroupType": "SharePointGroup",
                        "TargetUserOrGroupName": "SharingLinks.55555555-5555-5555-5555-555555555555.AnonymousEdit.1"},
     "alice@contoso.com shared 'Budget 2026.xlsx' by a link (AnonymousEdit)"),
    (14, "SharingInvitationCreated", {**FILE, "TargetUserOrGroupType": "Guest", "TargetUserOrGroupName": "eve@example.com"},
     "alice@contoso.com invited eve@example.com to 'Budget 2026.xlsx'"),
    (14, "AnonymousLinkCreated", {"SourceFileName": "a.txt"}, "alice@contoso.com created a link for anyone to 'a.txt'"),
    (14, "AnonymousLinkUsed", {"SourceFileName": "a.txt", "UserId": "anonymous", **FROM},
     "Somebody anonymous used a link for anyone to 'a.txt' from 203.0.113.7"),
    (14, "AddedToSecureLink", {"SourceFileName": "a.txt", "TargetUserOrGroupType": "Member", "TargetUserOrGroupName": BOB},
     "alice@contoso.com let bob@contoso.com use a link to 'a.txt'"),
    (14, "SecureLinkUsed", {"SourceFileName": "a.txt"}, "alice@contoso.com used a link for certain people to 'a.txt'"),
    (14, "SiteCollectionAdminAdded", {"SiteUrl": SITE, "TargetUserOrGroupName": BOB, "TargetUserOrGroupType": "Member"},
     "alice@contoso.com made bob@contoso.com an administrator of the site contoso.sharepoint.com/sites/finance"),
    (4, "PermissionLevelAdded", {"ObjectId": SITE, "EventData": "<PermissionLevel>Restricted View</PermissionLevel>"},
     "alice@contoso.com added the permission level 'Restricted View' on contoso.sharepoint.com/sites/finance"),
    (14, "AddedToGroup", {"SiteUrl": SITE, "TargetUserOrGroupName": BOB, "EventData": "<Group>Site Owners</Group>"},
     "alice@contoso.com added bob@contoso.com to the group 'Site Owners' of contoso.sharepoint.com/sites/finance"),
    # Directory
    (8, "Add user.", {**USER, **FROM}, "alice@contoso.com created the user bob@contoso.com from 203.0.113.7"),
    (8, "Delete user.", USER, "alice@contoso.com deleted the user bob@contoso.com"),
    (8, "Update user.", {**USER, "ModifiedProperties": changes(Included_Updated_Properties="AccountEnabled")},
     "alice@contoso.com changed the user bob@contoso.com: AccountEnabled"),
    (8, "Reset user password.", USER, "alice@contoso.com reset the password of bob@contoso.com"),
    (8, "Change user password.", USER, "alice@contoso.com changed the password of bob@contoso.com"),
    (8, "Disable account.", USER, "alice@contoso.com disabled the user bob@contoso.com"),
    (8, "Add member to role.", {**USER, "ModifiedProperties": changes(Role__DisplayName='"Global Administrator"')},
     "alice@contoso.com gave bob@contoso.com the role 'Global Administrator'"),
    (8, "Add member to group.", {**USER, "ModifiedProperties": changes(Group__DisplayName="Finance")},
     "alice@contoso.com added bob@contoso.com to the group 'Finance'"),
    (8, "Update group.", GROUP, "alice@contoso.com changed the group 'Finance'"),
    (8, "Add application.", APPLICATION, "alice@contoso.com created the application 'Payroll'"),
    (8, "Add service principal.", target("ServicePrincipal", "Payroll"),
     "alice@contoso.com added the service principal 'Payroll'"),
    (8, "Update application \u2013 Certificates and secrets management ", APPLICATION,
     "alice@contoso.com changed certificates or secrets of the application 'Payroll'"),
    (8, "Consent to application.", {**APPLICATION, "ModifiedProperties": changes(ConsentContext__IsAdminConsent="True")},
     "alice@contoso.com consented to the application 'Payroll' for all users"),
    (8, "Add app role assignment to service principal.",
     {**target("ServicePrincipal", "Microsoft Graph"),
      "ModifiedProperties": changes(AppRole__Value="Mail.Read", ServicePrincipal__DisplayName="Payroll")},
     "alice@contoso.com gave the application 'Payroll' the permission Mail.Read on 'Microsoft Graph'"),
    (8, "Add delegated permission grant.",
     {**target("ServicePrincipal", "Microsoft Graph"),
      "ModifiedProperties": changes(
          DelegatedPermissionGrant__Scope=" User.Read", DelegatedPermissionGrant__ConsentType="AllPrincipals")},
     "alice@contoso.com gave an application the delegated permission User.Read on 'Microsoft Graph' for all users"),
    (8, "Set domain authentication.", target("Domain", "contoso.com"),
     "alice@contoso.com changed how users sign in at the domain contoso.com"),
    (8, "Add user.", {**USER, "ResultStatus": "Failure"}, "alice@contoso.com failed to create the user bob@contoso.com"),
    # Teams
    (25, "TeamCreated", TEAM, "alice@contoso.com created the team 'Finance'"),
    (25, "MemberAdded", {**TEAM, "Members": [{"UPN": BOB}]}, "alice@contoso.com added bob@contoso.com to the team 'Finance'"),
    (25, "MemberAdded", {**TEAM, "Members": [{"UPN": f"user{number}@contoso.com"} for number in range(5)]},
     "alice@contoso.com added user0@contoso.com, user1@contoso.com, user2@contoso.com and 2 more to the team 'Finance'"),
    (25, "TeamsSessionStarted", FROM, "alice@contoso.com started a Teams session from 203.0.113.7"),
    (25, "MessageSent", {**TEAM, "MessageURLs": ["https://a.example", "https://b.example"]},
     "alice@contoso.com sent a message with 2 links in the channel 'General' of the team 'Finance'"),
    (25, "ChatCreated", {"Members": [{"UPN": ALICE}, {"UPN": BOB}]}, "alice@contoso.com created a chat with 2 members"),
    (25, "BotAddedToTeam", {"TeamName": "Finance", "AddOnName": "Helper"},
     "alice@contoso.com added the bot 'Helper' in the team 'Finance'"),
    # Security and compliance
    (11, "DlpRuleMatch", {**RULE, "SharePointMetaData": {"From": ALICE, "FileName": "a.txt"}},
     "alice@contoso.com's file 'a.txt' matched the DLP rule 'Card numbers' of the policy 'Cards'"),
    (13, "DlpRuleMatch", {"PolicyDetails": [{"Rules": [{"RuleName": "Card numbers", "Actions": ["BlockAccess"]}]}],
                          "ExchangeMetaData": {"From": ALICE, "Subject": "Cards"}},
     "alice@contoso.com's message 'Cards' matched the DLP rule 'Card numbers' and was stopped"),
    (13, "DlpRuleUndo", RULE, "Content no longer matches the DLP rule 'Card numbers' of the policy 'Cards'"),
    (40, "AlertTriggered", {"Name": "Mass download", "Severity": "High", "Data": '{"f3u": "bob@contoso.com"}'},
     "The alert 'Mass download' was raised about bob@contoso.com with severity High"),
    (40, "AlertEntityGenerated", {"Name": "Mass download", "AlertEntityId": BOB, "EntityType": "User"},
     "The alert 'Mass download' names bob@contoso.com as User"),
    (28, "TIMailData", {"Subject": "Win", "P2Sender": "eve@example.com", "Recipients": [BOB], "Verdict": "Phish",
     "DeliveryAction": "Blocked"},
     "A message 'Win' from eve@example.com to bob@contoso.com was found to be phishing and blocked"),
    (41, "TIUrlClickData", {"Url": "https://bad.example/x", "UserIp": "203.0.113.7", "URLClickAction": 4},
     "alice@contoso.com clicked the link https://bad.example/x from 203.0.113.7 and went on in spite of the warning"),
    (65, "QuarantineReleaseMessage", {"NetworkMessageId": "1-2", "ReleaseTo": [BOB]},
     "alice@contoso.com released a message in quarantine to bob@contoso.com (network message id 1-2)"),
    (83, "SensitivityLabelRemoved", {"LabelName": "Secret", "ObjectId": "C:\\Work\\a.docx"},
     "alice@contoso.com removed the sensitivity label 'Secret' of 'a.docx'"),
    (24, "SearchCreated", {"ObjectId": "Leavers", "CaseName": "Case 1"},
     "alice@contoso.com created the content search 'Leavers' in the case 'Case 1'"),
    (24, "SearchExported", {"ObjectId": "Leavers"}, "alice@contoso.com started an export of the content search 'Leavers'"),
    # Others
    (261, "CopilotInteraction", {"CopilotEventData": {"AppHost": "Word",
     "AccessedResources": [{"Name": "a.docx"}, {"Name": "b.docx"}]}},
     "alice@contoso.com used Copilot in Word, which read a.docx and b.docx"),
    (20, "ViewReport", {"ReportName": "Sales", "WorkSpaceName": "Board"},
     "alice@contoso.com viewed the report 'Sales' in the workspace 'Board'"),
    (20, "ExportReport", {"ReportName": "Sales"}, "alice@contoso.com exported the report 'Sales'"),
    (66, "EditForm", {"FormName": "Survey"}, "alice@contoso.com changed the form 'Survey'"),
    (22, "GroupCreation", {"GroupName": "Sales"}, "alice@contoso.com created the Viva Engage group 'Sales'"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "operation", "fields", "sentence"), CASES)
def test_message_says_what_happened(kind: int, operation: str, fields: dict[str, Any], sentence: str) -> None:
    assert said(kind, operation, **fields) == sentence


def test_table_of_sentences_covers_the_common_operations() -> None:
    assert len({operation for _kind, operation, _fields, _sentence in CASES}) >= 60


# What no template knows


def test_other_operations_are_said_with_their_name_and_object() -> None:
    assert (
        said(999, "Fly to the moon.", ObjectId="rocket 1", **FROM)
        == "alice@contoso.com performed Fly to the moon on rocket 1 from 203.0.113.7"
    )
    assert said(999, "Fly", ObjectId="Not Available") == "alice@contoso.com performed Fly"


def test_who_is_not_named_is_someone() -> None:
    assert said(999, "Fly", UserId="Not Available", UserKey="Not Available") == "Someone performed Fly"


def test_other_failed_operations_say_so() -> None:
    assert said(999, "Fly", ResultStatus="Failed") == "alice@contoso.com failed to perform Fly"


def test_record_without_operation_has_no_message() -> None:
    assert MESSAGES.say(*mapped({"Id": "1"})) is None
    assert MESSAGES.say({}, {}) is None


def test_operation_of_another_kind_of_record_is_not_mistaken() -> None:
    assert said(999, "Create", ObjectId="account") == "alice@contoso.com created something on account"


@pytest.mark.parametrize("operation", ["Add user.", "Add user", "ADD USER.", "Add user . "])
def test_case_and_dots_of_operations_do_not_matter(operation: str) -> None:
    assert said(8, operation, **USER) == "alice@contoso.com created the user bob@contoso.com"


# Rows of the mapping


def test_message_that_the_mapping_made_stays() -> None:
    originals, document = mapped(fakes.record(1))
    assert MESSAGES.say(originals, {**document, "message": "New alert"}) is None


def test_nothing_is_changed() -> None:
    originals, document = mapped(fakes.record(1, **FILE))
    before = orjson.dumps([originals, document])
    MESSAGES.say(originals, document)
    assert orjson.dumps([originals, document]) == before


# Odd values


def test_line_breaks_and_control_characters_become_blanks() -> None:
    text = said(6, "FileDeleted", SourceFileName="a\r\nb\x00\x1b[31m\u202egpj.exe\u2028 c")
    assert text == "alice@contoso.com deleted 'a b [31m gpj.exe c'"


def test_long_values_leave_room_for_the_others() -> None:
    text = said(6, "FileDeleted", SourceFileName="x" * 100_000, **FROM)
    assert text is not None
    assert len(text) <= MAX_LENGTH
    assert text.endswith("xxx…' from 203.0.113.7")


def test_message_is_bounded_even_with_many_long_values() -> None:
    parameters = pairs(
        **{name: name * 500 for name in ("Name", "From", "ForwardTo", "RedirectTo", "MoveToFolder", "SubjectContainsWords")}
    )
    text = said(1, "New-InboxRule", Parameters=parameters)
    assert text is not None
    assert len(text) == MAX_LENGTH
    assert text.endswith("…")


def test_text_of_any_language_is_said_as_it_is() -> None:
    assert said(6, "FileDeleted", SourceFileName="Übersicht 売上.xlsx") == "alice@contoso.com deleted 'Übersicht 売上.xlsx'"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 messages"),
        (1, "1 message"),
        ("1", "1 message"),
        (2, "2 messages"),
        (5000, "5000 messages"),
        ("many", "messages"),
        (-1, "-1 messages"),
    ],
)
def test_numbers_agree_with_their_nouns(count: Any, words: str) -> None:
    assert said(50, "MailItemsAccessed", OperationCount=count) == f"alice@contoso.com read {words} in a mailbox"


def test_lists_and_objects_where_text_is_expected_do_no_harm() -> None:
    assert said(6, "FileDeleted", SourceFileName=["a.txt", "b.txt"], ObjectId={"a": 1}) == "alice@contoso.com deleted a file"
    added = said(14, "AddedToGroup", EventData={"Group": "x"}, TargetUserOrGroupName=[BOB, ALICE])
    assert added == "alice@contoso.com added bob@contoso.com and alice@contoso.com to the group"
    assert said(15, "UserLoggedIn", ApplicationId=[1, {"a": 2}, None]) == "alice@contoso.com signed in"


SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=40) | st.just("x" * 3000)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["Name", "Value", "ID", "Type", "Path", "UPN", "a"]), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = sorted(
    {name for _kind, _operation, fields, _sentence in CASES for name in fields}
    | {"UserId", "Operation", "RecordType", "ClientIP"}
)


@settings(max_examples=400, deadline=None)
@given(case=st.sampled_from(CASES), odd=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))
def test_whatever_a_record_holds_its_message_is_one_line_of_bounded_length(case: Any, odd: dict[str, Any]) -> None:
    kind, operation, fields, _sentence = case
    text = MESSAGES.say(*mapped({**fakes.record(1, RecordType=kind, Operation=operation), **fields, **odd}))
    assert text is None or (0 < len(text) <= MAX_LENGTH and text.isprintable())


# The shipped file


def shipped() -> list[tuple[str, list[int]]]:
    """Returns each operation that has a message, with the record types it is for."""
    entries = read_yaml("ecs/messages.yaml")["messages"]
    return [(name, entry.get("record_types") or []) for entry in entries for name in entry["names"]]


def classed() -> dict[str, set[str]]:
    """Returns the spellings of each operation that the mapping tables know, by its name in lower case."""
    found: dict[str, set[str]] = {}
    for path in shipped_files():
        for entry in read_yaml(f"ecs/mapping/{path.name}").get("operations") or []:
            names = entry["names"]
            for name in names if isinstance(names, list) else [names]:
                found.setdefault(name.lower(), set()).add(name)
    return found


def test_operations_are_spelled_as_in_the_mapping_tables() -> None:
    known = classed()
    differing = {name: known[name.lower()] for name, _kinds in shipped() if name not in known.get(name.lower(), {name})}
    assert differing == {}


def test_names_of_operations_have_no_dot_or_blank_at_their_ends() -> None:
    assert [name for name, _kinds in shipped() if name != name.strip(" .")] == []


def test_each_shipped_operation_has_a_sentence_of_its_own() -> None:
    """Also compiles every template."""
    without = []
    for name, kinds in shipped():
        if "*" not in name:
            record = fakes.record(
                1, RecordType=(kinds or [999])[0], Operation=name, SourceFileName="a.txt", Name="A", ObjectId="o", Url="u"
            )
            originals, document = mapped(record)
            text = MESSAGES.say(originals, {**document, "rule": {"name": "R"}, "url": {"original": "u"}})
            without += [name] if not text or name in text else []
    assert without == []


COMMON = """
UserLoggedIn 15,UserLoginFailed 15,MailItemsAccessed 50,Send 2,Create 2,Update 2,MoveToDeletedItems 3,SoftDelete 3
HardDelete 3,ModifyFolderPermissions 2,UpdateInboxRules 2,New-InboxRule 1,Set-Mailbox 1,Add-MailboxPermission 1
Enable-AddressListPaging 1,Set-OwaMailboxPolicy 1,Install-DefaultSharingPolicy 1,New-ExchangeAssistanceConfig 1
Set-TransportConfig 1,Set-User 1,New-Mailbox 1,Get-ComplianceTag 18,Get-CsTeamsUpgradePolicy 23,Set-CsTeamsMeetingPolicy 23
FileAccessed 6,FileAccessedExtended 6,FilePreviewed 6,FileModified 6,FileModifiedExtended 6,FileUploaded 6,FileDownloaded 6
FileSyncDownloadedFull 6,FileDeleted 6,FileRecycled 6,FileMoved 6,FileRenamed 6,FileCopied 6,FolderCreated 6,FolderModified 6
FolderDeleted 6,PageViewed 4,PageViewedExtended 4,PagePrefetched 4,ClientViewSignaled 4,SearchQueryPerformed 4,ListViewed 36
ListUpdated 36,ListColumnCreated 56,ListItemCreated 54,ListItemUpdated 54,SiteCollectionCreated 4
SiteCollectionQuotaModified 4,GroupAdded 14,PermissionLevelAdded 4,SharingSet 14,SharingInheritanceBroken 14,AddedToGroup 14
RemovedFromGroup 14,AnonymousLinkCreated 14,AnonymousLinkUsed 14,CompanyLinkCreated 14,SecureLinkUsed 14,AddedToSecureLink 14
ManagedSyncClientAllowed 4,FileMalwareDetected 6,Add user. 8,Update user. 8,Delete user. 8,Add group. 8,Update group. 8
Add member to group. 8,Add member to role. 8,Add application. 8,Update application. 8,Add service principal. 8
Update service principal. 8,Consent to application. 8,Add delegated permission grant. 8,Add registered owner to device. 8
Add registered users to device. 8,Create company. 8,Set directory feature on tenant. 8,Update PasswordProfile. 8
Update device. 8,Reset user password. 8,Change user license. 8,Update StsRefreshTokenValidFrom Timestamp. 8,MessageSent 25
MessageUpdated 25,MessageReadReceiptReceived 25,MessageCreatedHasLink 25,ChatCreated 25,TeamCreated 25,MemberAdded 25
MemberRoleChanged 25,TeamsSessionStarted 25,ReactedToMessage 25,MeetingDetail 25,DlpRuleMatch 13,DlpRuleUndo 11
AlertTriggered 40,AlertEntityGenerated 40,AlertUpdated 40,MCAS_ALERT_ANUBIS_DETECTION 98,TIMailData 28,TIUrlClickData 41
AtpDetection 47,AirInvestigationData 64,QuarantineRelease 65,QuarantinePreview 65,Discover 93,Access 93,HeartBeat 97
MessageAccess 154,AttachmentReview 154,Search 52,SearchMtpStatus 52,SearchDataInsightsSubscription 52
ValidaterbacAccessCheck 52,AggregateThreatProfileDetails 52,ViewReport 20,CreateArtifact 20,CopilotInteraction 261
EditForm 66,GroupCreation 22,SearchCreated 24,SensitivityLabelApplied 83,RiskDetected 294,COMPLIANCEMANAGER-SCORECHANGE 155
AttackSim 85,Update 21
"""


@pytest.mark.parametrize("status", ["Success", "Failed"])
@pytest.mark.parametrize("entry", [entry for line in COMMON.split("\n") for entry in line.split(",") if entry])
def test_common_operations_are_said_in_words(entry: str, status: str) -> None:
    operation, _, kind = entry.rpartition(" ")
    text = said(int(kind), operation, ResultStatus=status, ObjectId="thing", Name="A", Severity="High", SourceFileName="a.txt")
    assert text
    assert " did " not in text
    assert " performed " not in text
    if "-" not in operation or operation.isupper():  # cmdlets keep their names
        assert operation.rstrip(".") not in text or operation.islower()


@pytest.mark.parametrize(
    ("operation", "deed", "attempt"),
    [
        ("WidgetCreated", "created a widget", "failed to create a widget"),
        ("SiteCollectionQuotaModified", "modified a site collection quota", "failed to modify a site collection quota"),
        ("AddedToSecureLink", "added to secure link", "failed to add to secure link"),
        ("UpdateDLPPolicy", "updated DLP policy", "failed to update DLP policy"),
        ("Update PasswordProfile.", "updated password profile", "failed to update password profile"),
        ("EntriesDeleted", "deleted entries", "failed to delete entries"),
        ("Get-CsTenant", "ran Get-CsTenant", "failed to run Get-CsTenant"),
        ("Fly", "performed Fly", "failed to perform Fly"),
        ("Update", "updated something", "failed to update something"),
        (" . ", None, None),
    ],
)
def test_operations_without_template_are_said_by_their_verb(operation: str, deed: str | None, attempt: str | None) -> None:
    deeds = Deeds(read_yaml("ecs/words.yaml")["verbs"])
    assert (deeds.deed(operation), deeds.attempt(operation)) == (deed, attempt)


ALERTS = [
    {"Name": "Mass download", "Severity": "High", "Data": '{"f3u": "bob@contoso.com"}'},
    {"Name": "Mass deletion", "Severity": "High", "Data": '{"f3u": "bob@contoso.com"}'},
    {"Name": "Mass download", "Severity": "Low", "Data": '{"f3u": "bob@contoso.com"}'},
    {"Name": "Mass download", "Severity": "High", "Data": '{"f3u": "eve@contoso.com"}'},
    {"Name": "Mass download", "Severity": "High", "Data": '{"trc": "amy@contoso.com"}'},
    {"Name": "Mass download", "Severity": "High", "Data": '{"f3u": "bob@contoso.com"}', "Comments": "Seen by us"},
]


@pytest.mark.parametrize("operation", ["AlertTriggered", "AlertUpdated", "SomethingNew"])
def test_no_two_alerts_say_the_same(operation: str) -> None:
    alerts = [said(40, operation, UserId="SecurityComplianceAlerts", **{"Comments": "New alert", **fields}) for fields in ALERTS]
    assert len(set(alerts)) == len(ALERTS)
    assert not any("New alert" in (text or "") for text in alerts)


# A user's own files


def own(folder: Path, *texts: str) -> Messages:
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"own{number}.yaml")
        paths[-1].write_text(text, encoding="utf-8")
    return load_messages(paths)


def test_own_messages_come_before_ours_the_last_file_first(tmp_path: Path) -> None:
    first = "messages: [{names: [FileDeleted, Fly], say: '{user} removed {file.name}'}]"
    second = "messages: [{names: {Fly: flew}, say: '{user} {verb}[ with {o365.audit.Craft}]'}]"
    messages = own(tmp_path, first, second)
    assert said(6, "FileDeleted", messages, SourceFileName="a.txt") == "alice@contoso.com removed a.txt"
    assert said(6, "Fly", messages, Craft="a kite") == "alice@contoso.com flew with a kite"
    assert said(6, "FileUploaded", messages, SourceFileName="a.txt") == "alice@contoso.com uploaded 'a.txt'"


def test_own_values_prefix_and_other_replace_ours(tmp_path: Path) -> None:
    text = "values: {user: {from: UserKey, suffix: '@contoso.com'}}\nfailure_prefix: 'No: '\nother: '{user}: {event.action}'\n"
    messages = own(tmp_path, text)
    assert said(6, "FileUploaded", messages, UserKey="bob@contoso.com", SourceFileName="a") == "bob uploaded 'a'"
    assert said(999, "Fly", messages, UserKey="bob", ResultStatus="Failed") == "No: bob: Fly"


def test_own_message_that_can_not_be_said_leaves_it_to_the_fallback(tmp_path: Path) -> None:
    messages = own(tmp_path, "messages: [{names: FileDeleted, say: '{Reason} led to it'}]")
    assert said(6, "FileDeleted", messages) == "alice@contoso.com deleted a file"


def test_conditions_choose_among_texts(tmp_path: Path) -> None:
    text = """\
messages:
  - names: [Fly*]
    record_types: [6]
    say:
      - {text: over water, when: {ItemType: Boat, "SiteUrl|exists": false}}
      - {text: "over {SiteUrl}", when: {ItemType|startswith: P}}
      - somewhere
"""
    messages = own(tmp_path, text)
    assert said(6, "FlyAway", messages, ItemType="boat") == "over water"
    assert said(6, "FlyAway", messages, ItemType="boat", SiteUrl="x") == "somewhere"
    assert said(6, "FlyAway", messages, ItemType="Plane", SiteUrl="x") == "over x"
    assert said(7, "FlyAway", messages) == "alice@contoso.com performed FlyAway"


def test_optional_parts_stand_in_one_another_and_signs_can_be_escaped(tmp_path: Path) -> None:
    messages = own(tmp_path, r"messages: [{names: Fly, say: 'a | b \[\{\}\][ in {SiteUrl}[ at {ItemType}]| nowhere]'}]")
    assert said(6, "Fly", messages, SiteUrl="s", ItemType="t") == "a | b [{}] in s at t"
    assert said(6, "Fly", messages, SiteUrl="s") == "a | b [{}] in s"
    assert said(6, "Fly", messages, ItemType="t") == "a | b [{}] nowhere"


DEFECTS = [
    ("messages: [{names: [A], say: '{user'}]", 'own0.yaml:1:25  messages[0].say: "{" lacks its partner'),
    ("messages: [{names: [A], say: 'x]'}]", '"]" lacks its partner'),
    ("messages: [{names: [A], say: '[x'}]", '"[" lacks its partner'),
    ("messages: [{names: [A], say: '{}'}]", "{} names no field"),
    ("messages: [{names: [A], say: '{ItemCount|item}'}]", "a number takes two nouns"),
    ("messages: [{names: [A], say: '" + "[" * 9 + "]" * 9 + "'}]", "in one another more than 8 deep"),
    ("messages: [{names: [A], say: '{source.ipp}'}]", "no field of ECS or of o365.audit, and no value (did you mean source.ip?)"),
    ("messages: [{names: [A], say: '{Usr}'}]", "no field of ECS"),
    ("messages: [{names: [A], say: '{Target[x}'}]", "is no step of a path"),
    ("messages: [{names: [A], say: '{verb}'}]", "{verb} needs words beside each operation"),
    ("messages: [{names: [A], says: x}]", "unknown key (did you mean say?)"),
    ("messages: [{names: [A]}]", "`say` is missing"),
    ("messages: [{names: [], say: x}]", "operations are needed here"),
    ("messages: [{names: [A], record_types: [x], say: x}]", 'record types are numbers, not "x"'),
    ("messages: [{names: [A], say: x}, {names: [a], say: y}]", 'messages[1].names: "a" has a message already, in line 1'),
    ("messages: [{names: [A], say: [{text: x, when: {ItemType|is: y}}]}]", '"is" is none of'),
    ("messages: [{names: [A], say: [{text: x, when: {ItemType|exists: y}}]}]", "exists takes true or false"),
    ("messages: [{names: [A], say: 5}]", "a mapping is needed here"),
    ("messages: {names: [A]}", "a list is needed here"),
    ("values: {a: {from: UserId, as: trimed}}", '"trimed" of text (did you mean trimmed?)'),
    ("values: {a: {from: UserId, match: '('}}", "no regular expression"),
    ("values: {a: {from: UserId, match: 'x'}}", "needs one group"),
    ("values: {a: 5}", "a mapping is needed here"),
    ("values: {a: {words: {x: y}}}", "a source is the name of a field"),
]


@pytest.mark.parametrize(("text", "finding"), DEFECTS)
def test_defect_of_a_file_is_named_with_its_place(text: str, finding: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        own(tmp_path, text)
    assert finding in str(caught.value)
    assert "own0.yaml:1:" in str(caught.value)


def test_all_defects_of_all_files_are_found_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        own(tmp_path, "messages: [{names: [A], say: '{Usr}'}]", "values:\n  a: {from: UserId, match: '('}\n")
    assert len(str(caught.value).splitlines()) == 2
    assert "own1.yaml:2:21  values.a.match: " in str(caught.value)


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: can't read the message file: "):
        load_messages([tmp_path / "nowhere.yaml"])
