"""How every binary of tfmeta starts and ends: its flags, its exit status, its last words.

Exit status 2 says that the input cannot be used, 3 that the meta-loss is not finite any more, 143
and 130 that SIGTERM or SIGINT ended the program; all come with one sentence and no traceback. On
several ranks rank 0 speaks; another rank gives it time to do so, and speaks only if it is still
alive then, since it is the only one in trouble.
"""

import contextlib
import math
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from types import ModuleType

from absl import app, flags, logging

from tfmeta.environment import stopping
from tfmeta.environment.launch import launched_rank, outlive_launcher, wait_to_speak
from tfmeta.errors import ArgumentError, DataWarning, NonFiniteError, RanksError, StoppedError
from tfmeta.tools import chatter, usage

BAD_INPUT = 2
NOT_FINITE = 3

_kept = "nothing was written"  # when a signal ends the program
_speaking = threading.Lock()

# A flag that is defined here for another module is one of that module, for `--help`.
flags.disclaim_key_flags()


def start(main: Callable[[], None], onednn: bool = False) -> None:
    """Runs a binary: `main` with the flags parsed, then the process ends.

    Args:
        main: what to run; before it nothing has imported TensorFlow.
        onednn: whether TensorFlow is to compute with oneDNN. For the few small images of a task its
            own convolutions take 0.8 of oneDNN's time (measured by tools/benchmark.py's meta-step);
            the products of learned optimizers on thousands of weights take 0.8 of its own with
            oneDNN.
    """
    outlive_launcher()
    stopping.listen(_stopped)
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1" if onednn else "0")
    # Libraries tell through absl what they are about to try; warnings still show.
    flags.FLAGS.set_default("verbosity", logging.WARNING)
    warnings.showwarning = _warned
    binary = sys.modules[main.__module__]
    app.run(lambda _: _guarded(main), flags_parser=lambda argv: _parse(argv, binary))


def keep(sentence: str) -> None:
    """From now on this is said when a signal ends the program: what is kept, and how to go on."""
    global _kept
    _kept = sentence


def define_count(name: str, default: int | None, least: int, text: str) -> None:
    """Defines a flag for a whole number of at least `least`."""
    flags.DEFINE_integer(name, default, text)
    flags.register_validator(
        name,
        lambda value: value is None or value >= least,
        message=f"give a whole number of at least {least}.",
    )


class _Numbers(flags.ArgumentParser):
    """Numbers of one kind, with commas between them."""

    def __init__(self, kind: type[int] | type[float], least: float, what: str):
        self.kind, self.least, self.what = kind, least, what
        self.syntactic_help = f"comma separated list of {what}"

    def parse(self, argument):
        words = argument if isinstance(argument, list) else str(argument).split(",")
        try:
            numbers = [self.kind(word) for word in words]
        except ValueError:
            numbers = []
        if not numbers or not all(self.least <= number < math.inf for number in numbers):
            raise ValueError(f"give {self.what}, with commas between them.")
        return numbers

    def flag_type(self):
        return self.syntactic_help


def _define_numbers(parser, name, default, text):
    flags.DEFINE(parser, name, default, text, serializer=flags.CsvListSerializer(","))


def define_counts(name: str, default: list[int] | None, text: str) -> None:
    """Defines a flag for one or several whole numbers of at least 1."""
    _define_numbers(_Numbers(int, 1, "whole numbers of at least 1"), name, default, text)


def define_positives(name: str, default: list[float] | None, text: str) -> None:
    """Defines a flag for one or several positive finite numbers."""
    least = math.nextafter(0.0, 1.0)
    _define_numbers(_Numbers(float, least, "positive numbers"), name, default, text)


def define_positive(name: str, default: float | None, text: str) -> None:
    """Defines a flag for a positive finite number."""
    flags.DEFINE_float(name, default, text)
    flags.register_validator(
        name,
        lambda value: value is None or (math.isfinite(value) and value > 0),
        message="give a positive finite number.",
    )


def _warned(message, category, filename, lineno, file=None, line=None) -> None:
    """Shows a warning; one of the data as a sentence, on rank 0."""
    if not issubclass(category, DataWarning):
        text = warnings.formatwarning(message, category, filename, lineno, line)
        print(text, end="", file=file or sys.stderr)
    elif launched_rank() == 0:
        print(message, file=sys.stderr, flush=True)


