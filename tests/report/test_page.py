import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml

from restem.baseline.choice import Choice, Skipped
from restem.report.data import Slice
from restem.report.page import render
from restem.run_record import ModelInput, Repeat, Scores
from restem.tuner.trials import Trial, Tuning

VOID = {"meta", "img", "br", "wbr", "link", "hr", "input"}
HOSTILE = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Checks that elements are closed correctly, and collects what the tests look for."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        self.text = " ".join(self.text.split())
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"duplicate attribute in {tag}: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def classes(self):
        return [name for _, attributes in self.elements for name in (attributes.get("class") or "").split()]


def tuned(trials=25):
    """A search of which every fifth trial failed; the best is trial 8."""
    found = []
    for number in range(1, trials + 1):
        right = 0.9 - abs(number - 8) / 100
        values = {"train.all.learning_rate": number * 1e-4, "train.optimizer": "adam", "stem.kernel": None}
        failed = number % 5 == 0
        scores = None if failed else Scores(40, right, right, 1 - right)
        failure = "the loss is not a finite number (phase <all>)" if failed else None
        found.append(Trial(number, values, 61.0, scores, failure))
    return Tuning("balanced_accuracy", 2, True, tuple(found))


SPECIES = tuple(f"species number {i:03d}, with a name that goes on and on" for i in range(200))
CASES = {
    "ten classes": {},
    "two classes": {"classes": ("normal", "pneumonia"), "accuracy": (0.9, 0.91), "blessed": False},
    "200 classes": {"classes": SPECIES, "images": 3000, "accuracy": (0.8, 0.75), "quarantined": 73},
    "no mistakes": {"accuracy": (1.0, 1.0), "quarantined": 0},
    "unicode": {"classes": ("肺炎", "عربي", "Ödem 🙂"), "accuracy": (0.8, 0.7)},
    "one image": {"images": 1},
}


@pytest.fixture(scope="module", params=CASES)
def html(request, report_data):
    return render(report_data(**CASES[request.param]))


def test_page_is_well_formed_and_accessible(html):
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for key in ("aria-labelledby", "href"):
            target = attributes.get(key, "")
            if key == "aria-labelledby" and target:
                assert target in ids
            elif target.startswith("#"):
                assert target[1:] in ids
    assert [tag for tag, _ in page.elements if tag == "h1"] == ["h1"]
    for picture in page.all("img"):
        assert len(picture["alt"]) > 10
        assert picture["src"].startswith("data:image/")
    assert ("html", {"lang": "en"}) in page.elements


def test_page_loads_nothing_and_needs_no_script(html):
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r'"data:[^"]*"', '""', html))
    page = Page(html)
    assert {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "form"} == set()
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [attributes for _, attributes in page.elements if "style" in attributes]
    assert len(html.encode()) < 5_000_000


POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_policy_forbids_scripts_and_connections_before_anything_else_is_read(html):
    elements = Page(html).elements
    policies = [place for place, (_, one) in enumerate(elements) if one.get("http-equiv") == "Content-Security-Policy"]
    assert [elements[place][1]["content"] for place in policies] == [POLICY]
    assert {tag for tag, _ in elements[: policies[0]]} <= {"html", "head", "meta"}


def test_page_is_the_same_for_the_same_data(report_data):
    assert render(report_data()) == render(report_data())


def test_verdict_is_first_and_appears_once(report_data):
    approved, refused = (Page(render(report_data(blessed=blessed))) for blessed in (True, False))
    assert approved.classes().index("approved") < approved.classes().index("figures")
    assert "✓ Approved The candidate's accuracy" in approved.text
    assert "✕ Not approved The candidate's accuracy" in refused.text
    assert "✕ not met" in refused.text
    assert "✕ failed" not in approved.text


