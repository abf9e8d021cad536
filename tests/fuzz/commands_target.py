"""What a host app says over the events socket: a resume that was meant, or a refusal."""

from __future__ import annotations

import json

from tests.fuzz.target import Target, check, check_no_release, check_one_line

from safelight.host_command import MAX_BYTES, NotUnderstoodError, parse


def run(data: bytes) -> None:
    try:
        command = parse(data)
    except NotUnderstoodError as error:
        check_one_line(str(error))
        return
    check(len(data) <= MAX_BYTES, "a line of any length is taken")
    said = json.loads(data)
    # The word itself, and true itself: nothing that merely looks like it resumes a stream.
    check_no_release(said.get("resume") is True, "it resumes without being told to")
    check_no_release(set(said) <= {"schema", "resume"}, "it takes what it does not know")
    check(command.resume, "a command that asks for nothing")


def seeds() -> tuple[bytes, ...]:
    return (
        b'{"resume":true}',
        b'{"schema":"safelight.command/1","resume":true}',
        b'{"schema":"safelight.command/2","resume":false}',
        b'{"resume":1}',
    )


TARGET = Target(
    run,
    seeds,
    words=tuple(b'"resume" "schema" "safelight.command/1" true false 1 "true" null : ,'.split()),
)
