"""Type hints and docstrings to JSON Schema, and arguments back to Python values, every fault named.

A type is made into a shape (`types`), and a shape has both: its JSON Schema, and what reads a value. msgspec reads
what has no parts; pydantic reads what is its own. What has parts (parameters, classes, lists, mappings, unions) is read
here, part by part, because

- a model needs all faults at once, and the values that would be allowed; a library stops at the first fault, or knows
  no attrs classes;
- a part is read strictly, and leniently ("42" for 42) only where that fails: a right value never changes;
- descriptions and bounds may stand in docstrings, in plain strings, in annotated-types and in pydantic's `Field`;
- a class is made by calling it, with its converters and checks, and unknown names are refused.

Nothing in a signature is ignored silently: what is not honoured is an error that names it.

`parameters` reads a tool's function, `given` a schema that someone has, `callables` says what a callable is, `specs`
reads a type or a list of fields. `classes` takes classes apart, `hints` finds the names in type hints, `marks` reads
what stands beside a type in `Annotated`, and `foreign` asks pydantic. The shapes are in `leaves`, `shapes` and
`unions`, with what they have in common in `reading`. `docstrings` has descriptions, `faults` the words for what does
not fit, `results` what a tool returned. No I/O.
"""
