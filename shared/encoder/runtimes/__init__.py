"""What runs a model's forward pass, behind one port: a packed batch of tokens in, a row a text out.

`port.Runtime` says what is promised, `torch_runtime` keeps it for every model. A runtime's library is heavy:
import the module where it is needed.
"""
