"""Whether mailboxes are audited as a profile asks: reads what Exchange Online exports, judges it, writes what would mend it."""