def _parse(argv: Sequence[str], binary: ModuleType) -> Sequence[str]:
    if usage.asked(argv):
        if launched_rank() == 0:
            with contextlib.suppress(BrokenPipeError):  # whoever reads has seen enough
                flagfiles = {name: path.read_text() for name, path in _shipped().items()}
                print(usage.text(binary, flagfiles), end="", flush=True)
        os._exit(0)
    try:
        rest = flags.FLAGS(_with_flagfiles_found(argv))
        if len(rest) > 1:
            raise flags.Error(f"{rest[1]}: not a flag; flags start with --.")
        return rest
    except flags.Error as error:
        sentence = str(error).removeprefix("flag ").rstrip(" ?")
        _end(sentence if sentence.endswith(".") else f"{sentence}; see --help.", BAD_INPUT)
        raise
    except ArgumentError as error:
        _end(_sentence(error), BAD_INPUT)
        raise


def _sentence(error: ArgumentError) -> str:
    """The sentence of an error, with arguments of the library as the flags of their names."""

    def flag(match):
        return f"--{match[0]}" if match[1] in flags.FLAGS else match[0]

    problem = re.sub(r"(?<!\S)(\w+)(?==\S)", flag, error.problem)
    return f"--{error.argument}={usage.as_given(error.value)}: {problem}"


def _with_flagfiles_found(argv: Sequence[str]) -> list[str]:
    """Names of flagfiles that tfmeta ships become their paths, whatever the working folder."""
    found, is_name = [], False
    for word in argv:
        option, equals, name = word.partition("=")
        if is_name:
            word = _flagfile(word)
        elif equals and option in ("--flagfile", "-flagfile"):
            word = f"{option}={_flagfile(name)}"
        is_name = word in ("--flagfile", "-flagfile")
        found.append(word)
    return found


def _flagfile(name: str) -> str:
    if Path(name).is_file():
        return name
    shipped = _shipped()
    path = shipped.get(Path(name).name.removesuffix(".flags"))
    if path is None:
        raise ArgumentError(
            "flagfile", name, f"there is no such file; shipped: {', '.join(shipped)}."
        )
    return str(path)


def _shipped() -> dict[str, Path]:
    """The flagfiles that come with tfmeta, by name."""
    folder = Path(str(resources.files("tfmeta.flags")))
    return {path.stem: path for path in sorted(folder.glob("*.flags"))}


def _guarded(main: Callable[[], None]) -> None:
    chatter.keep()
    try:
        main()
    except ArgumentError as error:
        _end(_sentence(error), BAD_INPUT)
    except NonFiniteError as error:
        _end(str(error), NOT_FINITE)
    except StoppedError as error:
        _stopped(stopping.requested() or signal.SIGTERM, steps=error.steps)
    except RanksError as error:
        _end(str(error), BAD_INPUT, error.of_another)
    except Exception as error:
        problem = _of_ranks(error)
        if problem is None:
            chatter.show()
            _end(traceback.format_exc(), 1)
        else:
            _end(str(problem), BAD_INPUT, problem.of_another)


def _of_ranks(error: Exception) -> RanksError | None:
    """The sentence for an error of Horovod's; None for any other."""
    if "tfmeta.distributed" not in sys.modules:
        return None
    from tfmeta.distributed import explained

    return explained(error, "something else")


def _stopped(asked: signal.Signals, given_up: bool = False, steps: int | None = None) -> None:
    """Ends the program that a signal has asked to, on any thread; rank 0 says what is kept.

    Args:
        asked: the signal.
        given_up: whether a step was left unfinished, since it took too long.
        steps: after how many it was stopped, where that is known.
    """
    when = "" if steps is None else f" after {steps} steps"
    when = " within a step, which took too long to be waited for" if given_up else when
    sentence = f"stopped by {asked.name}{when}; {_kept}."
    _speak(sentence if launched_rank() == 0 else "", 128 + asked)


def _end(message: str, status: int, of_another: bool = False) -> None:
    wait_to_speak(of_another)
    _speak(message, status)


def _speak(message: str, status: int) -> None:
    """The last words of the program, said once; the first thread that comes here ends it."""
    with _speaking:
        sys.stdout.flush()
        if message:
            print(message, file=sys.stderr, flush=True)
        # Not sys.exit: Horovod's shutdown would wait for ranks that will never come.
        os._exit(status)
