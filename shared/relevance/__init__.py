"""How likely a product is relevant to a query that it was never shown for: a judge, and how it learns."""