def test_hostile_names_stay_text(report_data):
    data = report_data(classes=(HOSTILE, '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}"), accuracy=(0.6, 0.5))
    data = dataclasses.replace(data, title=HOSTILE)
    html = render(data)
    assert "<script" not in html
    assert "<img src=x" not in html
    page = Page(html)
    assert HOSTILE in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_many_classes_show_the_worst_and_fold_the_rest(report_data):
    html = render(report_data(**CASES["200 classes"]))
    page = Page(html)
    assert "The 20 of 200 classes with the lowest F1." in page.text
    assert page.text.count("All 200 classes") == 3  # two folds, and the totals under the table of splits
    matrix = [attributes for attributes in page.all("td") if re.fullmatch(r"[rw]\d", attributes.get("class", ""))]
    assert len(matrix) == 21 * 21
    # The combined row loses nothing: every test image is in the matrix once.
    table = re.search(r'<table class="matrix.*?</table>', html, re.S).group()
    numbers = re.findall(r'class="[rw]\d"[^>]*>([\d,]*)(?:<br><span class="mixed">([\d,]+) mixed)?', table)
    assert sum(int(n.replace(",", "") or 0) for pair in numbers for n in pair) == 3000


def test_few_classes_show_the_whole_matrix(report_data):
    data = report_data()
    page = Page(render(data))
    matrix = [attributes for attributes in page.all("td") if re.fullmatch(r"[rw]\d", attributes.get("class", ""))]
    assert len(matrix) == 100
    assert page.all("details") == [{}]  # only the stem's transfer report is folded


def test_worst_mistakes_show_the_image_and_both_classes(report_data):
    data = report_data()
    page = Page(render(data))
    photographs = [p for p in page.all("img") if "pixels" in p.get("class", "")]
    groups = (data.only_candidate, data.only_baseline, data.mistakes)
    assert len(photographs) == sum(len(group.shown) for group in groups)
    first = data.mistakes.shown[0]
    assert first.path in photographs[-len(data.mistakes.shown)]["alt"]
    assert f"true class: {first.label} candidate: {first.predicted}, " in page.text


def test_a_mistake_without_picture_keeps_its_place(report_data):
    data = report_data()
    blind = dataclasses.replace(data.mistakes.shown[0], thumbnail=None)
    mistakes = dataclasses.replace(data.mistakes, shown=(blind, *data.mistakes.shown[1:]))
    page = Page(render(dataclasses.replace(data, mistakes=mistakes)))
    assert "cannot be shown" in page.text


def test_images_that_were_read_in_the_order_of_their_files_are_told(report_data):
    data = report_data()
    assert "in the order of the examples’ files" not in Page(render(data)).text
    candidate = dataclasses.replace(data.candidate, model=dataclasses.replace(data.candidate.model, ordered=False))
    page = Page(render(dataclasses.replace(data, candidate=candidate)))
    assert "another Beam runner or parallelism gives other weights" in page.text


def test_disagreements_say_who_is_right_and_what_the_baseline_sees(report_data):
    data = report_data()
    page = Page(render(data))
    assert f"Only the candidate is right: {data.only_candidate.total} images" in page.text
    assert f"Only the baseline is right: {data.only_baseline.total} image" in page.text
    assert "three channels" not in page.text  # Both see only grey.
    seen = dataclasses.replace(data.candidate.model.input, names=("red", "green", "blue", "nir", "swir"))
    candidate = dataclasses.replace(data.candidate, model=dataclasses.replace(data.candidate.model, input=seen))
    page = Page(render(dataclasses.replace(data, candidate=candidate)))
    assert "sees red, green and blue; the candidate also sees nir and swir." in page.text


def test_every_band_has_a_picture_with_its_name(report_data):
    data = report_data()
    thumbnail = dataclasses.replace(
        data.mistakes.shown[0].thumbnail, pictures=(("red, green, blue", "data:,a"), ("nir", "data:,b"))
    )
    shown = dataclasses.replace(data.mistakes.shown[0], thumbnail=thumbnail)
    page = Page(render(dataclasses.replace(data, mistakes=dataclasses.replace(data.mistakes, shown=(shown,)))))
    assert [image["src"] for image in page.all("img") if image["src"].startswith("data:,")] == ["data:,a", "data:,b"]
    assert "red, green, blue" in page.text


def test_a_run_without_mistakes_and_quarantine(report_data):
    page = Page(render(report_data(**CASES["no mistakes"])))
    assert "The candidate made no mistakes on the 360 images" in page.text
    assert "None; all files were read." in page.text


def test_long_quarantine_is_cut_and_counted(report_data):
    page = Page(render(report_data(quarantined=73)))
    assert page.text.count("the JPEG ends early") == 50
    assert "And 23 more." in page.text
    for size in ("1.2 kB", "12.0 kB", "120.4 kB", "unknown"):
        assert size in page.text
    assert "Duplicates" not in page.text
    assert "Spans" not in page.text


def test_duplicates_and_spans_are_shown(report_data):
    data = report_data()
    summary = dataclasses.replace(data.data, equal=3, leaks=1, conflicts=2, spans=(6, 7))
    page = Page(render(dataclasses.replace(data, data=summary)))
    assert "3 groups, 1 of them in both training and test, 2 in several classes" in page.text
    assert "Spans: 6, 7." in page.text


def test_slices_are_shown_by_column_the_lowest_first(report_data):
    data = report_data()
    slices = (
        Slice("site", "Ulm", 100, 0.99, 0.9),
        Slice("site", HOSTILE, 50, 0.5, 0.6),
        Slice("scanner", "", 150, 0.8, 0.8),
        *(Slice("day", f"{i:02}", 5, 0.2 * (i % 6), 1.0) for i in range(30)),
    )
    assert "Results by slice" not in Page(render(data)).text
    page = Page(render(dataclasses.replace(data, verdict=dataclasses.replace(data.verdict, slices=slices))))
    rows = [
        f"{HOSTILE}50 50.0%36.6% to 63.4% 60.0%−10.0 points Ulm100 99.0%94.6% to 99.8% 90.0%+9.0 points",
        "(empty)150 80.0%72.9% to 85.6% 80.0%0.0 points",
        "The 20 of 30 values of day with the lowest accuracy.",
        "All 30 values",
    ]
    places = [page.text.index(row) for row in rows]
    assert places == sorted(places)


def test_configuration_can_be_copied_back(report_data):
    data = report_data()
    html = render(data)
    shown = re.search(r'<pre class="config"[^>]*>(.*?)</pre>', html, re.S).group(1)
    assert yaml.safe_load(shown) == data.candidate.model.config


def test_a_stock_stem_and_an_untrained_model_have_no_sections(report_data):
    data = report_data()
    model = dataclasses.replace(
        data.candidate.model, input=ModelInput(16, 16, 3, 3, ("red", "green", "blue")), config={}
    )
    candidate = dataclasses.replace(data.candidate, model=model, stem=None, history=())
    baseline = dataclasses.replace(data.baseline, history=())
    page = Page(render(dataclasses.replace(data, candidate=candidate, baseline=baseline)))
    assert "ResNet50 with the stock stem, compared" in page.text
    assert "What the modified stem keeps" not in page.text
    assert "There was no training in this run." in page.text


def test_an_adopted_baseline_is_named_with_what_was_skipped(report_data):
    data = report_data()
    origin = Choice("latest_approved", "1700", "/served/1700", "ab", (Skipped("1800", "/served/1800", HOSTILE),))
    model = dataclasses.replace(data.baseline.model, input=ModelInput(64, 16, 1, 1, ("grey",)))
    baseline = dataclasses.replace(data.baseline, model=model, origin=origin, history=())
    html = render(dataclasses.replace(data, baseline=baseline))
    page = Page(html)
    assert "compared with the approved version 1700." in page.text
    assert "the newest usable approved version: /served/1700. It was not trained in this run" in page.text
    assert "Skipped versions" in page.text
    assert f"1800{HOSTILE}" in page.text  # the cells of a row have no space between them
    assert HOSTILE not in html
    assert "Originthis runthe approved version 1700" in page.text
    assert "Only the candidate is shown; the baseline was not trained in this run." in page.text
    assert "64 × 16 pixels, 1 channel (grey)" in page.text
    assert "Stemmodified, exactmodified" in page.text  # the baseline's according to its configuration


def test_a_stock_baseline_is_shown_with_what_was_skipped(report_data):
    data = report_data()
    assert "The baseline is the stock network, trained on the same images as the candidate." in Page(render(data)).text
    origin = Choice("stock", skipped=(Skipped("7", "/served/7", "saved_model.pb is missing"),))
    page = Page(render(dataclasses.replace(data, baseline=dataclasses.replace(data.baseline, origin=origin))))
    assert "as the candidate, because no approved version could be used." in page.text
    assert "7saved_model.pb is missing" in page.text
    assert "compared with the stock network." in page.text


def test_weights_with_the_same_origin_and_rule_share_a_row(report_data):
    page = Page(render(report_data()))
    assert "and 296 more" in page.text


def test_a_disagreement_of_trainer_and_evaluator_is_shown(report_data):
    data = report_data()
    assert "The two should agree" not in render(data)
    verdict = dataclasses.replace(data.verdict, metrics={"candidate": {"accuracy": 0.5}})
    assert "The two should agree" in render(dataclasses.replace(data, verdict=verdict))


def test_the_cost_of_both_models_is_compared(report_data):
    data = report_data()
    text = Page(render(data)).text
    assert "One pass of the candidate needs 3.9 times the operations of the baseline." in text
    assert "Multiply-adds for one image82.1 million20.8 million3.9 times" in text
    assert "Parameters23,600,00023,608,2021 times" in text
    assert "Training time29 s24 s1.2 times" in text
    assert "Training time, phase all27 s22 s1.2 times" in text
    assert "Largest memory of the process in training2,900 MiB2,800 MiB1 times" in text
    assert "Largest memory on the GPU1,500 MiB––" in text
    assert "Precision of the training16 bits (bfloat16)32 bits" in text
    assert "another run" not in text
    assert "Size of the exported model94.3 MB94.4 MB1 times" in text
    assert "Call with 1 image, median of 10012.3 ms4.1 ms3 times" in text
    assert "Call with 32 images, 95th percentile402 ms101 ms4 times" in text
    assert "in one process on x86_64 with AVX2; oneDNN on." in text


def test_a_baseline_of_an_older_version_has_no_cost(report_data):
    data = report_data()
    origin = Choice("path", "1700", "/served/1700", "ab")
    model = dataclasses.replace(data.baseline.model, cost=None)
    baseline = dataclasses.replace(data.baseline, model=model, origin=origin, history=())
    text = Page(render(dataclasses.replace(data, baseline=baseline))).text
    assert "Multiply-adds for one image82.1 million––" in text
    assert "One pass of the candidate" not in text
    assert "The baseline was trained in another run" in text


def test_the_command_for_tensorboard_is_shown(report_data):
    data = report_data()
    assert "tensorboard" not in Page(render(data)).text
    runs = {
        role: dataclasses.replace(getattr(data, role), events=f"/r {role}/tensorboard")
        for role in ("candidate", "baseline")
    }
    both = "tensorboard --logdir_spec 'candidate:/r candidate/tensorboard,baseline:/r baseline/tensorboard'"
    assert both in Page(render(dataclasses.replace(data, **runs))).text


def test_a_model_that_predicts_one_class_is_named_once(report_data):
    data = report_data()
    answers = data.candidate.evaluation
    same = dataclasses.replace(answers, probabilities=np.eye(10, dtype=np.float32)[np.full(len(answers.labels), 3)])
    data = dataclasses.replace(data, candidate=dataclasses.replace(data.candidate, evaluation=same))
    note = "The candidate predicts 3 for every test image."
    assert Page(render(data)).text.count(note) == 1
    verdict = dataclasses.replace(data.verdict, reason=f"{data.verdict.reason} {note}")
    assert Page(render(dataclasses.replace(data, verdict=verdict))).text.count(note) == 1


def test_different_test_images_are_rejected(report_data):
    data = report_data()
    shorter = dataclasses.replace(data.baseline.evaluation, paths=data.baseline.evaluation.paths[1:])
    with pytest.raises(ValueError, match="the same images"):
        render(dataclasses.replace(data, baseline=dataclasses.replace(data.baseline, evaluation=shorter)))


def with_seeds(run, *accuracies):
    repeats = tuple(
        Repeat(7 + i, {"test": Scores(360, accuracy, accuracy - 0.1, 0.5)}, 60.0)
        for i, accuracy in enumerate(accuracies)
    )
    return dataclasses.replace(run, model=dataclasses.replace(run.model, repeats=repeats))


def test_results_by_seed(report_data):
    data = report_data()
    data = dataclasses.replace(
        data,
        candidate=with_seeds(data.candidate, 0.97, 0.95, 0.96),
        baseline=with_seeds(data.baseline, 0.9, 0.96, 0.93),
    )
    text = Page(render(data)).text
    assert (
        "Accuracy of the candidate: 96.0% on average (standard deviation 1.0 points); of the baseline: 93.0% on "
        "average (standard deviation 3.0 points). With the same seed, the difference is +3.0 points on average "
        "(standard deviation 4.0 points); the candidate is more accurate with 2 of 3 seeds and less accurate with 1."
        in text
    )
    assert "seed 8 95.0% 96.0% −1.0 points 85.0% 86.0% −1.0 points" in text


def test_results_by_seed_without_a_trained_baseline(report_data):
    data = report_data()
    text = Page(render(dataclasses.replace(data, candidate=with_seeds(data.candidate, 0.97, 0.95)))).text
    assert "The candidate was trained with 2 seeds: accuracy 96.0% on average (standard deviation 1.4 points)." in text
    assert "The baseline was not trained in this run." in text
    assert "seed 7 97.0% 87.0%" in text
    assert 'href="#seeds"' not in render(report_data())


def test_the_trials_are_listed_best_first_with_the_chosen_one_and_a_caution(report_data):
    html = render(dataclasses.replace(report_data(), tuning=tuned()))
    page = Page(html)
    assert "25 combinations of values were tried" in page.text
    assert "Trial 1 has the values of the configuration. 5 of them failed." in page.text
    assert "had at most 2 epochs" in page.text
    assert "trained with the values of trial 8; the baseline took those of the section train." in page.text
    assert "optimistic: it is the best of 20" in page.text
    table = html[html.index('aria-label="Trials"') :]
    rows = re.findall(r'<tr><th scope="row">(\d+)(.*?)</th>\s*<td class="n">(.*?)</td>(.*?)</tr>', table, re.DOTALL)
    assert rows[0][:3] == ("8", " ✓ chosen", "90.00%")
    assert re.findall(r">([^<>]+)</td>", rows[0][3]) == ["0.0008", "adam", "null", "1 min 1 s"]
    assert ("1", " (configuration)", "83.00%") in [row[:3] for row in rows[:20]]
    assert len(rows) == 20 + 25  # the best ones, and all in the collapsed table
    assert rows[-1][1].startswith(" ✕ failed: the loss is not a finite number (phase &lt;all&gt;)")
    assert "All 25 trials" in page.text


def test_a_baseline_that_was_not_trained_took_no_values(report_data):
    data = report_data()
    adopted = dataclasses.replace(data.baseline, history=(), origin=Choice("path", "5", "/served/5", "ab"))
    text = Page(render(dataclasses.replace(data, baseline=adopted, tuning=tuned()))).text
    assert "trained with the values of trial 8." in text


def test_without_tuning_the_page_does_not_mention_it(report_data):
    assert "tuning" not in render(report_data()).lower()
