"""Sound in, text out: capture, endpointing, recognition, and the operator's commands as people say them."""
