"""How values of the vocabulary become JSON and come back: plain values, and the types that are made of them."""
