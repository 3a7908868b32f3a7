"""Records of data loss prevention, of alerts, and of bad mail."""

from __future__ import annotations

import json

from ualpipe.simulator.records.maker import Maker, Record
from ualpipe.simulator.records.organisation import Person

_SEVERITIES = ("Low", "Medium", "High")


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
    """Returns the verdict on a phishing message."""
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
