"""The words a manager reads: figures with units, features and reasons in plain language."""

SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$"}

FEATURES = {
    "recency_days": "a long time since the last order",
    "num_orders": "few orders so far",
    "num_orders_recent": "no orders lately",
    "monetary": "little spent so far",
    "monetary_recent": "little spent lately",
    "mean_order_value": "the size of the orders",
    "tenure_days": "how long they have been a customer",
    "cadence_days": "the usual time between orders",
    "lateness": "later than they usually order",
    "num_products": "how few different products they buy",
    "num_returns": "returns and cancellations",
    "return_fraction": "the share of orders that come back",
    "num_channels": "the channels they use",
    "num_tickets": "tickets so far",
    "num_tickets_recent": "recent tickets",
    "num_web_events_recent": "hardly any visits lately",
    "num_feedback": "how much feedback they give",
    "mean_satisfaction": "dissatisfaction",
    "last_satisfaction": "an unhappy last word",
    "num_campaign_contacts": "how often they were written to",
    "num_campaign_responses": "no reaction to campaigns",
}
"""What a feature means when it raises the risk of leaving."""

QUARANTINE = {
    "malformed_record": "could not be split into columns",
    "missing_required": "a value that must be there is missing",
    "bad_date": "a date that is none",
    "bad_number": "a number that is none",
    "bad_boolean": "a yes or no that is neither",
    "bad_email": "an e-mail address that is none",
    "bad_phone": "a phone number that is none",
    "conflicting_values": "lines of one order, or of one key, that do not agree",
    "bad_rating": "a rating outside its scale",
    "future_date": "a date in the future",
    "non_positive_price": "a price of zero or less",
    "non_positive_quantity": "a quantity of zero or less that is no return",
    "unknown_value": "a code the mapping does not know",
    "unknown_currency": "a currency without an exchange rate",
    "unknown_status": "a status that is none of ours",
    "unknown_kind": "a kind that is none of ours",
    "missing_column": "the file lacks a column we count on",
    "mostly_quarantined": "most of the delivery was bad, so all of it waits",
    "placeholder": "a placeholder such as n/a",
    "unknown_order": "an order nobody has told of",
    "unknown_product": "a product nobody has told of",
    "unusually_few_rows": "far fewer records than usual",
    "unusually_many_rows": "far more records than usual",
    "empty_file": "nothing is in it",
    "truncated_file": "it is cut off",
    "damaged_file": "its bytes are damaged",
    "not_readable": "it may not or cannot be opened",
    "wrong_encoding": "it is not in the encoding we were told",
    "nul_bytes": "bytes without meaning are in it",
    "unterminated_quote": "a quote is opened and never closed",
    "too_large_unpacked": "it unpacks to far more than its size",
    "unsafe_member": "the archive names places outside itself",
    "duplicate_column": "two columns have one name",
    "leads_outside": "it leads out of the data folder",
    "unusable_name": "its name cannot be used",
    "exact_duplicate": "the same record again",
    "superseded": "an older version of a record",
}

NOTED = {"nulled": "read as empty", "warn": "kept as it is"}
"""What follows from a finding in a record that stays."""

LABELS = {
    "recommends": "recommends us",
    "does_not_recommend": "does not recommend us",
    "no_clear_opinion": "no clear opinion",
}

MODELS = {
    "xgboost": "our model",
    "als": "our model",
    "reads_the_text": "our text model",
    "recency": "longest without an order first",
    "usual_share": "always the usual share",
    "usual_shares": "always the usual shares",
    "last_value": "as much as last time",
    "popularity": "the best sellers",
    "class_prior": "always the most common answer",
    "production": "the model in use before",
    "tfidf_lr": "counting words",
    "tfidf_lr_balanced": "counting words, rare verdicts weighted up",
}


def money(amount: float, currency: str) -> str:
    """An amount short enough to read: £8.89 million, €12,300."""
    symbol = SYMBOLS.get(currency, f"{currency} ")
    size = abs(amount)
    if size >= 1e9:
        return f"{symbol}{amount / 1e9:.2f} billion"
    if size >= 1e6:
        return f"{symbol}{amount / 1e6:.2f} million"
    return f"{symbol}{amount:,.0f}" if size >= 100 else f"{symbol}{amount:,.2f}"


def count(number: float) -> str:
    """A whole number with thousands separated."""
    return f"{number:,.0f}"


def percent(fraction: float, digits: int = 0) -> str:
    """A fraction as per cent; never 0 % or 100 % where a few rows are neither."""
    shown = f"{fraction:.{digits}%}"
    if fraction > 0 and float(shown[:-1]) == 0:
        return f"under {10**-digits:.{digits}f}%"
    if fraction < 1 and float(shown[:-1]) == 100:
        return f"over {100 - 10**-digits:.{digits}f}%"
    return shown


def plain(name: str) -> str:
    """`win_back_offer` as Win back offer."""
    return name.replace("_", " ").capitalize()
