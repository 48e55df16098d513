"""Proving the live state: recompute it from the topics, offline, and compare it exactly.

`catalogue` and `shoppers` fold the topics into what must be there, with the same pure rules as the workers
and none of their machinery; `index` and `judgements` compare it with what is there; `letters` does so for
what can not be used; `conservation` adds up what the workers say they did; `verdict` is what comes out.
"""
