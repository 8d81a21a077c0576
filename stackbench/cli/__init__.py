"""The command line. `program` is the program, `main` the same for callers in Python; commands load what they need."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from stackbench.garbage_pauses import begin_loading

__all__ = ["main", "program"]

INTERNAL_ERROR = 3
INTERRUPTED = 130
COMPLETING = "_STACKBENCH_COMPLETE"
"""The variable by which a shell asks for completions."""
COMPLETION = {"--install-completion", "--show-completion"}


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs the program and exits: 0 done, 1 gate or verification failed, 2 usage, 3 run failed, 130 interrupted."""
    from stackbench.cli.arguments import take_debug, with_optional_values
    from stackbench.cli.streams import open_standard_streams, standard_output_fault

    before = sys.stdout, sys.stderr
    open_standard_streams()
    try:
        arguments, debug = take_debug(list(sys.argv[1:] if argv is None else argv))
        code = _run(with_optional_values(arguments), debug=debug)
        sys.stdout.flush()
        fault = standard_output_fault()
        if fault is not None and code in (0, 1):
            code = _complain(fault, f"standard output cannot be written: {fault.strerror}", INTERNAL_ERROR, debug=debug)
        sys.stderr.flush()
    finally:
        sys.stdout, sys.stderr = before
    sys.exit(code)


def program() -> NoReturn:
    """`main` for a process of its own, which ends with it: no tenth of a second for taking loaded modules apart."""
    code: object = INTERNAL_ERROR
    begin_loading()
    # Pydantic looks for plugins among all packages that are installed: a hundredth of a second, for none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        main()
    except SystemExit as done:
        code = done.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException as error:  # before or behind what main catches; Python's own code for it, 1, means a gate
        with contextlib.suppress(Exception):
            sys.stderr.write(f"stackbench: error: {type(error).__name__} outside the program's own commands\n")
    finally:
        os._exit(code if isinstance(code, int) else INTERNAL_ERROR)


def _run(arguments: list[str], *, debug: bool) -> int:
    try:
        return _command(arguments, debug=debug)
    except KeyboardInterrupt as error:
        return _complain(error, "interrupted", INTERRUPTED, debug=debug)
    except BrokenPipeError:
        return 0  # the reader of our output has gone (`stackbench runs | head`): nothing more to say
    except BaseException as error:  # the last line of defence: one line instead of a traceback, and never exit code 1
        text = (
            f"{type(error).__name__}: {error}; this is a fault in stackbench: run it again with --debug and report it"
        )
        return _complain(error, text, INTERNAL_ERROR, debug=debug)


def _command(arguments: list[str], *, debug: bool) -> int:
    import typer

    from stackbench.cli.app import build_app
    from stackbench.cli.usage_fault import usage_fault
    from stackbench.errors import StackbenchError

    try:
        app = build_app(None if COMPLETING in os.environ else _named_command(arguments))
        result = typer.main.get_command(app)(arguments, prog_name="stackbench", standalone_mode=False)
    except SystemExit as done:
        if COMPLETING in os.environ or COMPLETION & set(arguments):  # typer ends these so
            return done.code if isinstance(done.code, int) else 0
        raise
    except StackbenchError as error:
        return _complain(error, str(error), error.exit_code, debug=debug)
    except typer.TyperException as error:
        show = getattr(error, "format_message", None)
        if type(error).__name__ == "NoArgsIsHelpError" and show is not None:  # a group named alone
            sys.stdout.write(f"{show()}\n")
            return 0
        return _complain(error, usage_fault(error), 2, debug=debug)
    except typer.Abort as error:
        return _complain(error, "interrupted", INTERRUPTED, debug=debug)
    return int(result) if isinstance(result, int) else 0


def _named_command(arguments: Sequence[str]) -> str:
    return next((word for word in arguments[:1] if not word.startswith("-")), "")


def _complain(error: BaseException, text: str, code: int, *, debug: bool) -> int:
    from stackbench.visible_text import in_one_line, visible

    if debug:
        import traceback

        sys.stderr.write(visible("".join(traceback.format_exception(error))))
    sys.stderr.write(f"stackbench: error: {in_one_line(' '.join(text.split()))}\n")
    return code
