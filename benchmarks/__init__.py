"""Comparisons side by side: `make bench`, or `make bench NAME=refresh`."""
