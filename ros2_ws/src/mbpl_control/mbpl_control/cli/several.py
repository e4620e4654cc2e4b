"""Options that take several values, one after the other: `--seeds 0 1 2`."""

from __future__ import annotations

from collections.abc import Sequence

#: Such options, and where their values end beside at the next option: a method after seeds is no seed, none has "=".
SEVERAL = {"--seeds": str.isdecimal, "--methods": lambda _: True, "--option": lambda value: "=" in value}


def spread(arguments: Sequence[str]) -> list[str]:
    """The arguments with the option before each of its values, as click takes them: `--seeds 0 --seeds 1 --seeds 2`.

    What comes first after the option is its value whatever it is, so that click can say what is wrong with it.
    """
    out: list[str] = []
    option = ""
    for argument in arguments:
        if argument in SEVERAL:
            option = argument
            out.append(argument)
        elif option and out[-1] == option:
            out.append(argument)
        elif option and not argument.startswith("-") and SEVERAL[option](argument):
            out += [option, argument]
        else:
            option = ""
            out.append(argument)
    return out
