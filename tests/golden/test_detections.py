"""Each question of detection rules is answered by a document of ours, and by no near one, in each language that asks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detections import CanNotBeAsked, Question, answers, document, field_type, questions

ASKED = [(question, language) for question in questions() for language in question.languages]


@pytest.mark.parametrize(("question", "language"), ASKED, ids=str)
def test_a_question_is_answered_by_the_document_that_it_is_about(question: Question, language: str) -> None:
    assert answers(question, language, document(1, question.yes))
    if question.no is not None:
        assert not answers(question, language, document(2, question.no))


def test_all_languages_and_ways_are_asked() -> None:
    assert {language for _question, language in ASKED} == {"eql", "esql", "kql"}
    assert {question.way for question, _language in ASKED} == {"is", "like", "from", "exists"}
    assert len({question.field for question, _language in ASKED}) > 100
    assert sum(question.no is None for question, _language in ASKED) < 10


FILE = {"RecordType": 6, "Operation": "FileDownloaded", "Workload": "SharePoint", "Item": {"Subject": "x", "Size": 9}}


@pytest.mark.parametrize(
    ("field", "way", "language"),
    [
        ("o365.audit.Item.Subject", "is", "eql"),
        ("o365.audit.Item.Subject", "is", "esql"),
        ("o365.audit.Item", "is", "esql"),
        ("o365.audit.Item.Subject", "like", "kql"),
        ("o365.audit.Item.Size", "from", "kql"),
        ("o365.audit.UserType", "from", "kql"),
        ("o365.audit.Parameters.NeverHeardOf", "is", "kql"),
        ("o365.audit.Parameters", "is", "kql"),
        ("event.original", "is", "kql"),
        ("nowhere.at.all", "exists", "esql"),
    ],
)
def test_what_no_index_of_these_types_answers_is_an_error_here_too(field: str, way: str, language: str) -> None:
    question = Question(field, way, "x", (language,), FILE, None)
    with pytest.raises(CanNotBeAsked):
        answers(question, language, document(1, FILE))


def test_a_member_of_a_flattened_field_is_found_by_its_value_alone_in_kql() -> None:
    question = Question("o365.audit.Item.Subject", "is", "x", ("kql",), FILE, None)
    assert answers(question, "kql", document(1, FILE))
    assert not answers(replace(question, value="y"), "kql", document(1, FILE))
    assert field_type("o365.audit.Item.Subject") == ("flattened", "Subject")
