"""The documents are well-formed, and what they point at exists."""

from __future__ import annotations

import io
import re
from pathlib import Path

from docutils.core import publish_doctree
from docutils.nodes import document, image, literal_block, reference
from twisted.trial.unittest import SynchronousTestCase

from afeed.config import load

ROOT = Path(__file__).resolve().parents[1]


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.rst"), *(ROOT / "docs").glob("*.rst"), *(ROOT / "bench").glob("*.rst")])


def read(path: Path) -> tuple[document, str]:
    """The parsed document, and every complaint about it."""
    complaints = io.StringIO()
    tree = publish_doctree(
        path.read_text("utf-8"),
        source_path=str(path),
        settings_overrides={
            "warning_stream": complaints,
            "report_level": 2,
            "halt_level": 6,
            "syntax_highlight": "none",
        },
    )
    return tree, complaints.getvalue()


class DocumentTests(SynchronousTestCase):
    def test_every_document_is_well_formed(self) -> None:
        names = {path.name for path in documents()}
        self.assertLessEqual({"README.rst", "architecture.rst", "protocol.rst", "operations.rst"}, names)
        self.assertEqual([complaint for path in documents() if (complaint := read(path)[1])], [])

    def test_links_to_files_lead_somewhere(self) -> None:
        broken = []
        for path in documents():
            for link in read(path)[0].findall(reference):
                target = str(link.get("refuri", ""))
                if target and not re.match(r"[a-z]+:", target):
                    place = path.parent / target.partition("#")[0]
                    if not place.exists():
                        broken.append(f"{path.relative_to(ROOT)} -> {target}")
        self.assertEqual(broken, [])

    def test_files_and_figures_that_are_named_exist(self) -> None:
        sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "afeed").rglob("*.py"))
        missing = []
        for path in documents():
            text = path.read_text("utf-8")
            if path.name != "CHANGELOG.rst":
                files = re.findall(r"``((?:afeed|tests|docs|etc|bench|scripts)/[\w./-]*)``", text)
                missing += [f"{path.name}: {file}" for file in files if not (ROOT / file).exists()]
            metrics = re.findall(r"``(afeed_\w+?)(?:_total|_bucket)?``", text)
            missing += [f"{path.name}: {metric}" for metric in metrics if f'"{metric}"' not in sources]
        self.assertEqual(missing, [])

    def test_the_configuration_in_the_readme_is_a_valid_one(self) -> None:
        [block] = [
            block.astext()
            for block in read(ROOT / "README.rst")[0].findall(literal_block)
            if "toml" in block["classes"]
        ]
        path = Path(self.mktemp())
        path.write_text(block, "utf-8")
        settings = load(path, {"AFEED_X_BEARER_TOKEN": "of-no-account"})
        self.assertEqual([event.slug for event in settings.events], ["exconf-2026"])

    def test_pictures_exist(self) -> None:
        pictures = [
            path.parent / str(picture["uri"])
            for path in documents()
            for picture in read(path)[0].findall(image)
        ]
        self.assertTrue(pictures)
        self.assertEqual([str(picture) for picture in pictures if not picture.exists()], [])

    def test_no_document_names_a_machine(self) -> None:
        foreign = re.compile(r"(?<![\w.])/(?:work|tmp|root|home)/")
        self.assertEqual([path.name for path in documents() if foreign.search(path.read_text("utf-8"))], [])
