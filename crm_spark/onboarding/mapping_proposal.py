"""Propose mappings of source columns to entities, based on column names and profiles."""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crm_spark.contracts.silver import EVENT_TIMES
from crm_spark.core.config import read_yaml
from crm_spark.onboarding.column_profile import ORDER_NUMBER, ColumnProfile
from crm_spark.onboarding.entity_evidence import (
    EVIDENCE,
    FULL_NAME,
    OF_LONE_ID,
    OWNS_AN_ID,
    PARTS,
    Found,
    is_described,
    of_fitting_kind,
    own_id,
    required,
    settle_amounts,
    settle_entities,
)
from crm_spark.onboarding.totals import Totals

_WITH_ORDER_ID = ("order", "order_line")
_ANY_ID = (
    "id",
    "uuid",
    "recordid",
    "codice",
    "codigo",
    "code",
    "num",
    "no",
    "nr",
    "number",
    "nummer",
    "numero",
    "c0",
    "unnamed0",
)
_TIME_WORDS = {"date", "at", "on", "time", "datetime", "timestamp", "datum", "utc", "gmt"}
"""Words of a name that say only that it is a time."""
_TIME_FORMS = ("{}at", "{}on", "{}date", "date{}", "{}time", "{}datum")
_NUMBER_ENDS = ("nummer", "number", "nr", "no", "num")
_NUMBER_END = re.compile(rf"^(.{{3,}})(?:{'|'.join(_NUMBER_ENDS)})$")
_FIRST_OF_SEVERAL = re.compile(r"(?<=[^\W\d])[ _-]?1$")
"""End of the first of several columns: `address_1`."""
_CONSENT_COLUMNS = (
    "status",
    "state",
    "subscriptionstatus",
    "emailstatus",
    "marketingstatus",
    "abostatus",
    "statut",
    "estado",
    "stato",
)
_KINDS = {
    "appointment": {
        "booking": ("booking", "reservation", "checkin", "buchung", "reserva", "prenotazione", "rezerwac"),
        "enrolment": ("enrol", "course", "kurs", "student", "matricul", "cours", "corso"),
        "visit": ("visit", "encounter", "besuch", "visite", "visita"),
        "appointment": ("",),
    },
    "interaction": {
        "ticket": ("ticket", "case", "requester", "vorgang", "incidencia", "segnalazione", "工单"),
        "call": ("call", "anruf", "appel", "llamada", "chiamata"),
        "mail": ("mail", "campaign", "newsletter", "subscriber", "kampagne"),
        "web": ("page", "session", "visit", "click", "event", "url", "访问"),
    },
    "feedback": {
        "survey": ("survey", "nps", "csat", "umfrage", "response", "answer", "enquete", "encuesta", "问卷"),
        "review": ("",),
    },
}
"""Words in file and column names that indicate the kind of the records; the first kind is the default."""

_WITHOUT_AMOUNT = ("feedback", "interaction", "person", "product")
"""Entities whose records have no amount and time: a sale or payment with a description or an e-mail address is none of them."""
_AMOUNTS = ("freight", "discount", "tax")
"""Amounts of a line or of a whole order."""
_BALANCES = ("balance", "runningbalance", "accountbalance", "saldo", "kontostand", "solde", "saldofinal", "余额")
"""Names of columns that only statements of accounts have."""
_PAYERS = ("person", "order", "interaction", "feedback", "payment")
"""Entities whose person may be known by the e-mail address alone."""
_REGIONS = ("state", "estado", "stato")
"""Names of columns with a status or a region."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


@dataclass(frozen=True)
class Proposal:
    """Proposed mapping of a source.

    Attributes:
        feeds: entity -> entity column -> source column.
        kinds: entity -> kind of its records.
        status_map: order status in the source -> standard status; None if unknown.
        state_maps: entity -> state of a subscription, appointment or deal in the source -> standard state; None if unknown.
        consent_map: consent value in the source -> true or false; None if unknown.
        num_divided_orders: number of orders whose lines have different statuses.
        each: list in the records of which each element is a record; None for none.
        totals: lines of totals, which are no records; None for none.
    """

    feeds: dict[str, Found]
    kinds: dict[str, str] = field(default_factory=dict)
    status_map: dict[str, str | None] = field(default_factory=dict)
    state_maps: dict[str, dict[str, str | None]] = field(default_factory=dict)
    consent_map: dict[str, str | None] = field(default_factory=dict)
    num_divided_orders: int = 0
    each: str | None = None
    totals: Totals | None = None


@dataclass(frozen=True)
class Vocabulary:
    """Known column names and values of sources.

    Attributes:
        names: entity -> column -> known column names.
        states: known order status -> standard status.
        other_states: entity -> known state -> standard state.
        consents: known consent value -> true or false.
        prefixes: entity -> words that may stand before the name of one of its columns, such as `billing`.
    """

    names: Mapping[str, Mapping[str, list[str]]]
    states: Mapping[str, str] = field(default_factory=dict)
    other_states: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    consents: Mapping[str, str] = field(default_factory=dict)
    prefixes: Mapping[str, list[str]] = field(default_factory=dict)


def known_vocabulary(folder: Path) -> Vocabulary:
    """Load the vocabulary from `conf/domains`."""
    return Vocabulary(
        _with_every_person_id(read_yaml(folder / "column_names.yaml")),
        _by_word(read_yaml(folder / "status_words.yaml")),
        {entity: _by_word(states) for entity, states in read_yaml(folder / "state_words.yaml").items()},
        _by_word(read_yaml(folder / "consent_words.yaml")),
        read_yaml(folder / "column_prefixes.yaml"),
    )


def _with_every_person_id(names: Mapping[str, Mapping[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    """Column names in which every event knows all names of a person's id, unless another column of it has that name."""
    ids = dict.fromkeys(name for columns in names.values() for name in columns.get("person_id", ()))
    result = {entity: dict(columns) for entity, columns in names.items()}
    for entity, columns in result.items():
        if "person_id" in columns and entity != "person":
            taken = {name for ours, known in columns.items() for name in (*known, plain(ours))}
            columns["person_id"] = [*columns["person_id"], *(name for name in ids if name not in taken)]
    return result


