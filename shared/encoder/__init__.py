"""Text to unit vectors: a checked model directory, its fingerprint, and an encoder that packs by tokens.

`loading.load_encoder` gives an `Encoder` (it imports torch, so it is called off the event loop and off the
command line): `sentence` turns texts into `tokens`, has one of the `runtimes` run the model, and makes unit
`vectors` of what it gives. `batcher.CoalescingEncoder` puts an asynchronous front before it. `passages`,
`packing` and `directory` are light to import.
"""
