"""``python -m tests.simulators NAME --port PORT``: start a simulator by hand.

Every module of this package that has ``serve(reactor, options)`` and ``add_arguments(parser)`` is one.
"""

from __future__ import annotations

import argparse
import pkgutil
import sys
from importlib import import_module
from types import ModuleType

from twisted.internet import reactor
from twisted.python.log import startLogging

import tests.simulators


def simulators() -> dict[str, ModuleType]:
    """The simulators there are, by name."""
    names = [info.name for info in pkgutil.iter_modules(tests.simulators.__path__) if info.name != "__main__"]
    modules = {name: import_module(f"tests.simulators.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "serve")}


def main(arguments: list[str]) -> None:
    """Parse ``arguments``, listen, and run until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulators", description=__doc__.partition("\n")[0])
    choices = parser.add_subparsers(dest="name", required=True)
    found = simulators()
    for name, module in sorted(found.items()):
        summary = (module.__doc__ or name).partition("\n")[0]
        choice = choices.add_parser(name, help=summary, description=summary)
        port = 9001 if name == "x" else 9002
        choice.add_argument("--port", type=int, default=port, help="default: %(default)d")
        choice.add_argument("--verbose", action="store_true", help="log every request")
        module.add_arguments(choice)
    options = parser.parse_args(arguments)
    if options.verbose:
        startLogging(sys.stdout)
    print(found[options.name].serve(reactor, options), flush=True)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
