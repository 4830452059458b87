"""Type hints and docstrings to JSON Schema, and arguments back to Python values, every fault named.

msgspec knows how types look as JSON Schema, which of them JSON can tell apart, and how to read what has no
parts. What has parts (parameters, classes, lists, mappings, unions) is read here, part by part, because

- a model needs all faults at once, and the values that would be allowed; msgspec stops at the first fault;
- a part is read strictly, and leniently ("42" for 42) only where that fails: a right value never changes;
- descriptions and bounds may stand in docstrings, in plain strings and in annotated-types, in classes too;
- a class is made by calling it, with its converters and checks, and unknown names are refused.

`parameters` reads a tool's function, `specs` a type or a list of fields; `classes` takes classes apart, `types`
and `foreign` read single types, `docstrings` their descriptions, `faults` words what does not fit. No I/O.
"""
