"""Model directories of every shape, made by sentence-transformers itself, and what becomes of each here."""
