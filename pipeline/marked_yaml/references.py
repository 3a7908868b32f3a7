"""References in values: ``${env:NAME}``, ``${file:PATH}``, ``${credential:NAME}``, and what can't be meant in what they bring."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ualpipe.pipeline.marked_yaml.decoding import NotText, decoded, read_bounded
from ualpipe.pipeline.marked_yaml.model import MarkedYaml, Pointer

MAX_TEXT_BYTES = 1 << 20
"""Longest content of a file that a value refers to."""
MIN_HIDDEN_LENGTH = 3  # blanking less would spoil every message

_CREDENTIAL = re.compile(r"[A-Za-z0-9_.@-]+")
_REFERENCE = re.compile(r"\$(\$?)\{([^}]*)(\}?)")
_HOW_TO_REFER = "write ${env:NAME}, ${file:PATH} or ${credential:NAME}, or $${ for a literal ${"
CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
"""Environment variable of systemd: the folder of what `LoadCredential=` names, which only the service's user can read."""
_KINDS = {"env": "environment variable", "file": "file", "credential": "credential"}
_LINE_ENDS = "\r\n"
_MARK = "\ufeff"
_UNRESOLVED = "unresolved"


class NoCredential(Exception):
    """A credential of systemd is referred to that can't be there; the text says why."""


class References:
    """Follows the references of one config; notes on the way what they hold and what is wrong with it."""

    def __init__(self, marked: MarkedYaml, folder: Path, environ: Mapping[str, str]) -> None:
        self._marked = marked
        self._folder = folder
        self._environ = environ

    def substituted(self, text: str, pointer: Pointer) -> str:
        """Returns a value with what its references stand for; one that can't be followed is a defect."""

        def resolve(match: re.Match[str]) -> str:
            if match[1]:
                return match[0][1:]
            kind, colon, name = match[2].partition(":")
            if not colon or kind not in ("env", "file", "credential") or not match[3]:
                return self._unresolved(pointer, f"{match[0]!r} refers to nothing: {_HOW_TO_REFER}")
            self._marked.substituted.add(pointer)
            if kind != "env":
                self._marked.from_files[pointer] = lambda: self._read_again(text)
            if kind == "file":
                self._marked.files.setdefault(pointer, []).append(self._folder / name)
            return self._followed(kind, name, pointer)

        return _REFERENCE.sub(resolve, text) if "${" in text else text

    def _followed(self, kind: str, name: str, pointer: Pointer) -> str:
        try:
            found, notes = self._look_up(kind, name)
        except NoCredential as exc:
            return self._unresolved(pointer, str(exc))
        except KeyError:
            return self._unresolved(pointer, f"the environment variable {name} is not set")
        except (OSError, ValueError) as exc:
            reason = "not a file name" if "\0" in name else exc.strerror if isinstance(exc, OSError) else str(exc)
            return self._unresolved(pointer, f"can't read {name}: {reason}")
        if len(found) >= MIN_HIDDEN_LENGTH:
            self._marked.hidden.add(found)
        what = f"the {_KINDS[kind]} {name}"
        for note in notes:
            self._marked.warning(pointer, f"{what} {note}, which was left out")
        return found

    def _unresolved(self, pointer: Pointer, message: str) -> str:
        self._marked.unresolved.add(pointer)
        self._marked.defect(pointer, message)
        return _UNRESOLVED

    def _look_up(self, kind: str, name: str) -> tuple[str, list[str]]:
        """Returns what a reference stands for, and what was cut off.

        Raises:
            KeyError: There is no such variable.
            NoCredential: systemd has handed over none, or the name is none.
            OSError, ValueError: The file can't be read, or either is no text.
        """
        if kind == "env":
            return _trimmed(_checked(self._environ[name]), is_file=False)
        path = self._credential(name) if kind == "credential" else self._folder / name
        text, encoding = decoded(read_bounded(path, MAX_TEXT_BYTES))
        found, notes = _trimmed(text, is_file=True)
        shown = encoding.upper().removesuffix("-LE").removesuffix("-BE")
        return found, [f"begins with a byte order mark ({shown})", *notes] if encoding else notes

    def _credential(self, name: str) -> Path:
        """Returns the file of a credential."""
        if not _CREDENTIAL.fullmatch(name) or name in (".", ".."):
            raise NoCredential(f"{name!r} is no name of a credential: the one before the colon in LoadCredential=NAME:PATH")
        if not (folder := self._environ.get(CREDENTIALS_DIRECTORY)):
            how = f"run ualpipe as its service, or set {CREDENTIALS_DIRECTORY} to a folder with a file {name} to try it by hand"
            reason = f"{CREDENTIALS_DIRECTORY} is not set, as systemd does for a service with LoadCredential={name}:PATH"
            raise NoCredential(f"{reason}: {how}")
        return Path(folder) / name

    def _read_again(self, text: str) -> str:
        """Returns what a text with references stands for now.

        Raises:
            OSError, ValueError: A file can't be read, or is no text.
        """

        def resolve(match: re.Match[str]) -> str:
            kind, _, name = match[2].partition(":")
            return match[0][1:] if match[1] else self._look_up(kind, name)[0]

        return _REFERENCE.sub(resolve, text)


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotText("not UTF-8 text") from None  # the original holds the text
    return text


def _trimmed(text: str, *, is_file: bool) -> tuple[str, list[str]]:
    """Returns a text without the line ends and the mark around it, and what of that is worth a word.

    A line break at the end of a file is what editors and ``echo`` write; of a variable it comes from a slip.
    """
    notes = []
    bare = text.removeprefix(_MARK)
    if bare != text:
        notes.append("begins with a byte order mark")
    if (without := bare.lstrip(_LINE_ENDS)) != bare and without:
        notes.append("begins with a line break")
    found = without.rstrip(_LINE_ENDS)
    if found != without and not is_file:
        notes.append("ends in a line break")
    return found, notes
