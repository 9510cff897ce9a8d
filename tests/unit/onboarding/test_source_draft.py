"""Drafted mappings: column names in several languages, keys, statuses, consent, ratings and advice."""

from pathlib import Path

import pytest
import yaml

from crm_spark.onboarding.column_profile import ColumnProfile
from crm_spark.onboarding.mapping_proposal import Proposal, known_vocabulary, plain, proposal_of
from crm_spark.onboarding.source_draft import source_yaml
from crm_spark.sources.config import Source
from crm_spark.sources.files import FileOptions, Files

VOCABULARY = known_vocabulary(Path(__file__).resolve().parents[3] / "conf" / "domains")
FILES = Files(path="*.csv", format="csv", options=FileOptions(delimiter=";"))


def column(name, kind="text", *, is_key=False, low=None, high=None, num_blank=0, **fractions):
    all_fractions = {kind: 1.0, **fractions} if kind != "text" else fractions
    return ColumnProfile(name, 100, num_blank, 100 if is_key else 9, 12, all_fractions, low, high)


def proposal(*columns, words=(), divided=0, called="shop"):
    return proposal_of(
        columns, VOCABULARY, words_of=lambda _: list(words), num_divided=lambda *_: divided, called=called
    )


def drafted(*columns, given=None, **more):
    text = source_yaml("shop", FILES, list(columns), proposal(*columns, **more), given or {})
    return text, Source.model_validate({"name": "shop", **yaml.safe_load(text)})


@pytest.mark.parametrize(
    ("names", "entity"),
    [
        (("Codice cliente", "Cognome", "Nome", "E-mail", "Città", "Data di nascita"), "person"),
        (("N° Client", "Prénom", "Nom", "Téléphone", "Code postal", "Ville"), "person"),
        (("Código cliente", "Apellidos", "Nombre", "Correo electrónico", "Población", "Móvil"), "person"),
        (("Klantnummer", "Voornaam", "Achternaam", "E-mailadres", "Woonplaats", "Straat"), "person"),
        (("Pedido", "Línea", "Artículo", "Cantidad", "Precio unitario", "Moneda"), "order_line"),
        (("Bestell-Nr.", "Pos.", "Artikel-Nr.", "Menge", "Einzelpreis", "Währung"), "order_line"),
        (("Zamówienie", "Pozycja", "Produkt", "Ilość", "Cena", "Waluta"), "order_line"),
    ],
)
def test_columns_are_recognised_by_name_in_several_languages(names, entity):
    feeds = proposal(*(column(name, is_key=i == 0) for i, name in enumerate(names))).feeds
    assert set(feeds) == {entity}
    assert len({profile.name for profile in feeds[entity].values()}) >= len(names) - 1


def test_plain_removes_accents_case_and_punctuation():
    assert [plain(name) for name in ("N. Ordine", "Città", "STRAẞE", "Miejscowość", "İd")] == [
        "nordine", "citta", "strasse", "miejscowosc", "id",
    ]  # fmt: skip


ORDERS = (column("Ordine"), column("Riga", "integer"), column("Cliente"), column("Data ordine", "dd/MM/yyyy HH:mm"),
          column("Articolo"), column("Quantità", "integer"), column("Prezzo", "decimal_comma"), column("Stato"))  # fmt: skip


def test_order_lines_get_a_composite_key_and_are_not_deduplicated():
    text, source = drafted(*ORDERS, words=["evaso", "annullato"])
    line, order = source.feeds["order_line"], source.feeds["order"]
    assert (line.columns["line_id"].from_, line.columns["line_id"].join, line.one_row_per_key) == (
        ["Ordine", "Riga"],
        "-",
        False,
    )
    assert order.one_row_per_key and order.columns["ordered_at"].formats == ["dd/MM/yyyy HH:mm"]
    assert order.columns["status"].map == {"evaso": "completed", "annullato": "cancelled"}
    assert "is_return" not in line.columns and "product" not in source.feeds, (
        "a product number alone does not describe a product"
    )
    assert "Revenue = quantity x unit_price of lines with is_return false" in text


