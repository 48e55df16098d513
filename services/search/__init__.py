"""The search worker: answers queries from the live shards and logs what it showed.

Consumes   `rollout.v1` (which generation answers, and which is tried); shards' owners in Redis, their answers
           over HTTP.
Produces   `search.queries.v1`: every answer, in the background, bounded, with what was dropped counted.
Guarantees an answer says which generation and model gave it, where each hit lies, and which shards are
           missing from it (`partial`); it is never silently incomplete; overload is refused, not queued;
           a query is embedded by the model of the generation that it goes to, and by no other; during a
           trial who is interleaved, and how, is a function of ids, and the candidate makes no answer worse.
"""
