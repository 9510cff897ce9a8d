"""Keeps a lake small: compacts tables, and removes what is no longer read. Run while no refresh does."""
