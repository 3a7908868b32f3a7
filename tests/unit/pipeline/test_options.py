"""Options: one declaration gives the schema, the documentation and the object."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ualpipe.pipeline import registry
from ualpipe.pipeline.credentials.options import Credential
from ualpipe.pipeline.options import Duration, FileText, Secret, Size, build, option, parse_duration, parse_size, schema_of
from ualpipe.pipeline.redaction import Redactor

BASE = Path("/etc/contoso")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """An inner section."""

    user: str = option("User name.", minLength=1)
    password: Secret | None = option("Password.", default=None)
    wait: Duration = option("Longest wait.", default="5s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """An option of each type."""

    text: str = option("A text.", pattern="^[a-z]+$", examples=["abc"])
    whole: int = option("A number.", default=3, minimum=1, maximum=9)
    real: float = option("A fraction.", default=1.5)
    flag: bool = option("A switch.", default=False)
    free: Any = option("Anything.", default=None)
    path: Path = option("A path.", default="out/x.json")
    secret: Secret = option("A secret.", default="none")
    wait: Duration = option("A time.", default="90s")
    size: Size = option("A size.", default="64KiB")
    choice: Literal["a", "b"] = option("One of two.", default="a")
    many: list[Path] = option("Some paths.", default=[])
    fixed: tuple[Duration, ...] = option("Some times.", default=["1s"])
    named: dict[str, Size] = option("Sizes by name.", default={})
    maybe: int | None = option("A number or none.", default=None)
    login: Login | None = option("A section or none.", default=None)
    logins: list[Login] = option("Sections.", default=[])
    one_or_many: str | list[str] = option("Text or list.", default="x")
    word_or_section: Literal["auto"] | Login = option("Word or section.", default="auto")
    by_name: Mapping[str, Login] = option("Sections by name.", default={})
    owner: str | None = option("Who.", default=None, ref="credentials")


def built(**values: Any) -> Any:
    return build(Everything, {"text": "abc", **values}, BASE)


def fits(**values: Any) -> bool:
    return jsonschema_rs.validator_for(schema_of(Everything)).is_valid({"text": "abc", **values})


# --- schema ----------------------------------------------------------------------------------------------------------


def test_schema_is_strict_and_requires_what_has_no_default():
    schema = schema_of(Everything)
    assert schema["required"] == ["text"]
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == [field.name for field in dataclasses.fields(Everything)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("text", {"type": "string", "pattern": "^[a-z]+$", "examples": ["abc"]}),
        ("whole", {"type": "integer", "minimum": 1, "maximum": 9, "default": 3}),
        ("real", {"type": "number", "default": 1.5}),
        ("flag", {"type": "boolean", "default": False}),
        ("free", {"default": None}),
        ("path", {"type": "string", "minLength": 1, "x-path": True, "default": "out/x.json"}),
        ("secret", {"type": "string", "minLength": 1, "x-secret": True, "default": "none"}),
        ("choice", {"enum": ["a", "b"], "default": "a"}),
        ("maybe", {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}),
        ("owner", {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "x-ref": "credentials"}),
        ("one_or_many", {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], "default": "x"}),
    ],
)
def test_each_type_has_its_schema(name, expected):
    found = dict(schema_of(Everything)["properties"][name])
    assert found.pop("description")
    assert found == expected


def test_durations_and_sizes_are_marked_with_their_unit():
    properties = schema_of(Everything)["properties"]
    assert (properties["wait"]["x-unit"], properties["size"]["x-unit"]) == ("duration", "size")


def test_sections_are_schemas_of_their_own():
    properties = schema_of(Everything)["properties"]
    inner = schema_of(Login)
    assert properties["login"]["anyOf"][0] == inner
    assert properties["logins"]["items"] == inner
    assert properties["by_name"]["additionalProperties"] == inner


def test_a_type_that_no_option_can_have_is_refused():
    @dataclass
    class Odd:
        field: set[int] = option("Odd.")

    with pytest.raises(TypeError, match="no option can have the type"):
        schema_of(Odd)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_options_of_every_stage_make_a_valid_schema_whose_defaults_fit_it(kind):
    for name in registry.installed(kind):
        schema = schema_of(registry.load(kind, name).Config)
        for key, option_schema in schema["properties"].items():
            assert option_schema["description"].endswith((".", ")")), f"{name}.{key}"
            validator = jsonschema_rs.validator_for(option_schema)
            given_values = [
                *option_schema.get("examples", []),
                *([option_schema["default"]] if "default" in option_schema else []),
            ]
            assert all(validator.is_valid(value) for value in given_values), f"{name}.{key}"


@pytest.mark.parametrize(
    "values",
    [
        {"whole": 0},
        {"whole": 10},
        {"whole": "3"},
        {"whole": True},
        {"flag": "yes"},
        {"flag": None},
        {"text": "ABC"},
        {"choice": "c"},
        {"wait": 90},
        {"wait": "90"},
        {"wait": "-1s"},
        {"size": "10MB"},
        {"size": 10},
        {"path": ""},
        {"secret": ""},
        {"maybe": "x"},
        {"login": {}},
        {"login": {"user": "u", "x": 1}},
        {"one_or_many": 1},
        {"unknown": 1},
        {"named": {"a": "1"}},
    ],
)
def test_what_an_option_does_not_take_does_not_fit(values):
    assert not fits(**values)


# --- build -----------------------------------------------------------------------------------------------------------


def test_defaults_are_built_as_if_a_user_had_written_them():
    found = built()
    assert (found.text, found.whole, found.real, found.flag, found.free) == ("abc", 3, 1.5, False, None)
    assert found.path == BASE / "out/x.json"
    assert (found.wait, found.size) == (90.0, 65536)
    assert (found.many, found.fixed, found.named) == ((), (1.0,), {})
    assert (found.maybe, found.login, found.logins) == (None, None, ())
    assert (found.one_or_many, found.word_or_section) == ("x", "auto")


def test_values_are_built_at_any_depth():
    found = built(
        many=["a", "/b"],
        named={"k": "2KiB"},
        login={"user": "u", "password": "planted"},
        logins=[{"user": "v", "wait": "1m"}],
        by_name={"w": {"user": "w"}},
        one_or_many=["p", "q"],
        word_or_section={"user": "z"},
        maybe=7,
    )
    assert found.many == (BASE / "a", Path("/b"))
    assert found.named == {"k": 2048}
    assert found.login == Login(user="u", password=Secret("planted"), wait=Duration(5.0))
    assert found.logins == (Login(user="v", password=None, wait=Duration(60.0)),)
    assert found.by_name["w"].user == "w"
    assert found.one_or_many == ("p", "q")
    assert found.word_or_section == Login(user="z", password=None, wait=Duration(5.0))
    assert found.maybe == 7


def test_a_whole_number_is_taken_for_a_fraction():
    assert isinstance(built(real=2).real, float)


def test_a_home_folder_in_a_path_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/home/alice")
    assert built(path="~/x").path == Path("/home/alice/x")


def test_built_options_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        built().text = "x"


def test_options_of_two_stages_share_nothing_that_changes():
    first = built()
    first.named["x"] = Size(1)
    assert built().named == {}


# --- units -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("90s", 90), ("15m", 900), ("24h", 86400), ("7d", 604800), ("1.5h", 5400), ("0s", 0)]
)
def test_durations_are_read_as_seconds(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "count"), [("0B", 0), ("512B", 512), ("64KiB", 65536), ("10MiB", 10 << 20), ("10GiB", 10 << 30), ("1TiB", 1 << 40)]
)
def test_sizes_are_read_as_bytes(text, count):
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "90", "s", "1 s", "1S", "-1s", "1w", "1s ", "1s\n", "1,5h", "1e3s", "٣s"])
def test_other_durations_are_refused_with_the_form_that_is_right(text):
    with pytest.raises(ValueError, match="is not a duration: write 90s, 15m, 24h or 7d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "10", "KiB", "10KB", "10kib", "1.5MiB", "-1B", "1B\n", "٣B"])
def test_other_sizes_are_refused_with_the_form_that_is_right(text):
    with pytest.raises(ValueError, match="is not a size: write 512B, 64KiB, 10MiB or 10GiB"):
        parse_size(text)


@given(st.text("0123456789.smhdKMGTiB \n٣", max_size=6))
def test_the_schema_takes_exactly_what_can_be_read(text):
    for name, parse in (("wait", parse_duration), ("size", parse_size)):
        try:
            parse(text)
        except ValueError:
            assert not fits(**{name: text})
        else:
            assert fits(**{name: text})


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_a_secret_is_not_seen_whichever_way_it_is_printed():
    secret = Secret("planted-canary")
    holder = built(secret="planted-canary", login={"user": "u", "password": "planted-canary"})
    credential = build(Credential, {"client_id": "c", "client_secret": "planted-canary"}, BASE)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", f"{secret} {secret!r}", repr([secret]), repr(holder)]
    shown += [str(credential), repr({"a": credential})]
    assert not [text for text in shown if "canary" in text]
    assert secret.reveal() == "planted-canary"


def test_secrets_compare_by_their_text():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


# --- secrets from files ----------------------------------------------------------------------------------------------


def from_file(file: Path) -> Secret:
    return Secret(FileText(file.read_text(), file.read_text))


def test_a_secret_from_a_file_is_as_new_as_the_file(tmp_path):
    file = tmp_path / "secret"
    file.write_text("planted-old")
    secret = from_file(file)
    assert secret.reveal() == "planted-old"
    file.write_text("planted-new")
    assert secret.reveal() == "planted-new"
    assert "planted" not in f"{secret} {secret!r}"


@pytest.mark.parametrize("spoil", [Path.unlink, lambda file: file.write_text(""), lambda file: file.write_bytes(b"\xff\xfe")])
def test_while_the_file_can_not_be_read_the_last_text_stands(tmp_path, spoil):
    file = tmp_path / "secret"
    file.write_text("planted-old")
    secret = from_file(file)
    spoil(file)
    assert secret.reveal() == "planted-old"
    file.write_text("planted-new")
    assert secret.reveal() == "planted-new"


def test_a_new_secret_is_blanked_in_logs_from_the_moment_it_is_known(tmp_path):
    file = tmp_path / "secret"
    file.write_text("planted-old")
    secret, redact = from_file(file), Redactor(["planted-old"])
    file.write_text("planted-even-newer")
    assert redact("planted-even-newer") == "planted-even-newer"
    secret.reveal()
    assert redact("login with planted-even-newer, not planted-old") == "login with ***, not ***"


def test_only_secrets_are_read_again():
    @dataclass(frozen=True)
    class Plain:
        name: str = option("A name.")

    built = build(Plain, {"name": FileText("x", lambda: "y")}, Path())
    assert (built.name, type(built.name)) == ("x", str)
