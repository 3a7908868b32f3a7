"""Traps of YAML: what a person writes is taken as meant, or is named with its line and with what to write."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ualpipe.pipeline.marked_yaml import MarkedYaml, load


def read(folder: Path, text: str | bytes, **environ: str) -> MarkedYaml:
    path = folder / "pipeline.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, environ)


def said(found: MarkedYaml) -> list[str]:
    return [str(defect) for defect in (*found.defects, *found.warnings)]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('a: 1\nb: "C:\\temp\\new"\n', "2:1  b: ", "write a Windows path in single quotes"),
        ('b: "C:\\data"\n', "1:7", "write a Windows path in single quotes"),
        ('b: "C:\\users"\n', "1:9", "write a Windows path in single quotes"),
        ('b: "\\\\fileserver\\audit"\n', "1:1", "write a Windows path in single quotes"),
        ("a: @x\n", "1:4", "a value can't begin with @: put the value in single quotes"),
        ("a: `x\n", "1:4", "can't begin with `"),
        ("a: %x\n", "1:4", "can't begin with %"),
        ("a: *x\n", "1:4", "taken for an alias: put the value in single quotes"),
        ("a: &x\nb: 1\n", "1:1  a: ", "taken for an anchor: put it in single quotes"),
        ("a: !x\n", "1:1  a: ", "taken for a tag: put it in single quotes"),
        ("a: !x y\n", "1:1  a: ", "taken for a tag"),
        ("a: !!binary eA==\n", "1:1  a: ", "taken for a tag"),
        ("a: !!set {b}\n", "1:1  a: ", "set is a tag that no config has"),
        ("a: |x\n", "1:5", "taken for a block of text"),
        ("a: >x\n", "1:5", "taken for a block of text"),
        ("a: b: c\n", "1:5", "put a value that holds ': ' in quotes"),
        ("a:b\nc: 1\n", "2:2", "write a blank behind a colon"),
        ("a: 'it's'\n", "1:8", "a quoted value ends at its second quotation mark"),
        ('a: "b\n', "2:1", "is never closed"),
        ("a: [b\n", "2:1", "close the list with ]"),
        ("a: {b: ${file:c}}\n", "1:9", "in single quotes"),
        ("a: - b\n", "1:4", "begin a list on a line of its own"),
        ("a:\n\t- b\n", "2:1", "a tab stands where only blanks indent"),
        ("a: 1\n\tb: 2\n", "2:1", "a tab stands where only blanks indent"),
        ("a: 1\n---\nb: 2\n", "2:1", "one document"),
        ("a: 0640\n", "1:1  a: ", 'write 640 for the number, or "0640" in quotes for the text'),
        ("a: [1, -0017]\n", "1:8  a[1]: ", "write -17 for the number"),
        ("a: 1\n\u2013 b: 2\n- c\n", "3:1", "en dash, U+2013: was it pasted"),
        ("a: 1\na: 2\n", "2:1  a: ", "the key stands twice"),
        ("<<: {a: 1}\n<<: {b: 1}\n", "2:1  <<: ", "write <<: [*NAME, *OTHER]"),
        ("<<: 1\n", "1:1  <<: ", "write <<: *NAME"),
        ("a: \x07\n", "1:4", "<U+0007> may stand nowhere: remove it"),
        (b"a: 1\nb: \xe4\n", "2:1", "not UTF-8 text: from byte 4 of the line on; save it as UTF-8"),
        (b"a\0:\0 \x001\0", "1:1", "as UTF-16 without a mark does; save it as UTF-8"),
    ],
)
def test_what_yaml_refuses_or_reads_otherwise_is_told_with_what_to_write(
    text: str | bytes, place: str, words: str, tmp_path: Path
) -> None:
    (line,) = said(read(tmp_path, text))
    assert line.startswith(place)
    assert words in line


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 22:22\n", "22:22"),
        ("a: 1:30.5\n", "1:30.5"),
        ("a: 2026-11-20\n", "2026-11-20"),
        ("a: 1e3\n", "1e3"),
        ("a: 0o17\n", "0o17"),
        ("a: 0899\n", "0899"),
        ("a: y\n", "y"),
        ("a: 'C:\\temp'\n", "C:\\temp"),
        ('a: "C:\\\\temp"\n', "C:\\temp"),
        ("a: C:\\temp\n", "C:\\temp"),
        ('a: "caf\\u00e9"\n', "caf\u00e9"),
        ("a: abc#x\n", "abc#x"),
        ("a: 'abc #x'\n", "abc #x"),
        ("a: =\n", "="),
        ("a: 0\n", 0),
        ("a: -7\n", -7),
        ("a: yes\n", True),
        ("a: 0x10\n", 16),
        ("a: 1\r\nb: 2\r\n", 1),
    ],
)
def test_what_can_mean_one_thing_only_is_taken_so_without_a_word(text: str, value: object, tmp_path: Path) -> None:
    found = read(tmp_path, text)
    assert (found.data["a"], said(found)) == (value, [])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_that_editors_of_windows_write_are_read(encoding: str, tmp_path: Path) -> None:
    mark = "" if encoding in ("utf-8-sig", "utf-16", "utf-32") else "\ufeff"
    found = read(tmp_path, f"{mark}a: \u00e4\r\nb: 2\r\n".encode(encoding))
    assert (found.data, said(found)) == ({"a": "\u00e4", "b": 2}, [])
    assert found.places["b",] == (2, 1)


@pytest.mark.parametrize("text", ["a: abc #x\n", "a: #x\n", "a: [abc #x\n  ]\n"])
def test_a_comment_that_may_be_a_part_of_the_value_is_warned_of(text: str, tmp_path: Path) -> None:
    (line,) = said(read(tmp_path, text))
    assert "put it in quotes if # belongs to it, or write a blank behind #" in line
    assert "x" not in line.partition(": ")[2]


@pytest.mark.parametrize(
    "text", ["a: abc # x\n", "a: abc  #\n", "a: abc ##x\n", "a: abc\n  #x\n", "a: 'abc' #x\n", "a: # x\n  b: 1\n"]
)
def test_other_comments_are_not(text: str, tmp_path: Path) -> None:
    assert said(read(tmp_path, text)) == []


def test_what_is_shown_otherwise_than_written_is_known_as_written(tmp_path: Path) -> None:
    found = read(tmp_path, "a: [NO, 1.10, ~, 1_000, 0x10, true, 5, null, .inf]\n")
    assert {place[1]: text for place, text in found.written.items()} == {
        0: "NO",
        1: "1.10",
        2: "~",
        3: "1_000",
        4: "0x10",
        8: ".inf",
    }


def test_what_cannot_be_seen_in_a_key_stands_by_its_name(tmp_path: Path) -> None:
    found = read(tmp_path, "a:\n  \u00a0b: 1\n  c\u200b: 2\n")
    found.defect(("a", "\u00a0b"), "unknown key")
    found.defect(("a", "c\u200b"), 'unknown key "c\u200b"')
    assert said(found) == [
        "2:3  a.<no-break space, U+00A0>b: unknown key",
        '3:3  a.c<zero width space, U+200B>: unknown key "c<zero width space, U+200B>"',
    ]


# --- merge keys and sections for anchors -----------------------------------------------------------------------------


def test_merge_keys_bring_what_a_mapping_does_not_have_itself(tmp_path: Path) -> None:
    text = """\
