"""What the collector decides: which messages a body has, which are taken, how many a client may send."""