def _by_word(content: Mapping[str, list[str]]) -> dict[str, str]:
    return {word: ours for ours, words in content.items() for word in words}


def plain(name: str) -> str:
    """Normalise a name: lower case, no accents, letters (of any script) and digits only."""
    bare = unicodedata.normalize("NFKD", name.lower().replace("ß", "ss").replace("ł", "l").replace("ø", "o"))
    return re.sub(r"[\W_]", "", bare)


def _spellings(name: str) -> tuple[str, str]:
    """Normalised spellings of a name, with umlauts expanded (Waehrung) and reduced (Wahrung)."""
    return plain(name.lower().translate(_UMLAUTS)), plain(name)


def _variants(name: str) -> list[str]:
    """Further spellings of a name: without a note in brackets, of the first of several columns, of a time, number or id in other words."""
    bare = re.sub(r"\s*[(\[].*?[)\]]\s*", " ", name).strip()
    bare = _FIRST_OF_SEVERAL.sub("", bare)
    found = [*_spellings(bare)] if bare != name else []
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", bare).lower()
    words = re.findall(r"[^\W_]+", split)
    stem = plain("".join(word for word in words if word not in _TIME_WORDS))
    if stem and _TIME_WORDS & {*words}:
        found += [form.format(stem) for form in _TIME_FORMS]
    if (number := _NUMBER_END.match(plain(bare))) is not None:
        found += [f"{number[1]}{end}" for end in _NUMBER_ENDS]
    if len(words) > 1 and words[0] == "id":
        found.append(plain("".join(words[1:])) + "id")
    return [spelling for spelling in found if spelling not in _ANY_ID]


def names_of(name: str) -> set[str]:
    """Spellings by which a column is known: of its name and, of a field in an object, of the end of its path."""
    parts = name.split(".")
    own = {spelling for size in (len(parts), 2, 1) for spelling in _spellings("".join(parts[-size:]))}
    return own | {*_variants(parts[-1])}


def is_called(name: str, spellings: Collection[str]) -> bool:
    """Whether a column name matches one of the spellings."""
    return any(spelling in spellings for spelling in _spellings(name))


def proposal_of(
    profiles: list[ColumnProfile],
    vocabulary: Vocabulary,
    *,
    words_of: Callable[[str], list[str]],
    num_divided: Callable[[str, str], int],
    called: str = "",
    each: str | None = None,
) -> Proposal:
    """Propose a mapping for a source.

    Args:
        profiles: column profiles of the file.
        vocabulary: known column names and values.
        words_of: returns the distinct values of a column with few values.
        num_divided: returns the number of keys with more than one value in a column.
        called: source name.
        each: list of which the elements are records of their own; their columns begin with it.
    """
    feeds = proposed(profiles, vocabulary, each)
    kinds = {entity: _kind(entity, called, profiles) for entity in feeds if entity in _KINDS}
    consents = _consents(feeds, profiles, vocabulary, words_of)
    states = {
        entity: {word: words.get(word.strip().lower()) for word in words_of(feeds[entity]["status"].name)}
        for entity, words in vocabulary.other_states.items()
        if "status" in feeds.get(entity, {})
    }
    order = feeds.get("order", {})
    if "status" not in order:
        return Proposal(feeds, kinds, state_maps=states, consent_map=consents, each=each)
    status = order["status"].name
    statuses = {word: vocabulary.states.get(word.strip().lower()) for word in words_of(status)}
    if plain(status) in _REGIONS and not any(statuses.values()):
        del order["status"]  # a region
        return Proposal(feeds, kinds, state_maps=states, consent_map=consents, each=each)
    divided = num_divided(order["order_id"].name, status) if "order_line" in feeds else 0
    return Proposal(feeds, kinds, statuses, states, consents, divided, each)