x-base: &base {type: file, deep: {a: 1}, n: 1}
x-more: &more
  <<: *base
  n: 2
one: {<<: *base, n: 3}
two:
  n: 4
  <<: [*more, {z: 1, type: kafka}]
"""
    found = read(tmp_path, text)
    assert said(found) == []
    assert found.data == {
        "one": {"n": 3, "type": "file", "deep": {"a": 1}},
        "two": {"n": 4, "type": "file", "deep": {"a": 1}, "z": 1},
    }
    assert found.places["two", "type"] == (1, 16)
    assert found.places["two", "n"] == (7, 3)


def test_a_quoted_merge_key_is_a_key(tmp_path: Path) -> None:
    assert read(tmp_path, "a: {'<<': 1}\n").data == {"a": {"<<": 1}}


def test_only_top_level_sections_are_for_anchors_and_references_in_them_count_where_they_are_used(tmp_path: Path) -> None:
    text = "x-a: &a {b: '${env:NOT_SET}'}\nx-c: ${env:NOT_SET}\nd: {x-e: 1}\n"
    found = read(tmp_path, text)
    assert (found.data, said(found)) == ({"d": {"x-e": 1}}, [])
    assert said(read(tmp_path, f"{text}f: *a\n")) == ["1:10  f.b: the environment variable NOT_SET is not set"]


@pytest.mark.parametrize(
    "text", ["a: &a {<<: *a, b: 1}\n", "a: &a\n  b: &b\n    <<: *a\n  <<: *b\n", "a: &a [*a]\n", "a: &a {<<: [*a, *a]}\n"]
)
def test_what_merges_or_holds_itself_is_a_defect(text: str, tmp_path: Path) -> None:
    assert any("leads back into itself" in line for line in said(read(tmp_path, text)))


def doubled(line: str, first: str) -> str:
    return "\n".join([first, *(line.format(it=number, before=number - 1) for number in range(1, 60))]) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        doubled("m{it}: &m{it} [*m{before}, *m{before}]", "m0: &m0 [x]"),
        doubled("m{it}: &m{it} {{<<: [*m{before}, *m{before}], k{it}: 1}}", "m0: &m0 {k: 1}"),
        doubled("m{it}: &m{it} {{a: *m{before}, b: *m{before}}}", "m0: &m0 {k: 1}"),
        "x-m: &m {<<: [" + ", ".join(["{a: 1}"] * 1000) + "]}\nb: [" + ", ".join(["*m"] * 1000) + "]\n",
    ],
    ids=["lists", "merges", "mappings", "wide"],
)
def test_aliases_that_multiply_end_soon_in_one_defect(text: str, tmp_path: Path) -> None:
    began = time.process_time()
    found = read(tmp_path, text)
    assert said(found) == ["1:1  aliases and merge keys make more than 200,000 values of this file"]
    assert found.data is None
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 200_000 + "]" * 200_000,
        "a: " + "{b: " * 200_000,
        "- " * 100_000,
        "\n".join(" " * level + "a:" for level in range(1500)),
        "[" * 150 + "]" * 150,
    ],
    ids=["lists", "mappings", "block", "indented", "a few too many"],
)
def test_depth_is_bounded_and_ends_no_process(text: str, tmp_path: Path) -> None:
    (line,) = said(read(tmp_path, text))
    assert "nested deeper than 100 levels" in line


def test_a_file_that_never_ends_is_not_read_to_its_end() -> None:
    (line,) = said(load(Path("/dev/zero"), {}))
    assert "longer than 8,192 KiB" in line


# --- what references bring -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "note"),
    [
        ("abc\n", "ends in a line break"),
        ("abc\r\n", "ends in a line break"),
        ("abc\r", "ends in a line break"),
        ("\nabc", "begins with a line break"),
        ("\ufeffabc", "begins with a byte order mark"),
    ],
)
def test_what_cannot_be_meant_around_a_variable_is_left_out_with_a_warning(value: str, note: str, tmp_path: Path) -> None:
    found = read(tmp_path, "a: ${env:X}\n", X=value)
    assert found.data == {"a": "abc"}
    assert said(found) == [f"1:1  a: the environment variable X {note}, which was left out"]
    assert "abc" not in str(said(found))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_file_with_a_byte_order_mark_is_its_text(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes("abc\u00e4\r\n".encode(encoding))
    found = read(tmp_path, "a: ${file:s}\n")
    assert found.data == {"a": "abc\u00e4"}
    (line,) = said(found)
    assert "the file s begins with a byte order mark (UTF-" in line
    (tmp_path / "s").write_bytes("new\r\n".encode(encoding))
    assert found.from_files["a",]() == "new"


def test_a_line_break_at_the_end_of_a_file_is_what_editors_write(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"abc\r\n")
    assert said(read(tmp_path, "a: ${file:s}\n")) == []


def test_a_variable_that_is_no_text_is_a_defect_without_its_value(tmp_path: Path) -> None:
    assert said(read(tmp_path, "a: ${env:X}\n", X="abc\udcff")) == ["1:1  a: can't read X: not UTF-8 text"]


def test_a_file_that_a_value_refers_to_is_bounded(tmp_path: Path) -> None:
    assert said(read(tmp_path, "a: ${file:/dev/zero}\n")) == ["1:1  a: can't read /dev/zero: longer than 1,024 KiB"]


def test_what_a_reference_brought_is_blanked_in_a_defect_also_where_it_is_escaped(tmp_path: Path) -> None:
    value = 'planted "x"\u00a0y'
    found = read(tmp_path, "a: ${env:X}\n", X=value)
    found.defect(("a",), f"there is no {value!r} and no {value}")
    (line,) = said(found)
    assert line == "1:1  a: there is no '***' and no ***"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a:\n  - x\n y: 2\n", "the line is indented by 1, the line above by 2: begin each key of a mapping in the same column"),
        ("a: 1\n  b: 2\n", "the line is indented by 2, the line above by 0"),
        ("a:\n    b: 2\n  # note\n\n  c: 1\n", "the line is indented by 2, the line above by 4"),
        ("a:\n  b: 1\n   c: 2\n", "the line is indented by 3, the line above by 2"),
        ("a:\n\tb: 1\n", "a tab stands where only blanks indent"),
        ("a:\n  c: x: y\n", "put a value that holds ': ' in quotes"),
        ("a:\n  b:1\n  c: 2\n", "put a value that holds ': ' in quotes, and write a blank behind a colon"),
        ("a:\n  b: 'x' y\n", "a quoted value ends at its second quotation mark"),
    ],
)
def test_indentation_is_told_in_plain_words_alone(tmp_path: Path, text: str, words: str) -> None:
    (defect,) = map(str, read(tmp_path, text).defects)
    assert f"  not YAML: {words}" in defect
    assert "found" not in defect
    assert "mapping values" not in defect
