"""A shop and its shoppers, with the truth known.

`catalogue` holds products, queries and grades, read from a directory or made by `shop` out of the grammar
in `shop.toml`. `shoppers` decides what one shopper does with one ranking, `traffic` turns many of them into
messages in the order in which they arrive (robots, duplicates, disorder and lateness included), and `truth`
counts what really happened and compares it with what others make of it. Everything here is pure and
reproducible by its seed, except `catalogue.load`, which reads files.
"""
