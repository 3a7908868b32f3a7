"""Exports that are damaged, cut, hostile or of nobody's making: named with file and line, and the rest is judged."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path

import pytest

from mailboxes.corpus import PLANTED, as_clixml, as_csv, as_json
from ualpipe.pipeline.mailbox_audit.exports import Exports, clixml, model, read_exports, reader

HEADER = (
    '"Guid","UserPrincipalName","RecipientTypeDetails","AuditEnabled","DefaultAuditSet","AuditAdmin","AuditDelegate","AuditOwner"'
)
ALICE = '"11111111-1111-4111-8111-111111111111","alice@contoso.com","UserMailbox","True","","Update","Update","Update"'
BOB = '"21111111-1111-4111-8111-111111111111","bob@contoso.com","UserMailbox","True","","Move","Update","Update"'


@pytest.fixture
def read(tmp_path):
    def exports(content: str | bytes, name: str = "export") -> tuple[Exports, list[str]]:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found = read_exports([path])
        return found, [str(note).removeprefix(f"{path}") for note in found.notes]

    return exports


def names(exports: Exports) -> list[str]:
    return [row.upn for row in exports.mailboxes]


@pytest.mark.parametrize(
    ("bad", "line", "said"),
    [
        ('"31111111-1111-4111-8111-111111111111","cut@conto', 3, "a row of 2 columns in an export of 8: cut?"),
        ("31;cut@contoso.com;UserMailbox;True;;Update;Update;Update", 3, "it is parted by ';', the header by ','"),
        ('1,a@b.example,UserMailbox,True,,Update,Update,"Upda', 3, "a quotation mark is missing"),
    ],
)
def test_a_row_that_is_damaged_is_named_and_its_neighbours_are_read(read, bad, line, said):
    exports, notes = read("\r\n".join([HEADER, ALICE, bad, BOB]))
    assert names(exports) == ["alice@contoso.com", "bob@contoso.com"]
    assert any(note.startswith(f":{line}: ") and said in note for note in notes)
    assert exports.notes.has_loss


def test_a_cut_file_loses_its_last_row_alone(read):
    whole = as_csv()
    exports, notes = read(whole[: len(whole) - 40])
    assert len(exports.mailboxes) == 59
    assert [note for note in notes if note.startswith(":61: ")]


def test_a_header_in_the_middle_begins_another_export(read):
    other = "UserPrincipalName;AuditEnabled\r\ncarol@contoso.com;False\r\n"
    exports, _ = read("\r\n".join([HEADER, ALICE, HEADER, BOB, other]))
    assert names(exports) == ["alice@contoso.com", "bob@contoso.com", "carol@contoso.com"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ": the file is empty"),
        ("\r\n \r\n", ": the file is empty"),
        (
            "Guid^UserPrincipalName^AuditEnabled\r\n1^a^True\r\n",
            ":1: the header is parted by none of comma, semicolon, tab and bar",
        ),
        ("a,b,c\r\n1,2,3\r\n", ":1: no header with columns that are known here"),
        (b"\x89PNG\r\n\x1a\n", ": a picture (PNG)"),
        (b"PK\x03\x04" + b"\0" * 40 + b"xl/workbook.xml" + b"\0" * 600, ": an Excel workbook"),
        ('[{"Colour": "red"}]', ":1: columns of no export that is known here: colour"),
        ("[1, 2]", ":1: a value that is no object"),
        ("<html><body>Sign in</body></html>", ":1: XML that is no CLIXML"),
        ("<Objs><Obj>", ":1: damaged or cut XML"),
        ("[]", ": no mailboxes, accounts or settings in it"),
        (HEADER, ": no mailboxes, accounts or settings in it"),
    ],
)
def test_what_is_no_export_is_named_with_what_it_is(read, content, said):
    exports, notes = read(content)
    assert not exports.mailboxes
    assert exports.notes.has_loss
    assert any(note.startswith(said) for note in notes), notes


def test_mailboxes_without_audit_columns_are_not_exported_and_said_to_be(read):
    exports, notes = read("UserPrincipalName,RecipientTypeDetails\r\nalice@contoso.com,UserMailbox\r\n")
    (row,) = exports.mailboxes
    assert (row.is_enabled, row.followed, set(row.lists.values())) == (None, None, {None})
    assert ":2: mailboxes without any audit column" in notes[0]


def test_empty_cells_of_a_mailbox_without_audit_properties_are_not_exported(read):
    rows = [HEADER, '"1","alice@contoso.com","UserMailbox","","","","",""', BOB]
    exports, notes = read("\r\n".join(rows))
    first, second = exports.mailboxes
    assert (first.followed, set(first.lists.values())) == (None, {None})
    assert second.followed is not None
    assert ":2: AuditEnabled is empty in 1 row" in notes[0]


def test_a_list_that_is_empty_in_every_row_counts_only_where_another_setting_was_exported(read):
    exports, _ = read("UserPrincipalName,AuditOwner\r\na@contoso.com,\r\nb@contoso.com,\r\n")
    assert [row.lists["owner"] for row in exports.mailboxes] == [None, None]
    exports, _ = read("UserPrincipalName,AuditEnabled,AuditOwner\r\na@contoso.com,True,\r\n")
    assert exports.mailboxes[0].lists["owner"].names == frozenset()


def test_json_that_is_cut_loses_the_object_that_it_ends_in(read):
    whole = as_json()
    exports, notes = read(whole[:-200])
    assert len(exports.mailboxes) == 59
    line = whole[: whole.index(PLANTED[-1].guid)].count("\n")
    assert notes[-1].startswith(f":{line}: it ends within an object")


def test_a_broken_object_of_json_costs_no_other(read):
    good = [f'{{"UserPrincipalName": "{name}@contoso.com", "AuditEnabled": true}}' for name in ("alice", "bob")]
    exports, notes = read(f"[{good[0]},\n{{'AuditEnabled': True}},\n{good[1]}]")
    assert names(exports) == ["alice@contoso.com", "bob@contoso.com"]
    assert notes[0].startswith(":2: no JSON")


@pytest.mark.parametrize("behind", [', "Count": 2}', ', "@odata.nextLink": "x"}', "}", ""])
def test_a_list_in_an_object_is_read_object_by_object(read, behind):
    good = [f'{{"UserPrincipalName": "{name}@contoso.com", "AuditEnabled": true}}' for name in ("alice", "bob")]
    exports, notes = read(f'{{"@odata.context": "x", "n": 2, "value": [\n{good[0]},\n{good[1]}]{behind}')
    assert (names(exports), notes) == (["alice@contoso.com", "bob@contoso.com"], [])
    assert [row.line for row in exports.mailboxes] == [2, 3]


@pytest.mark.parametrize("text", ['{"a":' * 200_000, '[{"a": [1, 2' * 100_000, '{"a" 1}' * 200_000, '{"a": "' + "x" * 9_000_000])
def test_hostile_json_is_given_up_soon(read, text):
    began = time.process_time()
    exports, notes = read(text)
    assert not exports.mailboxes
    assert notes
    assert time.process_time() - began < 10


def test_clixml_that_is_cut_keeps_the_objects_before(read):
    whole = as_clixml()
    exports, notes = read(whole[:-3000])
    assert 50 <= len(exports.mailboxes) < 60
    assert ":" in notes[-1]
    assert "damaged or cut XML" in notes[-1]


ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha" * 100}">' for n in range(10))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"<!DOCTYPE Objs [{ENTITIES}]><Objs><Obj><MS><S N='AuditEnabled'>&e9;</S></MS></Obj></Objs>", "a document type"),
        ("<!DOCTYPE Objs SYSTEM 'file:///etc/passwd'><Objs/>", "a document type"),
        ("<?xml version='1.0'?><!DOCTYPE Objs [<!ENTITY % x SYSTEM 'http://127.0.0.1/'>%x;]><Objs/>", "a document type"),
        ("<Objs>" + "<Obj>" * 100_000, "nested deeper than 64 levels"),
        ("<Objs><Obj><MS><S N='" + "x" * 5_000_000 + "'>a</S></MS></Obj></Objs>", "a tag longer than 2 MiB"),
        ("<Objs><Obj><MS><S N='AuditEnabled'>&nothing;</S></MS></Obj></Objs>", "damaged or cut XML"),
    ],
)
def test_hostile_xml_is_refused(read, content, said):
    exports, notes = read(content)
    assert not exports.mailboxes
    assert said in notes[0]


def test_an_export_longer_than_the_bound_is_read_up_to_it(read, monkeypatch):
    monkeypatch.setattr(reader, "MOST_BYTES", 5_000)
    monkeypatch.setattr(reader, "READ_BYTES", 1_000)
    _, notes = read(as_csv())
    assert "longer than" in notes[-1]


def test_more_objects_than_the_bound_are_refused(read, monkeypatch):
    monkeypatch.setattr(reader, "MOST_ROWS", 10)
    exports, notes = read(as_csv())
    assert len(exports.mailboxes) == 10
    assert ":12: more than 10 objects" in notes[-1]


def test_notes_of_one_kind_are_counted_beyond_the_first(read):
    _, notes = read("\r\n".join([HEADER, *(["cut,row"] * 500)]))
    assert len(notes) < model.MOST_NOTES + 5
    assert any("480 more times" in note for note in notes)


def test_files_of_an_archive_are_read_each_by_itself(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mailboxes.csv", as_csv())
        archive.writestr("organisation.json", '{"AuditDisabled": true}')
        archive.writestr("broken.json", '{"AuditDis')
    exports = read_exports([tmp_path / "all.zip"])
    assert len(exports.mailboxes) == 60
    assert exports.is_audit_disabled is True
    assert [note.file.rpartition("/")[2] for note in exports.notes if note.is_loss] == ["broken.json"]


def test_a_file_that_is_not_there_costs_no_other(tmp_path):
    (tmp_path / "mailboxes.csv").write_text(as_csv())
    exports = read_exports([tmp_path / "nothing.csv", tmp_path / "mailboxes.csv"])
    assert len(exports.mailboxes) == 60
    assert "can't be read: No such file" in next(iter(exports.notes)).text


def test_escapes_of_clixml_are_characters_again():
    assert clixml.unescaped("a_x000A_b_x005F_x000D_") == "a\nb_x000D_"


def test_what_one_export_says_off_stays_off(tmp_path):
    for name, text in (
        ("a", "AuditDisabled\r\nFalse\r\n"),
        ("b", "AuditDisabled\r\nTrue\r\n"),
        ("c", "AuditDisabled\r\nFalse\r\n"),
    ):
        (tmp_path / name).write_text(text)
    assert read_exports(sorted(Path(tmp_path).iterdir())).is_audit_disabled is True
