"""Customers: how records of the source systems belong to them."""
