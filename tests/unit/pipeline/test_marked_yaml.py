"""YAML with positions: plain data, references substituted in values alone, every defect with its place."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline.marked_yaml import Defect, MarkedYaml, dotted, load

CANARY = "planted-canary"


def read(folder: Path, text: str | bytes, **environ: str) -> MarkedYaml:
    path = folder / "pipeline.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, environ)


def defects(found: MarkedYaml) -> list[str]:
    return [str(defect) for defect in found.defects]


def test_values_have_the_types_that_yaml_gives_them(tmp_path):
    found = read(tmp_path, "a: 1\nb: 1.5\nc: true\nd: null\ne: ~\nf:\ng: text\nh: '1'\ni: [1, x]\nj: {k: off}\nl: 0x10\n")
    assert found.data == {
        "a": 1,
        "b": 1.5,
        "c": True,
        "d": None,
        "e": None,
        "f": None,
        "g": "text",
        "h": "1",
        "i": [1, "x"],
        "j": {"k": False},
        "l": 16,
    }
    assert found.defects == []


def test_dates_stay_text(tmp_path):
    assert read(tmp_path, "since: 2026-11-20\nat: 2026-11-20T08:00:00Z\n").data == {
        "since": "2026-11-20",
        "at": "2026-11-20T08:00:00Z",
    }


def test_keys_are_text_whatever_they_look_like(tmp_path):
    assert read(tmp_path, "1: a\ntrue: b\nnull: c\non: d\n2026-11-20: e\n").data == {
        "1": "a",
        "true": "b",
        "null": "c",
        "on": "d",
        "2026-11-20": "e",
    }


def test_each_value_has_the_place_of_its_key_or_its_own(tmp_path):
    places = read(tmp_path, "a:\n  - b: 1\n    c: 2\n  - x\n").places
    assert places == {
        (): (1, 1),
        ("a",): (1, 1),
        ("a", 0): (2, 5),
        ("a", 0, "b"): (2, 5),
        ("a", 0, "c"): (3, 5),
        ("a", 1): (4, 5),
    }


def test_a_defect_of_something_absent_has_the_place_of_its_parent(tmp_path):
    found = read(tmp_path, "\na:\n  b: 1\n")
    found.defect(("a", "missing", 0), "is missing")
    found.defect(("other",), "is missing")
    assert defects(found) == ["2:1  a.missing[0]: is missing", "2:1  other: is missing"]


@pytest.mark.parametrize(
    ("pointer", "text"),
    [((), ""), (("a",), "a"), (("a", "b"), "a.b"), (("t", 1, "drop"), "t[1].drop"), ((0,), "[0]"), (("a", 0, 1), "a[0][1]")],
)
def test_pointers_are_written_with_dots_and_brackets(pointer, text):
    assert dotted(pointer) == text


def test_defects_without_a_path_name_only_the_place():
    assert str(Defect(3, 7, "", "not YAML")) == "3:7  not YAML"


def test_defects_are_in_the_order_of_the_file():
    assert sorted([Defect(10, 1, "a", "x"), Defect(2, 9, "b", "x"), Defect(2, 3, "c", "x")])[0].path == "c"


# --- what is no config -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "# only comments\n# and more\n", "\n\n", "---\n", b"\xef\xbb\xbf"])
def test_a_file_without_content_is_no_data_and_no_defect(text, tmp_path):
    found = read(tmp_path, text)
    assert (found.data, found.defects) == (None, [])


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfversion: 1\n").data == {"version": 1}


def test_windows_line_ends_are_fine(tmp_path):
    assert read(tmp_path, b"a: x\r\nb:\r\n  - y\r\n").data == {"a": "x", "b": ["y"]}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1, 2\nb: 3\n", "2:2"),
        ("a: 1\n b: 2\n", "2:3"),
        ("a: 'open\n", "2:1"),
        ("a:\n\t- b\n", "2:1"),
        ("a: *nowhere\n", "1:4"),
        ("a: 1\n---\nb: 2\n", "2:1"),
        ("a: @x\n", "1:4"),
    ],
)
def test_a_mistake_in_the_yaml_is_one_defect_at_its_place(text, place, tmp_path):
    found = read(tmp_path, text)
    (defect,) = defects(found)
    assert defect.startswith(f"{place}  not YAML: ")
    assert found.data is None


@pytest.mark.parametrize("text", [b"a: \xff\n", b"\xff\xfea", b"a\0:\0", b"a: \x00\n", b"a: \x07\n"])
def test_bytes_that_are_no_text_are_one_defect(text, tmp_path):
    found = read(tmp_path, text)
    (defect,) = defects(found)
    assert "not YAML" in defect
    assert found.data is None


def test_a_missing_file_is_the_callers_matter(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["a: !!int x\n", "a: !!bool perhaps\n", "a: !!float x\n"])
def test_a_tag_that_the_value_does_not_fit_is_a_defect_and_no_crash(text, tmp_path):
    (defect,) = defects(read(tmp_path, text))
    assert defect.startswith("1:")


def test_a_value_that_holds_itself_is_a_defect_and_no_crash(tmp_path):
    (defect,) = defects(read(tmp_path, "a: &x\n  b: *x\n"))
    assert defect.startswith(("1:", "2:"))


def test_a_key_that_is_no_text_is_a_defect_without_the_reader_s_innards(tmp_path):
    found = read(tmp_path, "? [a, b]\n: 1\n")
    assert found.defects
    assert "Node(" not in str(found.data) + str(found.defects)


def test_anchors_and_aliases_repeat_a_value(tmp_path):
    assert read(tmp_path, "a: &x {b: 1}\nc: *x\n").data == {"a": {"b": 1}, "c": {"b": 1}}


def test_a_key_that_stands_twice_is_named_each_time_and_the_first_counts(tmp_path):
    found = read(tmp_path, "a: 1\nb: {c: 1, c: 2}\na: 3\na: 4\n")
    assert found.data == {"a": 1, "b": {"c": 1}}
    assert sorted(defects(found)) == [
        "2:11  b.c: the key stands twice; remove one",
        "3:1  a: the key stands twice; remove one",
        "4:1  a: the key stands twice; remove one",
    ]


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text("abc: -#'\"\n{}[]$", max_size=6).filter(lambda text: "${" not in text),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("abc: -#", min_size=1, max_size=4), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_data_is_what_any_yaml_reader_reads(tmp_path_factory, value):
    folder = tmp_path_factory.getbasetemp()
    assert read(folder, yaml.safe_dump(value)).data == value


@pytest.mark.parametrize("text", ["\n", "\t", "\n ", "\tab ", "\n- a"])
def test_a_text_that_begins_with_an_escape_is_no_path(tmp_path, text):
    assert read(tmp_path, f"a: {json.dumps(text)}\n").data == {"a": text}


# --- references ------------------------------------------------------------------------------------------------------


def test_references_are_replaced_in_values_also_in_the_middle_and_more_than_one(tmp_path):
    (tmp_path / "host").write_text("kafka1\n")
    found = read(tmp_path, 'a: "${file:host}:${env:PORT}/x"\nb: ["$${env:PORT}", "${env:PORT}"]\n', PORT="9092")
    assert found.data == {"a": "kafka1:9092/x", "b": ["${env:PORT}", "9092"]}
    assert found.substituted == {("a",), ("b", 1)}


def test_replaced_values_are_text_whatever_they_hold(tmp_path):
    found = read(tmp_path, 'a: ${env:N}\nb: "${env:Y}"\n', N="5", Y="[1, 2]")
    assert found.data == {"a": "5", "b": "[1, 2]"}


@given(st.text(max_size=20))
def test_no_content_changes_the_structure_or_is_read_for_references_again(tmp_path_factory, content):
    found = read(tmp_path_factory.getbasetemp(), "a: ${env:X}\nb: ${env:X}${env:X}\n", X=content)
    inner = content.removeprefix("\ufeff").strip("\r\n")
    assert found.data == {"a": inner, "b": inner + inner}
    assert found.defects == []


def test_a_secret_that_looks_like_a_reference_stays_as_it_is(tmp_path):
    assert read(tmp_path, "a: ${env:X}\n", X="${env:HOME}").data == {"a": "${env:HOME}"}


def test_keys_are_never_replaced(tmp_path):
    found = read(tmp_path, '"${env:X}": 1\n', X="other")
    assert found.data == {"${env:X}": 1}
    assert found.substituted == set()


def test_comments_are_never_replaced(tmp_path):
    assert read(tmp_path, "a: 1  # ${env:NOT_SET}\n").defects == []


def test_double_dollar_stands_for_a_literal_reference(tmp_path):
    assert read(tmp_path, "a: $${env:X}\nb: $${file:/x}${env:X}\nc: $5\nd: a$$b\n", X="y").data == {
        "a": "${env:X}",
        "b": "${file:/x}y",
        "c": "$5",
        "d": "a$$b",
    }


def test_double_dollar_stands_for_a_literal_brace_of_any_kind(tmp_path):
    assert read(tmp_path, "a: $${HOME}\n").data == {"a": "${HOME}"}


@pytest.mark.parametrize(
    ("content", "value"), [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), (" s \n", " s "), ("a\nb\n", "a\nb"), ("", "")]
)
def test_only_the_line_break_at_the_end_of_a_file_is_cut(content, value, tmp_path):
    (tmp_path / "secret").write_bytes(content.encode())
    assert read(tmp_path, "a: ${file:secret}\n").data == {"a": value}


def test_files_are_looked_for_in_the_folder_of_the_config(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "one").write_text("1")
    assert read(tmp_path, f"a: ${{file:secrets/one}}\nb: ${{file:{tmp_path}/secrets/one}}\n").data == {"a": "1", "b": "1"}


def test_each_reference_that_cannot_be_followed_is_a_defect_with_its_name(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff" + CANARY.encode())
    text = 'a: ${env:NOT_SET}\nb:\n  - ${file:none}\n  - ${file:folder}\n  - ${file:bytes}\nc: "${env:ONE}${env:TWO}"\n'
    found = read(tmp_path, text)
    assert defects(found) == [
        "1:1  a: the environment variable NOT_SET is not set",
        "3:5  b[0]: can't read none: No such file or directory",
        "4:5  b[1]: can't read folder: Is a directory",
        "5:5  b[2]: can't read bytes: not UTF-8 text",
        "6:1  c: the environment variable ONE is not set",
        "6:1  c: the environment variable TWO is not set",
    ]
    assert CANARY not in repr(found)


@pytest.mark.parametrize("text", ["${env:NAME", "${ENV:NAME}", "${vault:NAME}", "${NAME}"])
def test_what_looks_like_a_reference_and_is_none_is_not_taken_for_a_value(text, tmp_path):
    """Else a misspelled reference becomes the password that is sent."""
    assert read(tmp_path, f'a: "{text}"\n', NAME="x").defects


# --- credentials of systemd ----------------------------------------------------------------------------------------------


def test_a_credential_is_read_from_the_folder_that_systemd_names(tmp_path):
    (tmp_path / "handed over").mkdir()
    (tmp_path / "handed over" / "audit-app").write_text("planted\n")
    marked = read(tmp_path, "a: ${credential:audit-app}", CREDENTIALS_DIRECTORY=str(tmp_path / "handed over"))
    assert marked.data == {"a": "planted"}
    assert marked.hidden == {"planted"}
    assert marked.files == {}, "only the service can read it, whatever its mode looks like"
    (tmp_path / "handed over" / "audit-app").write_text("renewed\n")
    assert marked.from_files[("a",)]() == "renewed"


@pytest.mark.parametrize(
    ("name", "environ", "message"),
    [
        ("audit-app", {}, "CREDENTIALS_DIRECTORY is not set, as systemd does for a service with LoadCredential=audit-app:PATH"),
        ("audit-app", {"CREDENTIALS_DIRECTORY": "/nowhere"}, "can't read audit-app: No such file or directory"),
        ("../../etc/shadow", {"CREDENTIALS_DIRECTORY": "/nowhere"}, "'../../etc/shadow' is no name of a credential"),
        ("..", {"CREDENTIALS_DIRECTORY": "/nowhere"}, "'..' is no name of a credential"),
        ("", {"CREDENTIALS_DIRECTORY": "/nowhere"}, "'' is no name of a credential"),
    ],
)
def test_a_credential_that_is_not_there_is_a_defect_that_says_what_to_do(tmp_path, name, environ, message):
    (defect,) = read(tmp_path, f"a: ${{credential:{name}}}", **environ).defects
    assert message in str(defect)
    assert str(defect).startswith("1:1  a: ")
