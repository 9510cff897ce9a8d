"""Choice of the encoder by the languages of the labelled texts."""

from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.text.encoder import EMBEDDED, MULTILINGUAL

AUTO = "auto"
MAX_OTHER_LANGUAGES = 0.2
"""Largest share of texts in other languages with which the English encoder is used: it costs half, and reads Latin script."""


class EncoderChoice(NamedTuple):
    """The encoder of a shard set.

    Attributes:
        encoder: name or folder for `encoder_dir`.
        num_texts: number of labelled texts.
        other_languages: share of the texts that are not English, among those whose language or script is known.
    """

    encoder: str
    num_texts: int
    other_languages: float

    @property
    def note(self) -> str:
        """The encoder and the share, for the log."""
        return f"encoder {self.encoder}, {100 * self.other_languages:.1f} % of the texts are not in English"


def choose_encoder(labelled: DataFrame, setting: str) -> EncoderChoice:
    """Count the texts and choose the encoder: for `auto`, the multilingual one if more than 20% are not English.

    Args:
        labelled: text, language.
        setting: `shard.encoder`.
    """
    row = labelled.agg(
        F.count(F.lit(1)), F.avg(is_other_language(F.col("text"), F.col("language")).cast("int"))
    ).first()
    num_texts, share = (0, None) if row is None else row
    share = share or 0.0
    chosen = MULTILINGUAL if share > MAX_OTHER_LANGUAGES else EMBEDDED
    return EncoderChoice(chosen if setting == AUTO else setting, num_texts, round(share, 4))


def is_other_language(text: Column, language: Column) -> Column:
    """Return whether a text is not English; null if it is in Latin script and its language unknown.

    Texts too short for the detection of their language are not English if half of their letters are not Latin.
    """
    num_letters = F.length(F.regexp_replace(text, r"[^\p{L}]", ""))
    num_latin = F.length(F.regexp_replace(text, r"[^\p{IsLatin}]", ""))
    by_script = F.when(num_letters > 2 * num_latin, F.lit(True))
    return F.when(language.isNull(), by_script).otherwise(~F.lower(language).startswith("en"))