def test_status_that_differs_between_lines_of_an_order_is_mapped_to_is_return():
    text, source = drafted(*ORDERS, words=["evaso", "annullato", "sospeso?"], divided=7)
    assert source.feeds["order"].columns["status"].value == "completed"
    assert source.feeds["order_line"].columns["is_return"].map == {"evaso": "false", "annullato": "true"}
    assert "'Stato' differs between the lines of 7 orders" in text
    assert "unknown values 'sospeso?': their orders are quarantined" in text


def test_review_file_feeds_only_feedback():
    columns = [column("id", is_key=True), column("cliente"), column("articolo"), column("titolo"), column("testo")]
    _, source = drafted(*columns, column("stelle", "integer", low=1.0, high=5.0), column("data", "iso"))
    assert set(source.feeds) == {"feedback"}
    mapped = source.feeds["feedback"].columns
    assert mapped["feedback_id"].from_ == ["id"] and mapped["kind"].value == "review"
    assert mapped["label"].ranges == {
        "does_not_recommend": (1, 2), "no_clear_opinion": (3, 3), "recommends": (4, 5),
    }  # fmt: skip


def test_rating_to_10_uses_nps_ranges_and_rating_to_100_gets_no_label():
    columns = [column("review_id", is_key=True), column("text"), column("date", "iso")]
    _, ten = drafted(*columns, column("score", "integer", low=0.0, high=10.0))
    _, hundred = drafted(*columns, column("score", "integer", low=0.0, high=100.0))
    assert ten.feeds["feedback"].columns["label"].ranges["recommends"] == (9, 10)
    assert "label" not in hundred.feeds["feedback"].columns


def test_missing_settings_are_commented_and_given_settings_are_used():
    text, source = drafted(*ORDERS)
    assert "--system" in text and "time_zone (default: the company's), country (of phone numbers), currency" in text
    given = {"system": "group", "time_zone": "Europe/Rome", "country": "IT", "currency": "EUR"}
    text, source = drafted(*ORDERS, given=given)
    assert "--system" not in text and "Set if needed" not in text
    assert (source.system, source.time_zone, source.country, source.currency) == tuple(given.values())


def test_unrecognised_file_gets_instructions_and_required_columns():
    text, source = drafted(column("foo"), column("bar"))
    assert source.feeds == {} and "conf/domains/column_names.yaml and run again with" in text
    assert "#   person: person_id\n" in text and "#   order: order_id, ordered_at, status\n" in text


@pytest.mark.parametrize("delimiter", ["\t", r"\t"])
def test_tab_delimiter_and_trailing_spaces_in_headers_are_kept(delimiter):
    options = FileOptions.model_validate({"delimiter": delimiter})
    files = Files(path="*.csv", format="csv", options=options)
    columns = [column("Order No "), column("Line", "integer"), column("Qty"), column("Price")]
    text = source_yaml("shop", files, columns, proposal(*columns), {})
    source = Source.model_validate({"name": "shop", **yaml.safe_load(text)})
    assert source.files.options.delimiter == "\t"
    assert source.feeds["order_line"].columns["order_id"].from_ == ["Order No "], "as the header has it"


def test_column_kind_tolerates_few_exceptions():
    most = column("Menge", "integer", integer=0.97)
    assert (most.kind, most.exceptions) == ("integer", "3 of 100 do not match")
    mail = column("Mail", email=0.9)
    assert (mail.kind, mail.exceptions, mail.looks_personal) == ("text", "90 of 100 look like email", True)
    assert column("PLZ", "integer", leading_zero=0.1).kind == "digits"
    assert column("day", **{"dd/MM/yyyy": 1.0, "MM/dd/yyyy": 1.0}).is_ambiguous
    assert not column("day", "dd/MM/yyyy").is_ambiguous and not column("day", "iso").is_ambiguous
    assert Proposal({}).status_map == {}


def test_email_digest_is_the_person_id_if_there_is_no_other_id():
    columns = [column("Ticket ID", is_key=True), column("Created At", "iso"), column("Requester Email", "email")]
    _, source = drafted(*columns, column("Requester Name"), column("Subject"), column("Order Number"), column("Status"))
    assert set(source.feeds) == {"interaction", "person"}, "a ticket about an order is no order"
    person, ticket = source.feeds["person"], source.feeds["interaction"]
    assert person.one_row_per_key and person.columns["person_id"].hash_of == ["Requester Email"]
    assert ticket.columns["person_id"].hash_of == ["Requester Email"] and ticket.columns["kind"].value == "ticket"
    assert (person.columns["email"].from_, person.columns["family_name"].part) == (["Requester Email"], "family")
    assert "joined_at" not in person.columns, "the day of the ticket is not the person's"


