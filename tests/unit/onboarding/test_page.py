"""The onboarding page over real HTTP: who may read and save, what is saved, and what is said about invalid values."""

import http.client
import re
import threading
import urllib.parse
from html import unescape
from pathlib import Path

import pytest

from crm_spark.core.errors import ConfigError
from crm_spark.local_page.server import LocalServer
from crm_spark.onboarding.column_profile import ColumnProfile
from crm_spark.onboarding.company_draft import CompanyDraft, Question
from crm_spark.onboarding.page.app import Onboarding, Page
from crm_spark.onboarding.page.drafts_folder import DraftsFolder
from crm_spark.onboarding.page.form import DECISION, OTHER, ROLE, ColumnInfo, field_name
from crm_spark.onboarding.preview import Preview, Table
from crm_spark.sources.config import load_source

COMPANY = "company:\n  name: Our company\n  currency: EUR\n"
ORDERS = """# Draft for orders
system: shop
files: {path: 'orders*.csv', format: csv}
feeds:
  order:
    columns:
      order_id: No
      person_id: Mail
      ordered_at: {from: Day, formats: [dd/MM/yyyy]}
      status: {value: completed}
      channel: Kind
"""
FILE = "sources/orders.yaml"
NAME = Question("company.yaml", "company.name", "what is the name?", "Drops")
DAY = Question(FILE, "feeds.order.columns.ordered_at.formats", "which format?", ["dd/MM/yyyy"])
PREVIEW = Preview(3, ("orders: sampled.",), (Table("Rows", ("source", "rows"), [["orders", "<b>7</b>"]]),))


def check_company(path):
    if "currency: EUR" not in path.read_text() or "name: 5" in path.read_text():
        raise ConfigError("company.name: expected a text, got 5")


@pytest.fixture
def served(tmp_path):
    (tmp_path / "sources").mkdir()
    texts = {"company.yaml": COMPANY, FILE: ORDERS}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    names = {"No": ("R1", "R2"), "Mail": ("xxx@xxxxxx.xxx",), "Day": ("01/02/2024",), "Kind": ("web",), "Memo": ()}
    infos = [ColumnInfo(ColumnProfile(name, 100, 0, 90, 12, {}), samples, ()) for name, samples in names.items()]
    drafts = DraftsFolder(tmp_path, check_company, dict(texts))
    first = CompanyDraft(texts, [NAME, DAY])
    onboarding = Onboarding(drafts, first, {FILE: infos}, None, PREVIEW)
    server = LocalServer(lambda access: Page(onboarding, access))
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield Client(server.page, tmp_path)
    server.close()
    thread.join(timeout=10)


class Client:
    """A browser's requests, and the folder that the page writes."""

    def __init__(self, page, folder):
        self.page, self.folder = page, folder
        self.base = f"/{page.token}/"

    def send(self, method, path, form=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.page.port, timeout=10)
        body = urllib.parse.urlencode(form, doseq=True) if form is not None else None
        known = {"Host": f"127.0.0.1:{self.page.port}"}
        if form is not None:
            known |= {
                "Origin": f"http://127.0.0.1:{self.page.port}",
                "Content-Type": "application/x-www-form-urlencoded",
            }
        connection.request(method, path, body, {**known, **headers})
        response = connection.getresponse()
        return response.status, response.read().decode(), dict(response.getheaders())

    def save(self, form, **headers):
        status, text, _ = self.send("POST", self.base + "save", form, **headers)
        return status, text

    def written(self):
        return {p.relative_to(self.folder).as_posix(): p.read_text() for p in self.folder.rglob("*") if p.is_file()}


def form(**changes):
    """The page's form as it is first shown, with changes to the roles of columns and to the answers."""
    drafted = {
        "No": ["order.order_id"],
        "Mail": ["order.person_id"],
        "Day": ["order.ordered_at"],
        "Kind": ["order.channel"],
    }
    sent = {field_name(ROLE, FILE, name): changes.get(name, roles) for name, roles in drafted.items()}
    sent[field_name(OTHER, FILE, "Memo")] = changes.get("Memo", [""])
    sent[field_name(DECISION, NAME.file, NAME.key, NAME.text)] = changes.get("name", "Drops")
    sent[field_name(DECISION, DAY.file, DAY.key, DAY.text)] = changes.get("formats", '["dd/MM/yyyy"]')
    return sent


def errors_in(text):
    return [unescape(found) for found in re.findall(r'<p class="error" role="alert">(.*?)</p>', text, re.S)]


def test_the_page_shows_columns_decisions_and_preview(served):
    status, text, headers = served.send("GET", served.base)
    assert status == 200 and headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"] and "<script" not in text
    assert "<legend>Mail</legend>" in text and "xxx@xxxxxx.xxx" in text
    assert 'value="order.order_id" checked' in text
    assert "What is the name?" in text and 'value="Drops"' in text
    assert "3 person records." in text and "orders: sampled." in text
    assert "&lt;b&gt;7&lt;/b&gt;" in text and "<b>7</b>" not in text
    assert served.send("GET", served.base + "style.css")[0] == 200


@pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/save", "/../etc/passwd"])
def test_wrong_token(served, path):
    status, text, _ = served.send("GET", path)
    assert status == 404 and "orders" not in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1"])
def test_another_host_is_refused(served, host):
    """A name that an attacker lets point to 127.0.0.1 (DNS rebinding)."""
    status, text, _ = served.send("GET", served.base, Host=host.format(port=served.page.port))
    assert status == 403 and "orders" not in text


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
def test_a_form_of_another_site_is_refused(served, origin):
    before = served.written()
    assert served.save(form(name="Taken over"), Origin=origin)[0] == 403
    assert served.written() == before


def test_nothing_but_forms_and_pages_is_answered(served):
    assert served.send("PUT", served.base + "save")[0] == 405
    assert served.send("GET", served.base + "save")[0] == 404
    assert served.save({"x": "y" * (9 << 20)})[0] == 413


def test_saving_the_recommended_form_writes_what_the_command_line_writes(served):
    status, text = served.save(form())
    assert status == 200 and errors_in(text) == []
    written = served.written()
    assert set(written) == {"company.yaml", FILE, "answers.yaml"}
    assert written["company.yaml"] == COMPANY.replace("Our company", '"Drops"')
    assert '{"file": "company.yaml", "key": "company.name", "answer": "Drops"}' in written["answers.yaml"]
    assert load_source(served.folder / FILE).feeds["order"].columns["channel"].from_ == ["Kind"]
    assert written[FILE].startswith("# Draft for orders\n")


def test_roles_are_moved_added_and_removed(served):
    changes = {"Kind": [], "Memo": ["order.channel"], "Mail": ["order.person_id", "person.person_id", "person.email"]}
    status, text = served.save(form(**changes, formats='["MM/dd/yyyy"]'))
    assert status == 200, errors_in(text)
    feeds = load_source(served.folder / FILE).feeds
    assert feeds["order"].columns["channel"].from_ == ["Memo"]
    assert feeds["order"].columns["ordered_at"].formats == ["MM/dd/yyyy"]
    assert {ours: m.from_ for ours, m in feeds["person"].columns.items()} == {"person_id": ["Mail"], "email": ["Mail"]}
    assert 'name="[&#34;role&#34;, &#34;sources/orders.yaml&#34;, &#34;Mail&#34;]" value="person.email" checked' in text


def test_the_saved_answers_repeat_the_page(served):
    from crm_spark.onboarding.answers import apply_answers, load_answers

    served.save(form(Kind=[], Memo=["order.channel"], name="Tea"))
    again = CompanyDraft({"company.yaml": COMPANY, FILE: ORDERS}, [NAME, DAY])
    apply_answers(again, load_answers(served.folder / "answers.yaml"), origin="answers.yaml")
    assert again.texts == {name: served.written()[name] for name in ("company.yaml", FILE)}
    assert again.questions == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"No": []}, "required columns without a mapping: order_id"),
        ({"Kind": ["order.order_id"]}, "order.order_id is also the role of No. Choose one column."),
        ({"Memo": ["order.nothing"]}, "order.nothing"),
        ({"formats": '["nonsense}'}, "Expected a word, a number, or YAML"),
        ({"formats": '["qqqq-zz"]'}, "qqqq"),
        ({"name": "5"}, "company.name: expected a text, got 5"),
    ],
)
def test_invalid_values_are_named_and_nothing_is_lost(served, changes, message):
    before = served.written()
    status, text = served.save(form(**{"name": "Kept & typed", **changes}))
    assert status == 422 and any(message in error for error in errors_in(text)), errors_in(text)
    assert served.written() == before
    if "name" not in changes:
        assert 'value="Kept &amp; typed"' in text


def test_changes_made_elsewhere_are_not_overwritten(served):
    (served.folder / FILE).write_text(ORDERS + "rank: 2\n")
    status, text = served.save(form())
    assert status == 422 and "changed by another program" in errors_in(text)[0]
    assert served.written()[FILE].endswith("rank: 2\n") and "Our company" in served.written()["company.yaml"]


def test_close_ends_the_server(served):
    assert served.send("POST", served.base + "close", {})[0] == 200
    with pytest.raises(OSError):
        for _ in range(100):
            served.send("GET", served.base)


def test_it_listens_on_the_loopback_address_only(served):
    assert served.page.address == f"http://127.0.0.1:{served.page.port}/{served.page.token}/"
    assert (
        len(served.page.token) >= 32
        and Path("/proc/net/tcp").read_text().count(f"00000000:{served.page.port:04X} ") == 0
    )
