"""What a report says is what results.json holds, in every format; nothing in a text becomes markup or a formula."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import openpyxl
import pypdf
import pytest

from stackbench.benchmarks import benchmark_names
from stackbench.benchmarks.baselines import baselines
from stackbench.engine import Gate
from stackbench.report.benchmark_facts import benchmark_facts
from stackbench.report.results_model import Gate as JudgedGate
from stackbench.report.results_model import Results, results_schema
from stackbench.report.write_report import ReportWriter
from tests.report.recorded_results import HOSTILE, Part, collected, make_home, record_run

ROOT = Path(__file__).parents[2]
PARTS = (
    Part(tasks=20, attempts=4, seeds=(0, 1), errors=3),
    Part("tooluse", tasks=60, available=500, categories=("files", "api", "system"), datasets={"tasks": "aa" * 32}),
    Part("throughput", tasks=1, available=1, datasets={}),
)
FINDINGS = ({"fault": "humaneval: 2 attempts too many"}, {"hint": "gsm8k: 3 answers equal the reference"})


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    home = make_home(tmp_path_factory.mktemp("home"))
    gate = Gate(name="floor", benchmark="humaneval", metric="pass@1", min=0.9)
    operator = {"verb": "set", "who": "me@here", "arguments": {"name": "concurrency"}, "old": 4, "new": 2}
    run = record_run(home, parts=PARTS, gates=[gate], operator=operator, findings=FINDINGS)
    found = collected(home, run)
    gates = (JudgedGate(name="floor", measure="humaneval pass@1", bounds="min 0.9", value=0.6, passed=False),)
    return found.model_copy(update={"runs": (found.runs[0].model_copy(update={"gates": gates}),)})


@pytest.fixture(scope="module")
def folder(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("report")
    writer = ReportWriter(results, to)
    written = {path.relative_to(to).as_posix() for path in writer.write()}
    assert not writer.left_out
    run = results.runs[0].run_id
    assert written >= {"results.json", "results.schema.json", "BENCHMARKS.md", "BENCHMARKS_DETAILED.md", "report.html"}
    assert written >= {"report.pdf", "results.xlsx", "plots/scores.svg", f"plots/{run}-humaneval-pass-at-k.png"}
    assert written >= {f"plots/{run}-{name}.svg" for name in ("tooluse-heat-map", "tooluse-categories", "latency")}
    assert f"plots/{run}-throughput-loads.svg" in written
    return to


def shown_figures(results: Results) -> dict[str, list[str]]:
    """The cells that a score's row must hold, by benchmark."""
    return {
        one.name: [one.head.name, f"{one.head.value:.4f}" if one.head.value < 10 else f"{one.head.value:.2f}"]
        + (
            [f"[{one.head.low:.4f}, {one.head.high:.4f}]"]
            if one.head.interval == "confidence"
            else ["range 38.00 to 41.50"]
        )
        + [str(one.head.n)]
        for one in results.runs[0].benchmarks
        if one.head is not None and one.head.low is not None
    }


