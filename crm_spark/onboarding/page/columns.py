"""The columns of drafted sources as the onboarding page shows them."""

from collections.abc import Iterable, Mapping

from crm_spark.onboarding.answers import drafted_source
from crm_spark.onboarding.folder_profile import Drafted
from crm_spark.onboarding.mapping_proposal import Vocabulary
from crm_spark.onboarding.page.form import ColumnInfo
from crm_spark.onboarding.page.roles import alternatives
from crm_spark.onboarding.preview import harmless_columns, masked_cell
from crm_spark.sources.config import Source

_MAX_ALTERNATIVES = 4


def columns_of(
    sources: Iterable[Drafted], texts: Mapping[str, str], vocabulary: Vocabulary
) -> dict[str, list[ColumnInfo]]:
    """Columns of each drafted source, by its file; only values of columns that are mapped and not personal are shown.

    Args:
        sources: profiled sources.
        texts: drafted file -> its content.
        vocabulary: known column names.
    """
    found = {}
    for source in sources:
        file = f"sources/{source.group.name}.yaml"
        drafted = drafted_source(file, texts[file], origin=file)
        harmless = harmless_columns(drafted)
        found[file] = [
            ColumnInfo(
                profile,
                tuple(
                    masked_cell(value, is_masked=profile.name not in harmless)
                    for value in source.samples.get(profile.name, ())
                ),
                tuple(_nearest(alternatives(profile.name, vocabulary), drafted)),
            )
            for profile in source.profiles
        ]
    return found


def _nearest(roles: Iterable[str], source: Source) -> list[str]:
    """Some roles, those of entities that the source feeds first; the page lists all others."""
    return sorted(roles, key=lambda role: role.split(".")[0] not in source.feeds)[:_MAX_ALTERNATIVES]
