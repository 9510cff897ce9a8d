"""Specification of a small company of an industry: what its customers do, and the files that its systems write."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from crm_spark.core.config import Config

Rate = Annotated[float, Field(ge=0, le=1)]
RecordKind = Literal[
    "person", "contract", "order", "order_line", "usage", "appointment", "payment", "contact", "review"
]
FIELDS: dict[RecordKind, tuple[str, ...]] = {
    "person": ("person", "given_name", "family_name", "email", "city", "birth_on", "consent", "joined_on", "attribute"),
    "contract": (
        *("contract", "person", "plan", "product", "started_on", "renews_on", "is_renewing", "ended_on", "end_reason"),
        *("price", "status"),
    ),
    "order": ("order", "person", "at", "channel", "status"),
    "order_line": ("line", "order", "product", "quantity", "unit_price"),
    "usage": ("event", "person", "contract", "at", "kind", "quantity", "value"),
    "appointment": ("event", "person", "kind", "status", "booked_at", "at", "product", "price"),
    "payment": ("event", "person", "at", "method", "value"),
    "contact": ("event", "person", "at", "kind", "text"),
    "review": ("event", "person", "at", "product", "rating", "text"),
}
"""Kind of record -> its fields, which the files of a company name as they like."""


class ContractSpec(Config):
    """Contracts of the customers."""

    plans: dict[str, Annotated[float, Field(gt=0)]]
    """Plan -> price per month."""
    term_months: Annotated[int, Field(ge=1, le=36)] = 12
    """Length of a term; a customer leaves at the end of one."""
    updates_in_place: bool = True
    """Whether a renewal moves the end of the term; otherwise the contract has no term and ends when the customer leaves."""


class EventSpec(Config):
    """Events of one kind of record."""

    per_month: Annotated[float, Field(gt=0, le=60)]
    """Mean number of events of an active customer."""
    kinds: dict[str, Annotated[float, Field(gt=0)]] = {"event": 1.0}
    """Kind -> weight."""
    value: tuple[float, float] = (5.0, 50.0)
    """Lowest and highest amount."""
    quantity: tuple[float, float] = (1.0, 60.0)
    """Lowest and highest quantity."""
    missed: Rate = 0.0
    """Fraction of appointments missed by a customer of average satisfaction; unhappy ones miss more."""
    cancelled: Rate = 0.0
    """Fraction of appointments or orders that are cancelled."""


class FileSpec(Config):
    """File that a system of the company writes."""

    of: RecordKind
    """Kind of record."""
    columns: dict[str, str]
    """Column of the file -> field of the record."""
    words: dict[str, dict[str, str]] = {}
    """Field -> value -> what the file writes for it."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """Between the cells."""
    decimal_comma: bool = False
    """Whether numbers have a decimal comma."""
    day_format: str = "%Y-%m-%d"
    """Format of days; of times it is followed by a space and %H:%M:%S."""

    @model_validator(mode="after")
    def _check_fields(self) -> "FileSpec":
        if unknown := sorted(set(self.columns.values()) - set(FIELDS[self.of])):
            raise ValueError(
                f"columns: {self.of} has no field {', '.join(unknown)}; its fields: {', '.join(FIELDS[self.of])}"
            )
        return self


class IndustrySpec(Config):
    """Small company of an industry; generation is deterministic for a given specification."""

    name: str
    """Name of the company in the report."""
    customers: Annotated[int, Field(ge=300, le=20_000)] = 800
    """Number of customers."""
    history_days: Annotated[int, Field(ge=120, le=3650)] = 420
    """Days of the history."""
    seed: Annotated[int, Field(ge=1)] = 7
    """Seed of all random draws."""
    leaves_per_month: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Fraction of customers of average satisfaction who leave per month."""
    attribute_values: list[str] = ["online", "branch"]
    """Values of an attribute of people that never changes."""
    products: list[str] = []
    """What is sold."""
    words: dict[str, list[str]] = {}
    """Words of the texts by slot, see grammar.yaml, instead of those of a shop."""
    contract: ContractSpec | None = None
    """Contracts; null: there are none."""
    events: dict[Literal["order", "usage", "appointment", "payment", "contact", "review"], EventSpec]
    """Events of the customers."""
    files: dict[str, FileSpec]
    """Files by name, without `.csv`."""
