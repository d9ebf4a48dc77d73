"""What may know what: rules of ``docs/architecture.rst`` that a reader of the source could break unnoticed."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface, implementedBy
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyClass

import afeed

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "afeed"
MOST_LINES = 400

#: Libraries that do I/O, or that only I/O code needs: the core knows none of them.
IO_LIBRARIES = {
    "alchimia",
    "alembic",
    "argon2",
    "autobahn",
    "httptools",
    "klein",
    "prometheus_client",
    "psycopg",
    "socket",
    "sqlalchemy",
    "sqlite3",
    "ssl",
    "subprocess",
    "threading",
    "treq",
    "twisted",
    "txredisapi",
}

#: The composition root: the only place that takes the clock and chance from the world and hands them on.
COMPOSITION = {"afeed.tap", "afeed.services"}


def module_name(path: Path) -> str:
    """``afeed.core.item`` for ``afeed/core/item.py``; a package has its own name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8"), str(path)) for name, path in SOURCES.items()}


def type_checking(node: ast.AST) -> bool:
    """Whether ``node`` is an ``if TYPE_CHECKING:``, whose body never runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def running_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes below ``tree`` that can run."""
    for node in ast.iter_child_nodes(tree):
        if type_checking(node):
            assert isinstance(node, ast.If)
            children: list[ast.AST] = [*node.orelse]
        else:
            yield node
            children = [node]
        for child in children:
            yield from running_nodes(child)


def module_level_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes below ``tree`` that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield node
        yield from module_level_nodes(node)


def imported(name: str, nodes: Iterator[ast.AST]) -> set[str]:
    """The modules, and for ``from x import y`` also ``x.y``, that ``nodes`` of module ``name`` import."""
    package = name if SOURCES[name].name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


IMPORTS = {name: imported(name, running_nodes(tree)) for name, tree in TREES.items()}


def reachable(name: str) -> set[str]:
    """All modules of afeed that importing ``name`` imports in turn, itself included."""
    seen: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current in seen or current not in SOURCES:
            continue
        seen.add(current)
        pending.extend(IMPORTS[current])
        pending.append(current.rpartition(".")[0])  # a module imports its package first
    return seen


def users_of(library: str) -> set[str]:
    """The modules of afeed that import ``library`` or a part of it."""
    return {
        name
        for name, modules in IMPORTS.items()
        if any(module == library or module.startswith(f"{library}.") for module in modules)
    }


def calls(name: str) -> Iterator[tuple[str, int]]:
    """Every call in module ``name`` of something imported, as ``module.function``, and its line."""
    tree = TREES[name]
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, _, rest = ast.unparse(node.func).partition(".")
            if first in names:
                yield ".".join([names[first], *([rest] if rest else [])]), node.lineno


class ImportTests(SynchronousTestCase):
    def test_the_core_reaches_no_library_that_does_io(self) -> None:
        broken = [
            f"{core} -> {module} imports {library}"
            for core in SOURCES
            if core.startswith("afeed.core")
            for module in sorted(reachable(core))
            for library in sorted({imported.partition(".")[0] for imported in IMPORTS[module]} & IO_LIBRARIES)
        ]
        self.assertEqual(broken, [])

    def test_the_core_reaches_nothing_of_afeed_but_the_core(self) -> None:
        outside = {
            (core, module)
            for core in SOURCES
            if core.startswith("afeed.core")
            for module in reachable(core)
            if module != "afeed" and not module.startswith("afeed.core")
        }
        self.assertEqual(outside, set())

    def test_only_the_redis_log_knows_the_redis_library(self) -> None:
        users = users_of("txredisapi")
        self.assertTrue(users)
        self.assertEqual({name for name in users if not name.startswith("afeed.livelog.redis")}, set())

    def test_only_the_engine_knows_alchimia(self) -> None:
        self.assertEqual(users_of("alchimia"), {"afeed.archive.engine"})

    def test_only_one_module_knows_how_passwords_are_hashed(self) -> None:
        self.assertEqual(users_of("argon2"), {"afeed.organisers.passwords"})

    def test_only_the_archive_knows_sql_libraries(self) -> None:
        users = users_of("sqlalchemy") | users_of("alembic") | users_of("psycopg")
        # The configuration checks a database URL with the parser that will read it.
        allowed = ("afeed.archive.", "afeed.configuration.")
        self.assertEqual({name for name in users if not name.startswith(allowed)}, set())

    def test_no_module_imports_the_reactor_when_it_is_imported(self) -> None:
        guilty = {
            name
            for name, tree in TREES.items()
            if "twisted.internet.reactor" in imported(name, module_level_nodes(tree))
        }
        self.assertEqual(guilty, set())

    def test_the_plugin_file_loads_no_part_of_afeed(self) -> None:
        tree = ast.parse((ROOT / "twisted" / "plugins" / "afeed_plugin.py").read_text("utf-8"))
        modules = {
            module
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for module in (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            )
        }
        self.assertEqual({module.partition(".")[0] for module in modules} - {"__future__"}, {"twisted"})

    def test_twisted_stays_open_to_the_plugins_of_others(self) -> None:
        # An __init__.py in either folder would hide Twisted itself, or every other plugin.
        self.assertEqual(sorted(str(path) for path in (ROOT / "twisted").rglob("__init__.py")), [])


