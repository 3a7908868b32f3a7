"""A data stream's write index: which of its fields can't become what the template says, and the rollover that makes a new one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ualpipe.clients.answer import HttpAnswer
from ualpipe.pipeline.errors import SinkError
from ualpipe.pipeline.records.json_reader import read_object
from ualpipe.sinks.elasticsearch.answers import answer_of, of_the_cluster

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

Refusal = Callable[[HttpAnswer], SinkError]
"""Makes the error of an answer that is none of success."""

Fields = Mapping[str, Any]
"""Fields by name, as `properties` of a mapping."""

_MAX_NAMED = 5  # fields in a text


@dataclass(frozen=True, slots=True)
class WriteIndex:
    """What new documents of a data stream go to.

    Attributes:
        name: Of the backing index.
        properties: Its fields, as in a mapping.
    """

    name: str
    properties: Fields

    def conflicts(self, wanted: Fields) -> list[str]:
        """Returns the fields that have another type than is wanted: an index never takes that change."""
        return list(_conflicts(wanted, self.properties))

    def lacks(self, wanted: Fields) -> bool:
        """Returns whether fields are wanted that are not here: an index takes these at any time."""
        return _lacks(wanted, self.properties)


def write_index(api: Elasticsearch, data_stream: str, refusal: Refusal) -> WriteIndex | None:
    """Returns the write index of a data stream; None where there is no such data stream yet.

    Raises:
        SinkError: It can't be seen, as ``refusal`` says.
        SinkUnavailable: An answer is not Elasticsearch's.
    """
    answer = answer_of(api.indices.resolve_index(name=data_stream))
    if answer.status == 404:
        return None
    with of_the_cluster(f"the answer about {data_stream}"):
        streams = [stream for stream in _decoded(answer, refusal)["data_streams"] if stream["name"] == data_stream]
        if not streams:
            return None
        name = _newest(data_stream, streams[0]["backing_indices"])
        mapping = _decoded(answer_of(api.indices.get_mapping(index=name)), refusal)[name]
        return WriteIndex(name, _fields(mapping["mappings"]))


def _newest(data_stream: str, indices: Sequence[str]) -> str:
    """Returns the write index: the one of the last generation, which bears the name that a rollover gives."""
    made = re.compile(rf"\.ds-{re.escape(data_stream)}-(?:\d{{4}}\.\d\d\.\d\d-)?(\d{{6,}})")
    generations = {name: int(match[1]) for name in indices if (match := made.fullmatch(name))}
    return max(generations, key=lambda name: generations[name])


def next_fields(api: Elasticsearch, data_stream: str, refusal: Refusal, *, by_template: bool = False) -> Fields:
    """Returns the fields that the next backing index gets, by whichever templates of the cluster make it.

    Args:
        api: The cluster.
        data_stream: Its name; the data stream is there.
        refusal: Makes the error of an answer.
        by_template: Ask for the template that the data stream has: OpenSearch composes none for a name that is taken.

    Raises:
        SinkError: They can't be seen, as ``refusal`` says.
        SinkUnavailable: The answer is not the cluster's.
    """
    if by_template:
        answer = answer_of(api.indices.simulate_template(name=_template_of(api, data_stream, refusal)))
    else:
        answer = answer_of(api.indices.simulate_index_template(name=data_stream))
    with of_the_cluster(f"the answer about the templates of {data_stream}"):
        return fields_of(_decoded(answer, refusal))


def _template_of(api: Elasticsearch, data_stream: str, refusal: Refusal) -> str:
    """Returns the name of the index template that makes the backing indices of a data stream."""
    found = _decoded(answer_of(api.indices.get_data_stream(name=data_stream)), refusal)
    with of_the_cluster(f"the answer about {data_stream}"):
        return str(found["data_streams"][0]["template"])


def fields_of(template: Mapping[str, Any]) -> Fields:
    """Returns the fields of an index template's body.

    Raises:
        TypeError, AttributeError: It is the body of something else.
    """
    return _fields(template.get("template", {}).get("mappings", {}))


def _fields(mapping: Mapping[str, Any]) -> Fields:
    """Returns the fields of a mapping, or of a field that is an object; raises as ``fields_of``."""
    found: Fields = mapping.get("properties", {})
    for field in found.values():
        _fields(field)
    return found


def bring_up_to_date(api: Elasticsearch, data_stream: str, refusal: Refusal, *, by_template: bool = False) -> str:
    """Lets new documents have the fields that the templates say: adds fields to the write index, or rolls over where it must.

    What the next index would get is compared with what the write index has, so that after one rollover there is nothing to do.
    Several processes may do so at once: a rollover has a condition that the index which another one has just made does not meet.

    Args:
        api: The cluster.
        data_stream: Its name.
        refusal: Makes the error of an answer.
        by_template: See ``next_fields``.

    Returns:
        What was done, for the log; empty where nothing was.

    Raises:
        SinkError: The cluster refuses.
    """
    done = ""
    for is_guarded in (True, False):
        index = write_index(api, data_stream, refusal)
        if index is None or done:
            return done
        wanted = next_fields(api, data_stream, refusal, by_template=by_template)
        conflicts = index.conflicts(wanted)
        if not conflicts:
            return _add_fields(api, data_stream, index, wanted, refusal)
        if _roll_over(api, data_stream, _guard(api, index, refusal) if is_guarded else None, refusal):
            done = f"rolled over {data_stream}, as {some(conflicts)} of {index.name} can't become what the index template says"
    return done


def _add_fields(api: Elasticsearch, data_stream: str, index: WriteIndex, wanted: Fields, refusal: Refusal) -> str:
    if not index.lacks(wanted):
        return ""
    body = {"properties": wanted}
    answer = answer_of(api.indices.put_mapping(index=data_stream, write_index_only=True, body=body))
    _decoded(answer, refusal)
    return f"added the template's new fields to {index.name}"


def _guard(api: Elasticsearch, index: WriteIndex, refusal: Refusal) -> dict[str, Any]:
    """Returns a condition that this index meets, and none that was made after it."""
    answer = answer_of(api.indices.stats(index=index.name, metric="docs"))
    with of_the_cluster(f"the answer about {index.name}"):
        count = _decoded(answer, refusal)["_all"]["primaries"]["docs"]["count"]
    return {"max_docs": count} if count else {"max_age": "1s"}


def _roll_over(api: Elasticsearch, data_stream: str, conditions: dict[str, Any] | None, refusal: Refusal) -> bool:
    body = {"conditions": conditions} if conditions else {}
    return bool(_decoded(answer_of(api.indices.rollover(alias=data_stream, body=body)), refusal).get("rolled_over"))


def some(names: list[str]) -> str:
    """Returns a few names as text, and how many more there are."""
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more fields" if more > 0 else "")


def _decoded(answer: HttpAnswer, refusal: Refusal) -> dict[str, Any]:
    if not answer.is_ok:
        raise refusal(answer)
    with of_the_cluster(f"an answer of {len(answer.body)} bytes"):
        return read_object(answer.body)


def _type(field: Mapping[str, Any]) -> str:
    return str(field.get("type", "object"))


def _conflicts(wanted: Fields, found: Fields, prefix: str = "") -> Iterator[str]:
    """Yields each field that is in both, with another type."""
    for name, field in wanted.items():
        there = found.get(name)
        if there is None:
            continue
        if _type(field) != _type(there):
            yield prefix + name
        else:
            yield from _conflicts(field.get("properties", {}), there.get("properties", {}), f"{prefix}{name}.")


def _lacks(wanted: Fields, found: Fields) -> bool:
    return any(
        name not in found or _lacks(field.get("properties", {}), found[name].get("properties", {}))
        for name, field in wanted.items()
    )
