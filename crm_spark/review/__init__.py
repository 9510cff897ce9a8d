"""Review of uncertain pairs of records by a person: the pairs, their masked values, and the page."""