def test_results_follow_the_published_schema(folder: Path) -> None:
    document = json.loads((folder / "results.json").read_text())
    published = json.loads((ROOT / "docs" / "results.schema.json").read_text())
    assert published == results_schema() == json.loads((folder / "results.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(document, published)
    del document["runs"][0]["benchmarks"][0]["measures"][0]["n"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, published)


def test_results_hold_what_was_recorded(results: Results) -> None:
    humaneval, tooluse, throughput = results.runs[0].benchmarks
    assert (humaneval.attempts, humaneval.errors, humaneval.tasks_completed) == (160, 3, 20)
    assert [(p.k, p.n) for p in humaneval.pass_at_k] == [(k, 20) for k in range(1, 6)]
    head = humaneval.head
    assert head is not None and humaneval.pass_at_k[0].value == pytest.approx(head.value)
    assert [s.seed for s in humaneval.seeds] == [0, 1] and humaneval.seed_sd is not None
    assert humaneval.settings.sampling == {"temperature": 0.8, "top_p": 1.0, "max_tokens": 512}
    assert (humaneval.settings.prompt_form, humaneval.settings.attempts_per_task) == ("chat", 4.0)
    (out,) = [one for one in humaneval.exclusions if one.kind == "error"]
    assert (out.count, out.reason, out.items) == (3, "the endpoint answered 503", ("humaneval/0",))
    assert [(c.category, c.tasks, c.attempts) for c in tooluse.categories] == [
        ("api", 20, 20),
        ("files", 20, 20),
        ("system", 20, 20),
    ]
    assert throughput.latency is None and not throughput.examples
    assert humaneval.latency is not None
    assert {s.name: round(s.mean_s, 6) for s in humaneval.latency.stages}["code execution"] == 0.125
    assert results.runs[0].changes[0].what == "set concurrency: 4 to 2"


def test_a_score_says_what_difference_it_could_find(results: Results, folder: Path) -> None:
    """Twice the variance, found with a power of 0.8 at 5%: 1.96 + 0.84 standard errors."""
    head = results.runs[0].benchmarks[0].head
    assert head is not None and head.stderr and head.low is not None and head.high is not None
    stderr = max(head.stderr, (head.high - head.low) / 2 / 1.959964)
    assert head.minimum_detectable_effect == pytest.approx(2.801585 * 2**0.5 * stderr, rel=1e-5)
    assert f"| 20 | {head.minimum_detectable_effect:.4f} | 20 of 164 |" in (folder / "BENCHMARKS.md").read_text()


def test_published_results_stand_beside_with_their_source(results: Results, folder: Path) -> None:
    published = [one for one in baselines() if (one.benchmark, one.metric) == ("humaneval", "pass@1")]
    assert {(one.model, one.value) for one in results.published} == {(one.model, one.share) for one in published}
    text = (folder / "BENCHMARKS_DETAILED.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    for one in results.published:
        (row,) = [
            row for row in rows if row[:3] == [one.model, one.measure, f"{one.value:.4f}"] and one.where in row[-1]
        ]
        assert row[4] == str(one.n) and one.setting.split(";")[0] in row[6]
        assert (one.comparability, row[5]) == ("partly", "in part") and "20 of 164 tasks" in row[6]
    assert (folder / "plots" / f"{results.runs[0].run_id}-humaneval-published.png").is_file()


def test_markdown_tables_hold_the_figures(results: Results, folder: Path) -> None:
    for name in ("BENCHMARKS.md", "BENCHMARKS_DETAILED.md"):
        text = (folder / name).read_text()
        rows = [
            [cell.strip() for cell in line.strip("| ").split(" | ")]
            for line in text.splitlines()
            if line.startswith("| ")
        ]
        for benchmark, cells in shown_figures(results).items():
            assert [benchmark, *cells] in [row[: len(cells) + 1] for row in rows], (benchmark, name)
        assert ["floor", "humaneval pass@1", "min 0.9", "0.6000", "NOT MET"] in rows
        for plot in re.findall(r"\]\((plots/[^)]+)\)", text):
            assert (folder / plot).is_file()
    assert "set concurrency: 4 to 2" in text
    assert f"| {results.runs[0].run_id} | fault | humaneval: 2 attempts too many |" in text
    assert "- hint: gsm8k: 3 answers equal the reference" in (folder / "BENCHMARKS.md").read_text()


class Reader(HTMLParser):
    """Cells of tables, pictures, and everything that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.loads: list[str] = []
        self.alts: list[str | None] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.loads += [str(given[name]) for name in ("src", "href", "data", "action") if given.get(name)]
        if tag == "img":
            self.alts.append(given.get("alt"))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag in ("td", "th") and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")


def test_the_page_holds_the_figures_and_needs_no_network(results: Results, folder: Path) -> None:
    text = (folder / "report.html").read_text()
    page = Reader()
    page.feed(text)
    for benchmark, cells in shown_figures(results).items():
        assert [benchmark, *cells] in [row[: len(cells) + 1] for row in page.rows]
    assert all(load.startswith(("data:image/svg+xml;base64,", "#s")) for load in page.loads) and page.loads
    assert "script" not in page.tags and "link" not in page.tags
    assert page.alts and all(page.alts) and "url(" not in text and "default-src 'none'" in text


def test_the_pdf_holds_the_figures_and_keeps_its_standards(results: Results, folder: Path) -> None:
    pdf = pypdf.PdfReader(folder / "report.pdf")
    text = " ".join(page.extract_text() for page in pdf.pages).replace("\u200b", "")
    flat = re.sub(r"\s+", " ", text)
    for benchmark, cells in shown_figures(results).items():
        assert " ".join([benchmark, *cells]) in flat
    metadata = pdf.trailer["/Root"]["/Metadata"].get_data()
    named = {element.tag.split("}")[-1]: element.text for element in ElementTree.fromstring(metadata).iter()}
    assert (named["part"], named["conformance"]) != ("", "")
    assert b"pdfuaid:part>1<" in metadata and b"pdfaid:part>2<" in metadata and b"pdfaid:conformance>A<" in metadata
    root = pdf.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] and root["/Lang"] == "en"
    assert pdf.metadata is not None and pdf.metadata.title == "Benchmark results: hf:test-model"
    fonts = [font.get_object() for page in pdf.pages for font in page["/Resources"].get("/Font", {}).values()]
    assert fonts
    for font in fonts:
        descriptor = font["/DescendantFonts"][0]["/FontDescriptor"]
        assert {"/FontFile2", "/FontFile3"} & set(descriptor)
    figures = [one for one in structure(root["/StructTreeRoot"]) if one.get("/S") == "/Figure"]
    assert len(figures) == len(list((folder / "plots").glob("*.svg")))
    assert all(len(figure["/Alt"]) > 20 for figure in figures)


def structure(node: object) -> list[pypdf.generic.DictionaryObject]:
    """Every element of a PDF's structure."""
    if isinstance(node, pypdf.generic.IndirectObject):
        node = node.get_object()
    if isinstance(node, list):
        return [one for child in node for one in structure(child)]
    if not isinstance(node, pypdf.generic.DictionaryObject):
        return []
    return [node, *structure(node.get("/K", pypdf.generic.ArrayObject()))]


def test_the_same_results_give_the_same_bytes(results: Results, folder: Path, tmp_path: Path) -> None:
    paths = list(ReportWriter(results, tmp_path).write())
    for path in paths:
        if path.suffix != ".xlsx":  # a zip file holds the time at which it was made
            assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path


def test_the_workbook_holds_every_figure(results: Results, folder: Path) -> None:
    book = openpyxl.load_workbook(folder / "results.xlsx")
    names, *rows = book["measures"].values
    found = [dict(zip(names, row, strict=True)) for row in rows]
    wanted = [(one.name, m) for one in results.runs[0].benchmarks for m in one.measures]
    assert len(found) == len(wanted)
    for row, (benchmark, measure) in zip(found, wanted, strict=True):
        assert (row["benchmark"], row["name"], row["category"] or "") == (benchmark, measure.name, measure.category)
        assert row["n"] == measure.n
        figures = ((row["value"], measure.value), (row["low"], measure.low), (row["high"], measure.high))
        for read, recorded in figures:  # a sheet holds 16 digits of a number
            assert read == (None if recorded is None else pytest.approx(recorded, rel=1e-14))
    assert {"scores", "pass_at_k", "seeds", "categories", "failures", "exclusions", "settings", "tasks", "runs"} <= set(
        book.sheetnames
    )
    assert len(list(book["tasks"].values)) == 1 + 20 + 60 + 1


def test_texts_of_models_stay_texts_everywhere(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    record_run(home, model=f"openai:{HOSTILE}", parts=[Part(texts=HOSTILE), Part("=bad|name", datasets={})])
    for path in ReportWriter(collected(home), tmp_path / "out").write():
        if path.suffix in (".md", ".html", ".svg"):
            text = path.read_text()
            assert "\x1b" not in text and "\u202e" not in text, path
    page = Reader()
    page.feed((tmp_path / "out" / "report.html").read_text())
    assert "script" not in page.tags and all(load.startswith(("data:", "#")) for load in page.loads)
    outside = re.sub(
        r"^(`{3,})text\n.*?^\1$", "", (tmp_path / "out" / "BENCHMARKS_DETAILED.md").read_text(), flags=re.M | re.S
    )
    assert "<script>" not in outside.replace("\\<script\\>", "") and "\\|" in outside
    book = openpyxl.load_workbook(tmp_path / "out" / "results.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)]
    assert not [cell.value for cell in cells if cell.data_type == "f"]
    assert any(cell.value == "=bad|name" for cell in cells)
    pdf = pypdf.PdfReader(tmp_path / "out" / "report.pdf")
    text = "".join(page.extract_text() for page in pdf.pages)
    assert "\\u6f22\\u5b57" in text.replace("\u200b", "") and "\\x1b[31m" in text.replace("\u200b", "")


def test_without_packages_the_rest_is_written_and_said(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    bare = results.model_copy(update={"runs": (results.runs[0].model_copy(update={"benchmarks": ()}),)})
    writer = ReportWriter(bare, tmp_path / "a")
    assert "report.pdf" not in {path.name for path in writer.write()}
    assert [line.split(";")[0] for line in writer.left_out] == ["pdf needs the report extra (typst is missing)"]
    with pytest.raises(Exception, match="pdf needs the report extra .*pip install 'stackbench-eval"):
        list(ReportWriter(bare, tmp_path / "b", ["pdf"]).write())


def test_every_benchmark_says_what_its_scores_do_not_tell() -> None:
    for name in benchmark_names():
        facts = benchmark_facts(name, {})
        assert facts.known and facts.description and facts.extraction and facts.citation and len(facts.limits) > 1, name
