#Requires -Modules ExchangeOnlineManagement
<#
.SYNOPSIS
    Adds the mailbox audit actions that are missing, switches auditing on where it is off, and ends audit bypasses.

.DESCRIPTION
    Made by ualpipe mailbox-audit. Reads the present state of each mailbox first and changes only what is still to be changed, so that
    a second run changes nothing. Lists of actions are only ever added to. A list that followed Microsoft's stops to follow it when
    something is added, and keeps what is in it.

    Connect first: Connect-ExchangeOnline. Needs the role Exchange Administrator, or Audit Logs and Mail Recipients.

.PARAMETER ReportFolder
    Folder for mailbox-audit-before.csv, mailbox-audit-after.csv and mailbox-audit-changes.csv. They are written with -WhatIf, too.

.EXAMPLE
    ./fix.ps1 -WhatIf

    Shows what would be changed.
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Medium')]
param(
    [string] $ReportFolder = '.'
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

# What was found missing in the exports. Guid is what mailboxes and accounts are known by here; names are not unique.
$Mailboxes = @(
    # @mailboxes@
)
$Accounts = @(
    # @accounts@
)
$SwitchUnifiedLogOn = $false # @unified-log@
$SwitchOrganisationOn = $false # @organisation@

function New-Result {
    param([string] $Guid, [string] $Name, [string] $What, [string] $Outcome, [string] $Detail)
    [pscustomobject]@{ Guid = $Guid; Name = $Name; What = $What; Outcome = $Outcome; Detail = $Detail }
}

# Returns why Exchange refuses an action, for the refusals that are known; an empty text for any other error.
function Get-Refusal {
    param([string] $Message)
    if ($Message -match 'is deprecated') { return 'withdrawn by Microsoft' }
    if ($Message -match 'Invalid audit operation specified') { return 'not available for this kind of log-on or licence' }
    if ($Message -match 'only available for users with appropriate license') { return 'needs another licence' }
    if ($Message -match 'already being audited') { return 'audited already' }
    if ($Message -match 'Cannot convert value|Cannot process argument transformation') { return 'not known to this version of Exchange' }
    return ''
}

function Get-AuditState {
    param([string] $Guid, [string] $Name)
    try {
        $mailbox = Get-Mailbox -Identity $Guid -ErrorAction Stop
        [pscustomobject]@{
            Guid = $Guid
            Name = $Name
            AuditEnabled = $mailbox.AuditEnabled
            AuditLogAgeLimit = "$($mailbox.AuditLogAgeLimit)"
            DefaultAuditSet = "$($mailbox.DefaultAuditSet)"
            AuditAdmin = "$($mailbox.AuditAdmin)"
            AuditDelegate = "$($mailbox.AuditDelegate)"
            AuditOwner = "$($mailbox.AuditOwner)"
        }
    }
    catch {
        Write-Warning "$Name ($Guid): $($_.Exception.Message)"
    }
}

function Set-AuditAction {
    param([string] $Guid, [string] $LogonType, [string[]] $Actions)
    if ($LogonType -eq 'Admin') { Set-Mailbox -Identity $Guid -AuditAdmin @{ Add = $Actions } -ErrorAction Stop }
    if ($LogonType -eq 'Delegate') { Set-Mailbox -Identity $Guid -AuditDelegate @{ Add = $Actions } -ErrorAction Stop }
    if ($LogonType -eq 'Owner') { Set-Mailbox -Identity $Guid -AuditOwner @{ Add = $Actions } -ErrorAction Stop }
}

# Adds actions at once; where Exchange refuses one of them, each by itself, so that the others are added.
function Add-AuditAction {
    param($Wanted, [string] $LogonType, [string[]] $Actions)
    try {
        Set-AuditAction -Guid $Wanted.Guid -LogonType $LogonType -Actions $Actions
        New-Result -Guid $Wanted.Guid -Name $Wanted.Name -What "Audit$LogonType" -Outcome 'added' -Detail ($Actions -join ',')
        return
    }
    catch {
        if (-not (Get-Refusal -Message $_.Exception.Message)) {
            New-Result -Guid $Wanted.Guid -Name $Wanted.Name -What "Audit$LogonType" -Outcome 'failed' -Detail $_.Exception.Message
            return
        }
    }
    foreach ($action in $Actions) {
        try {
            Set-AuditAction -Guid $Wanted.Guid -LogonType $LogonType -Actions @($action)
            New-Result -Guid $Wanted.Guid -Name $Wanted.Name -What "Audit$LogonType" -Outcome 'added' -Detail $action
        }
        catch {
            $refusal = Get-Refusal -Message $_.Exception.Message
            if ($refusal) {
                New-Result -Guid $Wanted.Guid -Name $Wanted.Name -What "Audit$LogonType" -Outcome 'refused' -Detail "${action}: $refusal"
            }
            else {
                New-Result -Guid $Wanted.Guid -Name $Wanted.Name -What "Audit$LogonType" -Outcome 'failed' -Detail $_.Exception.Message
            }
        }
    }
}

function Repair-Mailbox {
    param($Wanted)
    try {
        $current = Get-Mailbox -Identity $Wanted.Guid -ErrorAction Stop
        if ($Wanted.Enable -and -not $current.AuditEnabled) {
            if ($PSCmdlet.ShouldProcess($Wanted.Name, 'AuditEnabled: True')) {
                Set-Mailbox -Identity $Wanted.Guid -AuditEnabled $true -ErrorAction Stop
                New-Result -Guid $Wanted.Guid -Name $Wanted.Name -What 'AuditEnabled' -Outcome 'set' -Detail 'True'
            }
        }
        if ($Wanted.AgeLimitDays -gt 0 -and [timespan]::Parse("$($current.AuditLogAgeLimit)").TotalDays -lt $Wanted.AgeLimitDays) {
            if ($PSCmdlet.ShouldProcess($Wanted.Name, "AuditLogAgeLimit: $($Wanted.AgeLimitDays) days")) {
                Set-Mailbox -Identity $Wanted.Guid -AuditLogAgeLimit "$($Wanted.AgeLimitDays).00:00:00" -ErrorAction Stop
                New-Result -Guid $Wanted.Guid -Name $Wanted.Name -What 'AuditLogAgeLimit' -Outcome 'set' -Detail "$($Wanted.AgeLimitDays)"
            }
        }
    }
    catch {
        New-Result -Guid $Wanted.Guid -Name $Wanted.Name -What 'mailbox' -Outcome 'failed' -Detail $_.Exception.Message
        return
    }
    foreach ($logonType in @('Admin', 'Delegate', 'Owner')) {
        $property = "Audit$logonType"
        $audited = "$($current.$property)" -split '[\s,]+'
        $missing = @($Wanted.$logonType | Where-Object { $audited -notcontains $_ })
        if ($missing.Count -gt 0) {
            if ($PSCmdlet.ShouldProcess($Wanted.Name, "${property}: add $($missing -join ', ')")) {
                Add-AuditAction -Wanted $Wanted -LogonType $logonType -Actions $missing
            }
        }
    }
}

function Stop-Bypass {
    param($Account)
    try {
        $current = Get-MailboxAuditBypassAssociation -Identity $Account.Guid -ErrorAction Stop
        if ($current.AuditBypassEnabled) {
            if ($PSCmdlet.ShouldProcess($Account.Name, 'AuditBypassEnabled: False')) {
                Set-MailboxAuditBypassAssociation -Identity $Account.Guid -AuditBypassEnabled $false -ErrorAction Stop
                New-Result -Guid $Account.Guid -Name $Account.Name -What 'AuditBypassEnabled' -Outcome 'set' -Detail 'False'
            }
        }
    }
    catch {
        New-Result -Guid $Account.Guid -Name $Account.Name -What 'AuditBypassEnabled' -Outcome 'failed' -Detail $_.Exception.Message
    }
}

function Start-UnifiedLog {
    try {
        if (-not (Get-AdminAuditLogConfig -ErrorAction Stop).UnifiedAuditLogIngestionEnabled) {
            if ($PSCmdlet.ShouldProcess('organisation', 'UnifiedAuditLogIngestionEnabled: True')) {
                Set-AdminAuditLogConfig -UnifiedAuditLogIngestionEnabled $true -ErrorAction Stop
                New-Result -Name 'organisation' -What 'UnifiedAuditLogIngestionEnabled' -Outcome 'set' -Detail 'True'
            }
        }
    }
    catch {
        New-Result -Name 'organisation' -What 'UnifiedAuditLogIngestionEnabled' -Outcome 'failed' -Detail $_.Exception.Message
    }
}

function Start-Auditing {
    try {
        if ((Get-OrganizationConfig -ErrorAction Stop).AuditDisabled) {
            if ($PSCmdlet.ShouldProcess('organisation', 'AuditDisabled: False')) {
                Set-OrganizationConfig -AuditDisabled $false -ErrorAction Stop
                New-Result -Name 'organisation' -What 'AuditDisabled' -Outcome 'set' -Detail 'False'
            }
        }
    }
    catch {
        New-Result -Name 'organisation' -What 'AuditDisabled' -Outcome 'failed' -Detail $_.Exception.Message
    }
}

$before = @(foreach ($wanted in $Mailboxes) { Get-AuditState -Guid $wanted.Guid -Name $wanted.Name })
$before | Export-Csv -Path (Join-Path $ReportFolder 'mailbox-audit-before.csv') -NoTypeInformation -Encoding UTF8 -WhatIf:$false -Confirm:$false

$changes = @(
    foreach ($wanted in $Mailboxes) { Repair-Mailbox -Wanted $wanted }
    foreach ($account in $Accounts) { Stop-Bypass -Account $account }
    if ($SwitchUnifiedLogOn) { Start-UnifiedLog }
    if ($SwitchOrganisationOn) { Start-Auditing }
)
$changes | Export-Csv -Path (Join-Path $ReportFolder 'mailbox-audit-changes.csv') -NoTypeInformation -Encoding UTF8 -WhatIf:$false -Confirm:$false

$after = @(foreach ($wanted in $Mailboxes) { Get-AuditState -Guid $wanted.Guid -Name $wanted.Name })
$after | Export-Csv -Path (Join-Path $ReportFolder 'mailbox-audit-after.csv') -NoTypeInformation -Encoding UTF8 -WhatIf:$false -Confirm:$false

$changes
$failed = @($changes | Where-Object { $_.Outcome -eq 'failed' })
Write-Output "$($changes.Count) changes, refusals and failures; $($failed.Count) failed; before and after: $ReportFolder"
if ($failed.Count -gt 0) { exit 1 }
