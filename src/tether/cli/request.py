"""The message that a request is: its template filled, its fragments before it, what is attached behind it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import evolve

from tether import Image, Text, UsageError, UserMessage
from tether.cli.arguments import Arguments
from tether.cli.attachments import attached, message_with_files
from tether.cli.fragments import fragment
from tether.cli.streams import readable
from tether.cli.templates import find_template
from tether.media import media_block
from tether.media_types import media_type_of_file
from tether.messages import UserBlock

__all__ = ()


def with_template(arguments: Arguments) -> Arguments:
    """Complete arguments by what their template says; what the person has written wins.

    Raises:
        UsageError: there is no such template, or a variable has no value.
    """
    if arguments.template is None:
        if arguments.param:
            raise UsageError("-p gives a value to a variable of a template: name one with -t")
        return arguments
    template = find_template(arguments.template)
    request, system = template.filled(arguments.request, arguments.param)
    return evolve(
        arguments,
        request=request.strip(),
        system=arguments.system if arguments.system is not None else system or None,
        model=arguments.model or template.model,
        schema=arguments.schema or template.schema,
        fragment=[*template.fragments, *arguments.fragment],
    )


def message_of(arguments: Arguments, tell: Callable[[str], object]) -> UserMessage:
    """Make the message.

    Args:
        arguments: with the whole request.
        tell: gets a line for each name behind an `@` that nothing can be attached for.

    Raises:
        UsageError: a fragment, file or image is not there, or cannot be sent.
    """
    before = [Text(fragment(name, arguments.piped)) for name in arguments.fragment]
    message = message_with_files(arguments.request, tell, typed=arguments.typed)
    return UserMessage([*before, *message.content, *_given(arguments)])


def _given(arguments: Arguments) -> Iterator[UserBlock]:
    for name in arguments.file:
        yield _read("--file", name)
    for name in arguments.image:
        if name.startswith(("http://", "https://")):
            yield Image(url=name)
            continue
        block = _read("--image", name)
        if not isinstance(block, Image):
            raise UsageError(f"--image {name}: it is no image; --file attaches other files")
        yield block


def _read(option: str, name: str) -> UserBlock:
    try:
        return _of_input() if name == "-" else attached(Path(name).expanduser(), name)
    except OSError as error:
        raise UsageError(f"{option} {name}: {error.strerror or error}") from error
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"{option} {name}: {error}") from error


def _of_input() -> UserBlock:
    content = sys.stdin.buffer.read()
    kind = media_type_of_file(content, "")
    if kind is not None:
        return media_block(content, kind, name="standard input")
    return Text(readable(content.decode(errors="replace")))
