"""The reports that ship with ualpipe: for each one file of SQL, and one of YAML beside it that says what it answers. No code.

``NAME.sql`` is one SELECT in the SQL that DuckDB and PostgreSQL share, over the relations of ``pipeline.report.contract.Store``.
Columns with a meaning of their own, which are no columns of the report: ``event_ids`` (list of ``event_id``, that each row must
have), and ``excluded`` (text, else null: rows with one are counted by it, and not shown). Rows come in the order that they are
shown in. ``coverage/`` has what is asked beside every report: what makes its answer incomplete.

``NAME.yaml``::

    title: Access to mailboxes by others than their owners
    question: Who was in a mailbox that is not theirs?
    columns:                      # those of the SQL, in its order
      mailbox: {title: Mailbox, about: Owner of the mailbox.}
    group: [mailbox, actor]       # columns by which pages are divided
    timeline: first               # column of instants that the picture shows; left out where there is none
    wrong:                        # what makes it wrong: a sentence each
      - Reads of a throttled mailbox are not recorded for 24 hours.
    not_answered:                 # what people expect here, and these records do not tell
      - …
"""
