#Requires -Modules ExchangeOnlineManagement
<#
.SYNOPSIS
    Writes the exports that `ualpipe mailbox-audit` reads. Changes nothing.

.DESCRIPTION
    Connect first: Connect-ExchangeOnline. The role Global Reader is enough.

.PARAMETER Folder
    Folder for the exports.

.EXAMPLE
    ./collect.ps1 -Folder exports
    ualpipe mailbox-audit exports
#>
[CmdletBinding()]
param(
    [string] $Folder = 'exports'
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
New-Item -ItemType Directory -Path $Folder -Force | Out-Null

# Lists are joined here: Export-Csv would write the name of their type. Get-Mailbox, as Get-EXOMailbox has left actions out.
$properties = @(
    'Guid', 'ExternalDirectoryObjectId', 'ExchangeGuid', 'UserPrincipalName', 'PrimarySmtpAddress', 'DisplayName'
    @{ Name = 'EmailAddresses'; Expression = { $_.EmailAddresses -join ',' } }
    'RecipientTypeDetails', 'AuditEnabled'
    @{ Name = 'AuditLogAgeLimit'; Expression = { "$($_.AuditLogAgeLimit)" } }
    @{ Name = 'DefaultAuditSet'; Expression = { $_.DefaultAuditSet -join ',' } }
    @{ Name = 'AuditAdmin'; Expression = { $_.AuditAdmin -join ',' } }
    @{ Name = 'AuditDelegate'; Expression = { $_.AuditDelegate -join ',' } }
    @{ Name = 'AuditOwner'; Expression = { $_.AuditOwner -join ',' } }
)

function Save-Export {
    param([string] $Name)
    $input | Export-Csv -Path (Join-Path $Folder $Name) -NoTypeInformation -Encoding UTF8
}

Get-Mailbox -ResultSize Unlimited | Select-Object -Property $properties | Save-Export -Name 'mailboxes.csv'
Get-Mailbox -GroupMailbox -ResultSize Unlimited | Select-Object -Property $properties | Save-Export -Name 'group-mailboxes.csv'
Get-MailboxAuditBypassAssociation -ResultSize Unlimited |
    Select-Object -Property @('Guid', 'ExchangeObjectId', 'ExternalDirectoryObjectId', 'Name', 'AuditBypassEnabled') |
    Save-Export -Name 'bypass.csv'
Get-OrganizationConfig | Select-Object -Property AuditDisabled | Save-Export -Name 'organisation.csv'
Get-AdminAuditLogConfig | Select-Object -Property UnifiedAuditLogIngestionEnabled | Save-Export -Name 'unified-log.csv'
