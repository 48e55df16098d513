"""What the embedder decides: merging, the text of a product, what must be embedded. Pure."""
