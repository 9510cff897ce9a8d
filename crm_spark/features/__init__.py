"""Features that a company declares: files of features, and attributes with the role `feature`."""
