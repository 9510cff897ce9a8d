"""What churn risk means for a company, as parts of sentences."""

from dataclasses import dataclass

from crm_spark.customers.business import CONTRACT_END, INACTIVITY, MISSED_APPOINTMENT, MISSED_RENEWAL
from crm_spark.stages.report.facts import Facts


@dataclass(frozen=True)
class ChurnWords:
    """Parts of sentences; fields of `company.words` and `days` are filled in."""

    stay: str
    """After "which customers will"."""
    event: str
    """After "the probability that a customer"."""
    risk: str
    """After "a high risk of"."""


_WORDS = {
    INACTIVITY: ChurnWords(
        "{buy} again", "does not {buy} in the next {days} days", "not {buying} in the next {days} days"
    ),
    CONTRACT_END: ChurnWords(
        "keep their {contract}",
        "has no running {contract} at the end of the next {days} days",
        "having no running {contract} at the end of the next {days} days",
    ),
    MISSED_RENEWAL: ChurnWords(
        "renew their {contract}",
        "has no renewed or running {contract} at the end of the next {days} days",
        "not renewing their {contract} in the next {days} days",
    ),
    MISSED_APPOINTMENT: ChurnWords(
        "keep their appointments",
        "misses an appointment and attends none in the next {days} days",
        "missing their appointments in the next {days} days",
    ),
}


def churn_words(facts: Facts) -> ChurnWords:
    """Return the parts of sentences of the company's kind of churn."""
    words, values = _WORDS[facts.churn], {**facts.words.model_dump(), "days": facts.horizon_days}
    return ChurnWords(words.stay.format(**values), words.event.format(**values), words.risk.format(**values))