def test_mailing_list_status_is_mapped_to_consent():
    columns = [column("id", is_key=True), column("email", "email"), column("status"), column("subscribed_at", "iso")]
    text, source = drafted(*columns, words=["subscribed", "unsubscribed", "bounced", "paused?"], called="subscribers")
    person = source.feeds["person"]
    assert person.columns["person_id"].from_ == ["id"] and person.columns["joined_at"].from_ == ["subscribed_at"]
    assert person.columns["has_marketing_consent"].map == {
        "subscribed": "true", "unsubscribed": "false", "bounced": "false",
    }  # fmt: skip
    assert "has_marketing_consent: unknown values 'paused?'" in text


def test_status_without_consent_values_is_not_mapped():
    columns = [column("id", is_key=True), column("email", "email"), column("status")]
    _, source = drafted(*columns, words=["gold", "silver", "active"])
    assert "has_marketing_consent" not in source.feeds["person"].columns


def test_unit_price_is_derived_from_line_total_and_negative_quantity_is_a_return():
    columns = [
        column("basket_id"),
        column("household_id"),
        column("product_id"),
        column("sales_value", "decimal_point"),
    ]
    quantity = column("quantity", "integer", low=-3.0, high=9.0)
    _, source = drafted(*columns, quantity, column("transaction_timestamp", "iso"))
    line = source.feeds["order_line"].columns
    assert (line["unit_price"].from_, line["unit_price"].divide_by) == (["sales_value"], "quantity")
    assert [(case.column, case.value) for case in line["is_return"].cases] == [("quantity", "true")]
    assert line["is_return"].otherwise == "false" and line["line_id"].hash_of == "all"
    assert source.feeds["order"].columns["person_id"].from_ == ["household_id"]


def test_column_named_id_is_the_order_id():
    columns = [column("id", is_key=True), column("customer_id"), column("created_at", "iso"), column("status")]
    _, source = drafted(*columns, words=["paid", "refunded"])
    assert set(source.feeds) == {"order"} and source.feeds["order"].columns["order_id"].from_ == ["id"]


def test_campaign_files_feed_contacts_responses_or_interactions():
    _, source = drafted(column("campaign_id"), column("household_id"))
    contact = source.feeds["campaign_contact"].columns["contact_id"]
    assert set(source.feeds) == {"campaign_contact"} and (contact.from_, contact.join) == (
        ["campaign_id", "household_id"],
        "-",
    )
    _, source = drafted(column("campaign_id"), column("household_id"), column("redemption_date", "iso"))
    assert set(source.feeds) == {"campaign_response"}
    assert source.feeds["campaign_response"].columns["response_id"].hash_of == "all"
    _, source = drafted(
        column("event_id", is_key=True),
        column("subscriber_id"),
        column("campaign_id"),
        column("event"),
        column("occurred_at", "iso"),
    )
    assert set(source.feeds) == {"interaction"} and source.feeds["interaction"].columns["kind"].value == "mail"


def test_id_exported_as_decimal_is_extracted_as_integer():
    fraction = column("CustomerID", "decimal_point", whole_fraction=1.0)
    _, source = drafted(column("InvoiceNo"), fraction, column("InvoiceDate", "iso"), column("Status"), words=["paid"])
    assert source.feeds["order"].columns["person_id"].extract == r"^(.*?)(?:\.0)?$"


def test_catalogue_price_is_the_list_price():
    _, source = drafted(column("SKU", is_key=True), column("Title"), column("Price", "decimal_point"))
    assert source.feeds["product"].columns["list_price"].from_ == ["Price"]


def test_notes_become_comments():
    given = {"system": "shop", "country": "DE"}
    text = source_yaml("o", FILES, list(ORDERS), proposal(*ORDERS), given, notes=["country: inferred: 9 of 10 records"])
    assert "# country: inferred: 9 of 10 records\n" in text and "Set if needed" not in text


