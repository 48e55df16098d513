"""State in Redis or Valkey: the client, and scripts that change it in one atomic step."""
