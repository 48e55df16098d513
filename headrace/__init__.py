"""What a program that uses Headrace imports: `headrace.client` asks the search API.

Importing it is quick, and loads neither a model nor an index nor a broker's client.
"""
