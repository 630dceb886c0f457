import io

from restem.pipeline.commands.console import START_UP, RunConsole, print_summary

SUMMARY = {
    "blessed": True,
    "reason": "Approved: better.",
    "requirements": [
        {"required": "Accuracy at least 90%", "measured": "measured 98.1% [..]", "note": "", "passed": True},
        {"required": "Accuracy better", "measured": "measured +0.1 points", "note": "Too few.", "passed": False},
    ],
    "metrics": {"candidate": {"accuracy": 0.9812, "images": 360.0}, "baseline": {"accuracy": None}},
    "start": None,
    "seeds": None,
    "largest_class": {"name": "sound [ok]", "share": 0.5556},
    "never_predicted": {"candidate": [], "baseline": ["crack"]},
    "only_predicted": {"candidate": None, "baseline": None},
    "cost": {"operations_ratio": 3.9, "sentence": "One pass needs [3.9] times the operations."},
    "tensorboard": "tensorboard --logdir /x/tensorboard",
    "baseline": {
        "kind": "latest_approved",
        "version": "16",
        "path": "/x/serving/digits/16",
        "skipped": [{"version": "18", "path": "/x/serving/digits/18", "reason": "saved_model.pb is missing"}],
    },
    "pushed_to": "/x/serving/digits/17",
    "not_pushed": None,
    "report": "/x/[report]/index.html",
    "quarantined": 7,
    "quarantine": [
        {"path": f"a/{i}.png", "reason": "The file is empty (0 bytes).", "bytes": 1000 * i - 1} for i in range(7)
    ],
    "seconds": {"start-up": 12.0, "Transform": 0.1, "Trainer": 65.04},
    "cached": ["Transform"],
    "log": "/x/logs/1.log",
}


def step(name, state, seconds=0.0):
    return {"event": "step", "step": name, "state": state, "seconds": seconds}


def test_plain_lines_without_a_terminal():
    stream = io.StringIO()
    with RunConsole(stream) as console:
        assert console.current == START_UP
        console.on_event(step("Transform", "started"))
        console.on_event(step("Transform", "cached", 0.1))
        console.on_event(step("Trainer", "started"))
        console.on_event({"event": "log", "level": "INFO", "message": "head: epoch [1] of 4"})
        console.on_event(step("Trainer", "done", 65.04))
    assert [line.split() for line in stream.getvalue().splitlines()[1:]] == [
        ["Transform", "..."],
        ["Transform", "from", "the", "cache"],
        ["Trainer", "..."],
        ["head:", "epoch", "[1]", "of", "4"],
        ["Trainer", "done", "in", "65.0", "s"],
    ]
    assert console.finished == ["Transform", "Trainer"]
    assert console.cached == ["Transform"]
    assert list(console.seconds) == [START_UP, "Transform", "Trainer"]


def test_summary_has_each_value_on_its_line():
    stream = io.StringIO()
    print_summary(SUMMARY, stream)
    lines = {line[:14].strip(): line for line in stream.getvalue().splitlines()}
    assert "accuracy 0.9812, images 360" in lines["candidate"]
    assert "not a number" in lines["baseline"]
    assert "sound [ok]: always predicting it gives 0.5556" in lines["largest class"]
    assert "the baseline never predicts crack" in lines["warning"]
    assert "One pass needs [3.9] times the operations." in lines["cost"]
    assert "tensorboard --logdir /x/tensorboard" in lines["tensorboard"]
    assert "the approved version 16 (/x/serving/digits/16)" in lines["compared with"]
    assert "version 18 is skipped: saved_model.pb is missing" in stream.getvalue()
    assert "approved" in lines["verdict"]
    assert "Accuracy at least 90%: measured 98.1% [..]." in lines["met"]
    assert "Accuracy better: measured +0.1 points. Too few." in lines["not met"]
    assert "/x/serving/digits/17" in lines["pushed to"]
    assert "7 files" in lines["quarantined"]
    assert "and 2 more" in stream.getvalue()
    assert "a/0.png: The" in stream.getvalue()
    assert "a/4.png (3,999 bytes): The" in stream.getvalue()
    assert "Transform from the cache, Trainer 65.0" in lines["seconds"]
    assert "/x/[report]/index.html" in lines["report"]


