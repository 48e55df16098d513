"""The collector: takes events, queries and catalogue changes over HTTP, of browsers and shops' servers.

Consumes   `POST /events` and `POST /queries` of the shop's pages and servers (UBI 1.3), `POST /changes` of
           whoever has a token; no topic.
Produces   `search.events.v1`, `search.queries.v1`, `catalogue.changes.v1`; `GET /collector.js`, which records
           what shoppers do on a page.
Guarantees what was answered 202 is acknowledged by all in-sync replicas; each message of a request is
           accepted, or rejected by its place and with a reason; without Kafka requests are answered 503 in
           bounded time, and memory is bounded; without a token nobody changes the catalogue; no address and
           no id of a visitor is logged.
"""
