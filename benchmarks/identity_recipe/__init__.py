"""An identity model that is derived from the columns, in trial against the one of the resolve stage; see `make bench NAME=identity`.

Blocking by keys of every column, chosen by what they cost; comparisons by kind of column; average-link clusters.
"""