def _kind(entity: str, called: str, profiles: list[ColumnProfile]) -> str:
    text = " ".join([plain(called), *(plain(profile.name) for profile in profiles)])
    kinds = _KINDS[entity]
    return next((kind for kind, words in kinds.items() if any(word in text for word in words)), next(iter(kinds)))


def _consents(
    feeds: dict[str, Found], profiles: list[ColumnProfile], vocabulary: Vocabulary, words_of: Callable[[str], list[str]]
) -> dict[str, str | None]:
    """Consent values of the consent column, which is detected by its name or its values."""
    person = feeds.get("person")
    if person is None or "order" in feeds or "interaction" in feeds:
        return {}
    named = person.get("has_marketing_consent")
    candidates = [named] if named else [p for p in profiles if plain(p.name) in _CONSENT_COLUMNS]
    for profile in candidates:
        if profile.kind == "yes_no":
            continue
        values = {word: vocabulary.consents.get(word.strip().lower()) for word in words_of(profile.name)}
        if 2 * sum(ours is not None for ours in values.values()) > len(values):
            person["has_marketing_consent"] = profile
            return values
    return {}


def proposed(profiles: list[ColumnProfile], vocabulary: Vocabulary, each: str | None = None) -> dict[str, Found]:
    """Entity -> entity column -> source column, for entities with all required columns that the file describes."""
    by_name = _by_name(profiles)
    numbers = [profile for profile in profiles if profile.is_mostly(ORDER_NUMBER)]
    others = {spelling: profile for spelling, profile in by_name.items() if profile not in numbers}
    every = {
        entity: of_fitting_kind(
            entity,
            _found(
                by_name if entity in _WITH_ORDER_ID else others,
                columns,
                vocabulary.prefixes.get(entity, ()),
                is_part=entity == "order_line",
            ),
        )
        for entity, columns in vocabulary.names.items()
    }
    for entity in _WITH_ORDER_ID if numbers else ():
        every.setdefault(entity, {}).setdefault("order_id", numbers[0])
    lines = set(every.get("order_line", {}))
    if "quantity" in lines or {"order_id", "product_id", "unit_price"} <= lines:
        every.get("product", {}).pop("list_price", None)  # it is the price paid per line
    _drop_names_of_things(every)
    _give_time_of_payment(every, is_statement=any(name in by_name for name in _BALANCES))
    _give_id(every, by_name, is_order=each is not None and "quantity" in every.get("order_line", {}))
    if each is not None:
        _give_ids_of_lines(every, by_name, each)
    _give_person(every)
    result = {
        entity: found
        for entity, found in every.items()
        if required(entity) <= set(found) and is_described(entity, found)
    }
    _settle(result)
    settle_entities(result)
    settle_amounts(result, vocabulary.prefixes.get("order_line", ()), each)
    if "currency" in result.get("order", {}):
        result.get("order_line", {}).setdefault("currency", result["order"]["currency"])
    for found in result.values():
        whole = found.pop(FULL_NAME, None)
        if whole is not None and not set(PARTS) & set(found):
            found |= dict.fromkeys(PARTS, whole)
    return result


def _found(
    by_name: Mapping[str, ColumnProfile],
    columns: Mapping[str, list[str]],
    prefixes: Sequence[str] = (),
    *,
    is_part: bool = False,
) -> Found:
    """Columns by name, with or without a prefix; those with values first, then amounts and totals as they fit.

    Args:
        by_name: columns by spelling.
        columns: known names.
        prefixes: words that may stand before a name.
        is_part: names with a prefix come first, and totals last, as the others are of the whole.
    """
    order = (*prefixes, "") if is_part else ("", *prefixes)
    spelled = {
        ours: [f"{prefix}{n}" for prefix in order for n in (plain(ours), *spellings) if f"{prefix}{n}" in by_name]
        for ours, spellings in columns.items()
    }

    def unfit(ours: str, spelling: str) -> tuple[bool, bool, bool]:
        is_wrong_total = ours in _AMOUNTS and ("total" in spelling) == is_part
        is_other_id = ours.endswith("_id") and spelling != plain(ours)
        return by_name[spelling].num_blank == by_name[spelling].num_rows, is_wrong_total, is_other_id

    best = {ours: min(hits, key=lambda hit: unfit(ours, hit)) for ours, hits in spelled.items() if hits}
    return {ours: by_name[spelling] for ours, spelling in best.items()}