def with_control_characters(value):
    """The value with a terminal's command, and a turn of the direction of writing, in each text."""
    if isinstance(value, dict):
        return {key: with_control_characters(each) for key, each in value.items()}
    if isinstance(value, list):
        return [with_control_characters(each) for each in value]
    return f"{value}\x1b]0;hacked\x07\x9b2J\u202e" if isinstance(value, str) else value


def test_nothing_in_a_summary_commands_the_terminal():
    hostile = with_control_characters({**SUMMARY, "data_notes": ["a note"], "start": {"kind": "first", "told": "told"}})
    stream = io.StringIO()
    print_summary({**hostile, "cached": SUMMARY["cached"]}, stream)
    with RunConsole(stream) as console:
        console.say(hostile["reason"])
        console.on_event({"event": "log", "level": "INFO", "message": hostile["reason"]})
    told = stream.getvalue()
    assert told.count(r"\x1b]0;hacked\x07\x9b2J\u202e") > 20
    assert all(line.isprintable() for line in told.splitlines())


def test_tuned_values_are_shown_with_a_caution():
    stream = io.StringIO()
    tuned = {"values": {"a": 2e-05, "b": None, "c": True}, "metric": "loss", "value": 0.5, "trials": 9, "failed": 1}
    print_summary({**SUMMARY, "tuned": tuned}, stream)
    assert "tuned          a 2e-05, b null, c true\n" in stream.getvalue()
    assert "loss 0.5000 on the validation images, which is optimistic: the best of 8 trials" in stream.getvalue()
    stream = io.StringIO()
    print_summary(SUMMARY, stream)
    assert "tuned" not in stream.getvalue()


def test_the_baseline_is_described_by_its_kind():
    for kind, path, shown in (("stock", None, "the stock network"), ("path", "/old", "the given model (/old)")):
        stream = io.StringIO()
        baseline = {"kind": kind, "version": None, "path": path, "skipped": []}
        print_summary({**SUMMARY, "baseline": baseline}, stream)
        assert f"compared with  {shown}\n" in stream.getvalue()


def test_only_a_much_more_expensive_candidate_is_named():
    stream = io.StringIO()
    cost = {"operations_ratio": 1.4, "sentence": "Cheap."}
    only = {"candidate": None, "baseline": "sound"}
    print_summary({**SUMMARY, "cost": cost, "only_predicted": only, "tensorboard": None}, stream)
    assert "Cheap" not in stream.getvalue()
    assert "tensorboard" not in stream.getvalue()
    assert "the baseline predicts sound for every test image" in stream.getvalue()
    print_summary({**SUMMARY, "cost": {"operations_ratio": None, "sentence": None}}, stream)


def test_a_rejected_model_is_not_pushed():
    stream = io.StringIO()
    print_summary({**SUMMARY, "blessed": False, "pushed_to": None, "quarantined": 0, "quarantine": []}, stream)
    assert "not approved" in stream.getvalue()
    assert "not pushed: only an approved model is pushed" in stream.getvalue()


def test_an_approved_model_that_was_rolled_back_is_not_pushed():
    stream = io.StringIO()
    print_summary({**SUMMARY, "pushed_to": None, "not_pushed": "this model was rolled back"}, stream)
    assert "not pushed: this model was rolled back" in stream.getvalue()


def test_the_model_that_was_trained_further_is_told():
    stream = io.StringIO()
    print_summary({**SUMMARY, "start": {"kind": "continue", "told": "It went on from /x/16."}}, stream)
    assert "It went on from /x/16." in stream.getvalue()


def test_the_spread_over_seeds_is_one_line():
    figures = {metric: {"by_seed": [0.9, 0.8], "mean": 0.85, "deviation": 0.0707} for metric in ("accuracy",)}
    seeds = {"seeds": [0, 1], "candidate": figures, "baseline": None, "difference": None}
    stream = io.StringIO()
    print_summary({**SUMMARY, "seeds": seeds}, stream)
    line = next(line for line in stream.getvalue().splitlines() if line.startswith("seeds"))
    assert "accuracy with 2 seeds (mean ± standard deviation): candidate 0.8500 ± 0.0707" in line
    stream = io.StringIO()
    both = {**seeds, "baseline": figures, "difference": {"accuracy": {"mean": -0.02, "deviation": 0.01}}}
    print_summary({**SUMMARY, "seeds": both}, stream)
    assert "baseline 0.8500 ± 0.0707, difference -0.0200 ± 0.0100" in stream.getvalue()
