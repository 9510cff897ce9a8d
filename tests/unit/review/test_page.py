"""The review page: what it shows, what an answer writes, and who may send one."""

import re
from datetime import datetime

import pytest
from werkzeug.test import Client

from crm_spark.local_page.server import Access
from crm_spark.review.export import export_lines
from crm_spark.review.page import Review, ReviewPage
from crm_spark.review.pairs import Pair, Person
from crm_spark.stages.resolve.decision_files import read_decisions

NOW = datetime(2026, 2, 1, 12)
ORIGIN = {"Origin": "http://127.0.0.1:8123", "Host": "127.0.0.1:8123"}
ANNA = Person("crm", "1", {"given_name": "Anna", "family_name": "Berg", "birth_on": "1980-04-12", "card": "X1"})
OTHER = Person("shop", "7", {"given_name": "Anna", "family_name": "Berk", "city": "<b>Bonn</b>"})
IDA = Person("shop", "8", {"given_name": "Ida"})
EVIDENCE = {"given name": ("same rare value", 9.2), "family name": ("one character differs", -1.6)}
PAIRS = (
    Pair(ANNA, OTHER, match_probability=0.62, is_one_customer=False, evidence=EVIDENCE),
    Pair(ANNA, IDA, sample="linked"),
)


class Browser:
    """Requests to a page."""

    def __init__(self, folder, pairs=PAIRS):
        self.file, self.closed = folder / "decisions.csv", []
        self.review = Review(pairs, self.file, decided_by="Ada", now=lambda: NOW)
        self.page = ReviewPage(self.review, Access("secret", 8123, lambda: self.closed.append(True)))
        self.client = Client(self.page)

    def get(self, path="/secret/", **headers):
        return self.client.get(path, headers={**ORIGIN, **headers})

    def answer(self, number, answer, note="", **headers):
        form = {"pair": str(number), "answer": answer, "note": note}
        return self.client.post("/secret/answer", data=form, headers={**ORIGIN, **headers})

    def undo(self):
        return self.client.post("/secret/undo", headers=ORIGIN)

    def lines(self):
        return self.file.read_text().splitlines()[1:] if self.file.exists() else []


@pytest.fixture
def browser(tmp_path):
    return Browser(tmp_path)


def test_a_pair_is_shown_masked(browser):
    response = browser.get()
    text = re.sub(r"\s*\n\s*", "", response.text)
    assert response.status_code == 200 and "<script" not in text and response.headers["Cache-Control"] == "no-store"
    assert "Pair 1 of 2" in text and "Match probability 62 %" in text and "They are two customers now." in text
    assert '<td class="value">A•••</td><td class="value">A•••</td>' in text
    assert 'same rare value <span class="bits">+9 bits</span>' in text
    assert '<td class="value">B••<mark>g</mark></td><td class="value">B••<mark>k</mark></td>' in text
    assert "one character differs" in text and "-2" in text
    assert "Anna" not in text and "Berg" not in text and "1980-••-••" in text
    assert '<th scope="col">crm <span class="hint">1</span></th>' in text
    assert "<b>" not in text and "card" not in text  # an attribute without evidence
    assert "table.pair" in browser.get("/secret/style.css").text


def test_answers_are_saved_and_the_next_pair_is_shown(browser):
    response = browser.answer(0, "same", note="same  phone")
    assert (response.status_code, response.headers["Location"]) == (303, "/secret/")
    assert browser.lines() == ["crm,1,shop,7,same,Ada,2026-02-01T12:00:00.000Z,same phone,"]
    text = browser.get().text
    assert "Pair 2 of 2" in text and "Drawn at random" in text and "Match probability" not in text
    browser.answer(1, "different")
    assert browser.lines()[1] == "crm,1,shop,8,different,Ada,2026-02-01T12:00:00.000Z,,linked"
    assert "2 decided. The next refresh applies" in browser.get().text
    found = read_decisions(str(browser.file), zone="UTC", now=NOW)
    assert [d.is_same for d in found.decisions] == [True, False] and found.problems == ()


def test_not_sure_saves_nothing(browser):
    browser.answer(0, "unsure")
    assert browser.lines() == [] and "Pair 2 of 2" in browser.get().text
    browser.answer(1, "unsure")
    assert "0 decided, 2 not sure: they will be shown again next time." in browser.get().text


def test_a_form_that_is_sent_twice_or_is_unknown_changes_nothing(browser):
    for _ in range(2):
        browser.answer(0, "same")
    browser.answer("x", "same")
    browser.answer(1, "maybe")
    assert len(browser.lines()) == 1 and browser.review.current == 1


def test_undo_shows_the_pair_again(browser):
    browser.undo()
    assert browser.lines() == []
    browser.answer(0, "same")
    assert "Undo the last decision" in browser.get().text
    browser.undo()
    assert browser.lines()[1] == "crm,1,shop,7,undo,Ada,2026-02-01T12:00:00.000Z,,"
    assert "Pair 1 of 2" in browser.get().text and "Undo the last decision" not in browser.get().text


def test_an_answer_that_cannot_be_saved_is_an_error_and_the_pair_stays(browser):
    browser.file.write_text("name,city\n")
    response = browser.answer(0, "same")
    assert response.status_code == 500 and "columns system, person_id" in response.text
    assert "Pair 1 of 2" in response.text and browser.file.read_text() == "name,city\n"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example:8123"}, 403),
    ],
)
def test_forms_of_other_sites_and_hosts_are_refused(browser, headers, status):
    assert browser.answer(0, "same", **headers).status_code == status
    assert browser.lines() == []


def test_only_the_page_is_answered(browser):
    assert browser.get("/wrong/").status_code == 404 and browser.get("/secret/answer").status_code == 404
    assert browser.client.put("/secret/answer", headers=ORIGIN).status_code == 405
    assert browser.get(Host="evil.example").status_code == 403


def test_close(browser):
    browser.answer(0, "same")
    response = browser.client.post("/secret/close", headers=ORIGIN)
    assert response.text == f"The page is closed. 1 decision added to {browser.file}\n"


def test_the_exported_file_is_a_file_of_decisions(tmp_path):
    path = tmp_path / "export.csv"
    text = "".join(export_lines(PAIRS, decided_by="Ada", decided_at=NOW))
    assert text.splitlines()[1] == (
        "crm,1,shop,7,,Ada,2026-02-01T12:00:00.000Z,,,0.62,given name: same rare value (+9); family name: one character differs "
        "(-2); birth date: missing; city: missing,given name: A•••; family name: B••g; birth date: 1980-••-••,given name: A•••; "
        "family name: B••k; city: •b•B••••/b•"
    )
    path.write_text(text.replace("shop,7,,", "shop,7,same,"))
    found = read_decisions(str(path), zone="UTC", now=NOW)
    assert [(d.pair, d.is_same) for d in found.decisions] == [(("crm|1", "shop|7"), True)]
    assert found.num_open == 1 and found.problems == ()