class WorldTests(SynchronousTestCase):
    """A clock or a die that is an argument can be replaced by a test's; one that is called by name cannot."""

    def called(self, *forbidden: str) -> list[str]:
        return [
            f"{name}:{line}: {function}"
            for name in SOURCES
            if name not in COMPOSITION
            for function, line in calls(name)
            if function in forbidden
        ]

    def test_logic_is_told_the_time(self) -> None:
        moments = ("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today")
        self.assertEqual(self.called("time.time", "time.time_ns", *moments), [])

    def test_logic_is_told_its_chance(self) -> None:
        dice = ("random", "uniform", "randint", "randrange", "choice", "shuffle", "sample")
        self.assertEqual(self.called(*(f"random.{die}" for die in dice)), [])


class ShapeTests(SynchronousTestCase):
    def test_every_module_stays_small(self) -> None:
        lines = {name: len(path.read_text("utf-8").splitlines()) for name, path in SOURCES.items()}
        self.assertEqual({name: count for name, count in lines.items() if count >= MOST_LINES}, {})

    def test_every_folder_of_code_is_a_package(self) -> None:
        folders = {path.parent for path in SOURCES.values()}
        self.assertEqual({str(folder) for folder in folders if not (folder / "__init__.py").exists()}, set())


def own_interfaces() -> list[InterfaceClass]:
    """Every interface that afeed defines."""
    module = importlib.import_module("afeed.interfaces")
    return [
        value
        for value in vars(module).values()
        if isinstance(value, InterfaceClass) and value is not Interface and value.__module__ == module.__name__
    ]


def implementations() -> list[tuple[InterfaceClass, type]]:
    """Every class of afeed with every interface it says it implements, those of Twisted included."""
    found: list[tuple[InterfaceClass, type]] = []
    for info in pkgutil.walk_packages(afeed.__path__, "afeed."):
        if info.name.startswith("afeed.archive.migrations."):
            continue  # alembic runs these, in its own surroundings
        module = importlib.import_module(info.name)
        for value in list(vars(module).values()):
            if isinstance(value, type) and value.__module__ == module.__name__:
                found.extend((interface, value) for interface in implementedBy(value))
    return found


class InterfaceTests(SynchronousTestCase):
    def test_every_class_keeps_the_interfaces_it_declares(self) -> None:
        broken = []
        for interface, cls in implementations():
            try:
                verifyClass(interface, cls)
            except Exception as error:
                broken.append(f"{cls.__module__}.{cls.__qualname__}: {error}")
        self.assertEqual(broken, [])

    def test_every_interface_of_afeed_is_implemented(self) -> None:
        implemented = {interface for interface, _ in implementations()}
        missing = [interface.__name__ for interface in own_interfaces() if interface not in implemented]
        self.assertEqual(missing, [])