def test_chinese_orders_are_drafted():
    columns = (column("订单编号"), column("客户编号"), column("下单时间", "iso"), column("订单状态"), column("商品编号"),
               column("数量", "integer", low=1, high=3), column("单价", "decimal_point", low=1, high=9),
               column("优惠金额", "decimal_point", low=0, high=2), column("收货人"), column("手机号码", "phone"))  # fmt: skip
    text, source = drafted(*columns, words=["已发货", "已取消"])
    order, line, person = (source.feeds[entity].columns for entity in ("order", "order_line", "person"))
    assert order["status"].map == {"已发货": "shipped", "已取消": "cancelled"}
    assert (order["ordered_at"].from_, line["unit_price"].from_, line["discount"].from_) == (
        ["下单时间"],
        ["单价"],
        ["优惠金额"],
    )
    assert person["family_name"].from_ == ["收货人"] and person["phone"].from_ == ["手机号码"]
    assert "order_line.discount is subtracted" in text and "discount" not in order


@pytest.mark.parametrize(
    ("names", "entities", "own"),
    [
        ("Record ID;First Name;Last Name;Email;Lead Status;Create Date@iso", {"person"}, ("person", "person_id", "Record ID")),
        ("id;first_name;last_name;email;plan;start_date@iso", {"person"}, ("person", "person_id", "id")),
        ("id;customer_id;created_at@iso;total_price@decimal_point;financial_status;closed_at@iso", {"order"}, ("order", "order_id", "id")),
        ("id;customer_id;plan;start_date@iso;status", {"subscription"}, ("subscription", "subscription_id", "id")),
        ("plan_id;plan_name;price@decimal_point;start_date@iso", set(), None),
        ("order_id;customer_id;date@iso;amount@decimal_point;payment_method", {"order"}, ("order", "total", "amount")),
    ],
)  # fmt: skip
def test_id_belongs_to_the_entity_that_the_file_describes(names, entities, own):
    columns = [column(name.split("@")[0], ([*name.split("@"), "text"])[1], is_key=i == 0, low=1 if "point" in name else None,
                      high=9 if "point" in name else None) for i, name in enumerate(names.split(";"))]  # fmt: skip
    feeds = proposal(*columns, words=["paid"]).feeds
    assert set(feeds) == entities
    if own is not None:
        assert feeds[own[0]][own[1]].name == own[2]


def test_amounts_of_order_and_lines_are_told_apart():
    names = ("Name", "Email", "Created at", "Currency", "Total", "Shipping", "Discount Amount", "Lineitem quantity", "Lineitem name",
             "Lineitem price", "Lineitem discount", "Lineitem sku")  # fmt: skip
    kinds = {"Created at": "iso", "Email": "email", "Name": "order_number"}
    numbers = ("Total", "Shipping", "Discount Amount", "Lineitem quantity", "Lineitem price", "Lineitem discount")
    columns = [
        column(name, "decimal_point" if name in numbers else kinds.get(name, "text"), low=2 if name in numbers else None,
               high=9 if name in numbers else None) for name in names
    ]  # fmt: skip
    feeds = proposal(*columns).feeds
    order, line = ({ours: p.name for ours, p in feeds[entity].items()} for entity in ("order", "order_line"))
    assert order["total"] == "Total" and order["currency"] == line["currency"] == "Currency"
    assert (order["discount"], line["discount"], order["freight"]) == (
        "Discount Amount",
        "Lineitem discount",
        "Shipping",
    )
    assert "freight" not in line and "line_total" not in line


def test_rates_and_regions_are_no_amounts_and_states():
    columns = (column("Order ID"), column("Customer ID"), column("Order Date", "iso"), column("State"), column("Product ID"),
               column("Quantity", "integer", low=1, high=9), column("Sales", "decimal_point", low=1, high=99),
               column("Price", "decimal_point", low=1, high=9), column("Discount", "decimal_point", low=0, high=0.8))  # fmt: skip
    _, source = drafted(*columns, words=["Texas", "Ohio"])
    assert source.feeds["order"].columns["status"].value == "completed"
    assert not any("discount" in feed.columns for feed in source.feeds.values())
