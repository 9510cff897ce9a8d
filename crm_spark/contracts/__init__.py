"""Table contracts, one module per lake layer. The data dictionary is generated from them."""