def _by_name(profiles: list[ColumnProfile]) -> dict[str, ColumnProfile]:
    """Columns by spelling; a field of an object also by the end of its path, unless that is `id` or another column's name."""
    by_name = {spelling: profile for profile in profiles for spelling in _spellings(profile.name)}
    for size in (2, 1):
        for profile in profiles:
            parts = profile.name.split(".")
            for spelling in _spellings("".join(parts[-size:])) if len(parts) > size else ():
                if spelling not in _ANY_ID:
                    by_name.setdefault(spelling, profile)
    for profile in profiles:
        for spelling in _variants(profile.name.split(".")[-1]):
            by_name.setdefault(spelling, profile)
    return by_name


def _give_ids_of_lines(every: dict[str, Found], by_name: Mapping[str, ColumnProfile], each: str) -> None:
    """Order lines in a list: the id of the line is the element's, that of the order the record's."""
    lines, order = every.get("order_line", {}), every.get("order", {})
    if "order_id" not in lines and "order_id" in order:
        lines["order_id"] = order["order_id"]
    own = by_name.get(plain(f"{each}.id"))
    if "line_id" not in lines and own is not None:
        lines["line_id"] = own


def _give_id(every: dict[str, Found], by_name: Mapping[str, ColumnProfile], *, is_order: bool = False) -> None:
    """Assign a column named just `id` to the first entity that the file describes; to the order if the file has its lines."""
    lone = next((by_name[n] for n in _ANY_ID if n in by_name and by_name[n].may_be_key), None)
    order, payment = every.get("order", {}), every.get("payment", {})
    is_sale = {"total", "ordered_at"} <= set(order)
    is_payment = "value" in payment and payment["value"] == order.get("total", payment["value"])
    for entity in ("order", *OWNS_AN_ID) if is_order else OWNS_AN_ID:
        columns = every.get(entity, {})
        own = own_id(entity)
        needed = required(entity) - {own, "person_id"}
        if (
            lone is not None
            and own not in columns
            and needed <= set(columns)
            and OF_LONE_ID.get(entity, EVIDENCE.get(entity, {"status", "total"})) & set(columns)
            and (entity not in OF_LONE_ID or "person_id" in columns)
            and not (is_sale and entity in _WITHOUT_AMOUNT)
            and not (entity == "payment" and not is_payment)
        ):
            columns[own] = lone
            return


def _give_person(every: dict[str, Found]) -> None:
    """Use the e-mail as person id if the file has no other person id."""
    email = every.get("person", {}).get("email")
    if email is None or any("person_id" in every.get(entity, {}) for entity in _PAYERS):
        return
    for entity in _PAYERS:
        every.setdefault(entity, {})["person_id"] = email


def _give_time_of_payment(every: dict[str, Found], *, is_statement: bool) -> None:
    """A payment of a file without orders took place when its record was created. `is_statement`: the file is of an account."""
    order, payment = every.get("order", {}), every.get("payment", {})
    is_payment = "value" in payment and ("method" in payment or is_statement)
    if is_payment and "order_id" not in order and "ordered_at" in order:
        payment.setdefault("paid_at", order["ordered_at"])


def _drop_names_of_things(every: dict[str, Found]) -> None:
    """A name that is all that is known of a person is that of the product, if the file has more about products."""
    person, product = every.get("person", {}), every.get("product", {})
    is_named_only = EVIDENCE["person"] & set(person) <= {FULL_NAME, "joined_at", "has_marketing_consent"}
    if is_named_only and FULL_NAME in person and {"list_price", "category", "brand", "product_id"} & set(product):
        product.setdefault("name", person.pop(FULL_NAME))
        person.pop(FULL_NAME, None)


def _settle(result: dict[str, Found]) -> None:
    """Resolve columns that were assigned to several entities."""
    if "feedback" in result and "product" in result:
        written = {profile.name for ours, profile in result["feedback"].items() if ours in ("title", "text")}
        if "name" in result["product"] and result["product"]["name"].name in written:
            del result["product"]  # a review title is not a product name
    for entity in ("interaction", "feedback"):
        own = own_id(entity)
        if entity in result and result[entity][own].may_be_key and "order_line" not in result:
            result.pop("order", None)  # a ticket about an order, a review of one
    is_event = {"order", "order_line", "interaction", "feedback", "campaign_response"} & set(result)
    if is_event and "contacted_at" not in result.get("campaign_contact", {}):
        result.pop("campaign_contact", None)  # the file describes a response or event, not a contact
    times = {
        columns[at].name
        for entity, at in EVENT_TIMES.items()
        if entity != "person" and at in (columns := result.get(entity, {}))
    }
    person = result.get("person", {})
    for ours in ("joined_at", "updated_at"):
        if ours in person and person[ours].name in times:
            del person[ours]  # creation time of the event, not of the person
    if person and not is_described("person", person):
        del result["person"]
