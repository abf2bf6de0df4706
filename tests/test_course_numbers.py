"""Every number that the course's text takes from a chapter is in its table in demos/figures/measured.txt."""
import re

import pytest

from demos.__main__ import chapters
from demos.course import COLUMNS
from demos.predictions import PAGE

TEXT = PAGE.read_text(encoding="utf-8")
RECORD = (PAGE.parent / "figures" / "measured.txt").read_text(encoding="utf-8")
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?"
NOT_PROSE = r"```.*?```|\$[^$]*\$|`[^`]*`|\]\([^)]*\)|<!-- (\w+) -->\n.*?<!-- end of \1 -->"
UNITS = r"nats|points|pixels|draws|standard deviations|against|worse|better|labels"


def value(number):
    return float(number.replace(",", ""))


def told(text):
    """Yield (chapter, number) for each number that is measured: with a point, a comma or a unit.

    The prose of a chapter ends where its questions begin.
    """
    start = 0
    for questions in re.finditer(r"<!-- (c\d\d) -->", text):
        prose = re.sub(NOT_PROSE, " ", text[start:questions.start()], flags=re.DOTALL)
        for number in re.finditer(rf"(?<![\w.])({NUMBER})(?: (?:{UNITS})\b)?", prose):
            if re.search(r"[.,]| ", number[0]):
                yield questions[1], number[1]
        start = text.index(f"<!-- end of {questions[1]} -->")


def missing(text, record):
    """Yield each number that no cell of its chapter's table rounds to."""
    tables = {part[:3]: [value(number) for number in re.findall(NUMBER, part)]
              for part in re.split(r"^(?=c\d\d_)", record, flags=re.MULTILINE)[1:]}
    for chapter, number in told(text):
        zeros = re.search(r"[0,]*$", number)[0].count("0") if "," in number else 0                # 17,000 is rounded
        place = 10.0 ** (zeros - len(number.partition(".")[2]))
        if not any(abs(value(number) - cell) <= 0.501 * place for cell in tables[chapter]):
            yield f"{chapter}: {number}"


def test_every_number_of_the_text_was_measured_by_its_chapter():
    assert not list(missing(TEXT, RECORD))
    assert len(list(told(TEXT))) > 30


def test_the_record_is_in_order_and_all_its_claims_hold():
    recorded = re.findall(r"^(c\d\d_\w+):", RECORD, flags=re.MULTILINE)
    assert recorded == chapters()
    assert not re.search(r" NO$", RECORD, flags=re.MULTILINE)


@pytest.mark.parametrize("right, wrong", [
    ("8.91 nats", "8.90 nats"), ("by 5.1 points", "by 6.1 points"), ("adds 0.98 standard", "adds 1.10 standard"),
    ("10.3 nats are", "8.2 nats are"), ("gives 0.034", "gives 0.036")])
def test_a_number_that_no_table_has_is_found(right, wrong):
    assert right in TEXT and list(missing(TEXT.replace(right, wrong, 1), RECORD))


def measured(chapter):
    """The column of measured numbers of a chapter's table, as one line of text."""
    start = sum(COLUMNS[name] + 2 for name in ("tag", "claim"))
    table = RECORD[RECORD.index(f"\n{chapter}"):].split("\n\n", 2)[1]
    return " ".join(line[start:start + COLUMNS["measured"]].strip() for line in table.splitlines())


def test_chapter_10_says_who_is_ahead_where():
    """The text's order of pixels, means and codes is the table's, which the figure draws."""
    leads = {int(n): (float(lead), float(error))
             for n, lead, error in re.findall(r"(\d+): ([+-][\d.]+) ± ([\d.]+)", measured("c10"))}
    level, ahead = map(int, re.search(r"level with the means at (\d+) labels, and ahead from (\d+) on", TEXT).groups())
    assert sorted(leads)[:2] == [level, ahead] and abs(leads[level][0]) < 2 * leads[level][1]
    assert all(lead < -3 * error for n, (lead, error) in leads.items() if n >= ahead)
    codes = dict(re.findall(r"(\d+) labels: VAE means [^,]*, autoencoder codes [^(]*\(([+-][\d.]+)", measured("c10")))
    better, worse = re.search(r"([\d.]+) points better at 100 labels, ([\d.]+) worse at 500", TEXT).groups()
    assert codes == {"100": f"-{better}", "500": f"+{worse}"}


def test_chapter_9_says_where_the_ledgers_divergence_lies():
    least, most = map(float, re.search(r"([\d.]+) \+- \S+ and ([\d.]+) \+- \S+ nats", measured("c09")).groups())
    ledger = float(re.search(r"[\d.]+ = [\d.]+ \+ ([\d.]+) nats", measured("c09"))[1])
    assert least < most < ledger and "nats are above both bounds" in TEXT.replace("\n", " ")
