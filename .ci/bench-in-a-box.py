#!/usr/bin/env python3
"""Compares the verdicts of two rigs in one results.json, requirement by requirement and case by case.

    bench-in-a-box.py compare RESULTS DECLARED     the box has to say what the virtual rig says
    bench-in-a-box.py caught RESULTS ID...         the box has to say that these fail
    bench-in-a-box.py test                         this file itself can fail

A difference has to be declared in a file of `[[difference]]` tables: `case` (that decides), `id` (of a requirement) and
`why` (what the box says), each a pattern where `*` stands for anything, `box` (its verdict) and `reason`. One that
declares nothing is complained about as well. A fault of the rig and a defect of the harness cannot be declared, nor a
case that the box got right at a second try.

What was measured has to be the same to the last digit, where both come to the same verdict. A figure that may differ is
declared in a `[[figure]]` table with `id` and `reason`.
"""
import json
import re
import sys
import tomllib

VIRTUAL, BOX = "virtual-k1", "bench-in-a-box"
# What a rig without hardware has no excuse for.
NEVER = ("rig-fault", "harness-bug")


def fits(text, pattern):
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def cases(result, rig):
    return {case["name"]: case for case in result["cases"] if case["rig"] == rig}


def verdicts(result, rig):
    """Of each case and each requirement on `rig`: the verdict, the case that decides it, and why."""
    found = {}
    for name, case in cases(result, rig).items():
        # Whoever chose to leave it out left it out everywhere.
        if case["not_run"] != "not-selected":
            found[name, ""] = (case["verdict"], name, case["reason"] or case["not_run"] or "")
    for requirement in result["requirements"]:
        for on in requirement["rigs"]:
            if on["rig"] == rig and (on["case"], "") in found:
                found["", requirement["id"]] = (on["verdict"], on["case"], found[on["case"], ""][2])
    return found


def figures(result, declared):
    """What is wrong with the figures where both rigs say the same, in lines, and how many are the same."""
    reasons = {entry["id"]: entry.get("reason") for entry in declared}
    differ, same, wrong = set(), 0, []
    for requirement in result["requirements"]:
        on = {on["rig"]: on for on in requirement["rigs"]}
        if VIRTUAL not in on or BOX not in on or on[VIRTUAL]["verdict"] != on[BOX]["verdict"]:
            continue
        there, here = on[VIRTUAL].get("measured"), on[BOX].get("measured")
        if there == here:
            same += there is not None
        elif requirement["id"] in reasons:
            differ.add(requirement["id"])
        else:
            keys = [key for key in there or here if not (there and here and there[key] == here[key])]
            pairs = ((key, *(of and of[key] for of in (there, here))) for key in keys)
            what = "; ".join(f"{key} {one} and {other}" for key, one, other in pairs)
            wrong.append(f"{requirement['id']}: other figures on the virtual rig and in the box: {what}")
    for id, reason in reasons.items():
        if id not in differ:
            wrong.append(f"declared as another figure, and it is the same or none: {id}")
        if not reason:
            wrong.append(f"declared as another figure without a reason: {id}")
    return wrong, same


def compare(result, declared, other_figures=()):
    """What is wrong, in lines, and what is to be told in any case."""
    virtual, box = verdicts(result, VIRTUAL), verdicts(result, BOX)
    used, wrong, equal = set(), [], 0
    for key in sorted(virtual.keys() | box.keys()):
        there, (here, case, why) = virtual.get(key, ("absent",))[0], box.get(key, ("absent", "", ""))
        if there == here and here not in NEVER:
            equal += 1
            continue
        for index, entry in enumerate(declared):
            patterns = [entry.get(name, "*") for name in ("case", "id", "why")] + [entry["box"]]
            texts = (case, key[1], why, here)
            if here not in NEVER and all(map(fits, texts, patterns)):
                used.add(index)
                break
        else:
            what = key[0] or f"{key[1]} by {case}"
            wrong.append(f"{what}: {there} on the virtual rig, {here} in the box: {why}")
    for name, case in cases(result, BOX).items():
        if case["retries"]:
            wrong.append(f"{name}: the box got it right only after {case['retries']} faults of the rig")
    for index, entry in enumerate(declared):
        if not entry.get("reason"):
            wrong.append(f"declared without a reason: {entry}")
        if index not in used:
            wrong.append(f"declared, and not seen: {entry}")
    complaints, same = figures(result, other_figures)
    wrong += complaints
    passed = [sum(found[key][0] == "pass" and not key[1] for key in found) for found in (box, virtual)]
    if not passed[0]:
        wrong.append("nothing passed in the box, which proves nothing")
    differ = len(virtual.keys() | box.keys()) - equal
    told = (f"{passed[0]} cases pass in the box and {passed[1]} on the virtual rig; of {equal + differ} verdicts on "
            f"cases and requirements {equal} are the same and {differ} are not; of {same + len(other_figures)} figures "
            f"{same} are the same; {len(wrong)} complaints")
    return wrong, told


def caught(result, ids):
    """Which of `ids` do not fail in the box."""
    failed = {requirement for (_, requirement), (verdict, *_) in verdicts(result, BOX).items() if verdict == "fail"}
    return [f"{id}: not a failure in the box" for id in ids if id not in failed]


def made(**changed):
    """A small result: three cases, all of which pass on both rigs but for what is `changed`."""
    result = {"cases": [], "requirements": []}
    for name in ("one", "two", "three"):
        requirement = {"id": name.upper(), "rigs": []}
        for rig in (VIRTUAL, BOX):
            case = {"name": name, "rig": rig, "verdict": "pass", "not_run": None, "reason": None, "retries": 0}
            case |= changed.get(name, {}) if rig == BOX else {}
            result["cases"].append(case)
            measured = changed.get(f"{name}_measured", {"max": 1.0}) if rig == BOX else {"max": 1.0}
            requirement["rigs"].append({"rig": rig, "case": name, "verdict": case["verdict"], "measured": measured})
        result["requirements"].append(requirement)
    return result


def test():
    fails, undecided = {"two": {"verdict": "fail"}}, {"two": {"verdict": "inconclusive"}}
    declared = {"case": "two", "box": "inconclusive", "reason": "for a test"}
    everything = {name: {"verdict": "not-run"} for name in ("one", "two", "three")}
    left_out = {"two": {"verdict": "not-run", "not_run": "not-selected"}}
    expected = [
        ("the same verdicts", {}, [], 0),
        ("an undeclared difference of a case and of its requirement", fails, [], 2),
        ("a declared one", undecided, [declared], 0),
        ("another than the declared one", fails, [declared], 3),
        ("a declared one that is not there", {}, [declared], 1),
        ("one without a reason", undecided, [declared | {"reason": ""}], 1),
        ("a fault of the rig", {"two": {"verdict": "rig-fault"}}, [], 2),
        ("a declared fault of the rig", {"two": {"verdict": "rig-fault"}}, [declared | {"box": "*"}], 3),
        ("a defect of the harness", {"two": {"verdict": "harness-bug"}}, [], 2),
        ("a declared one for another reason", undecided, [declared | {"why": "*never*"}], 3),
        ("a second try", {"two": {"retries": 1}}, [], 1),
        ("nothing but declared differences", everything, [declared | {"case": "*", "box": "*"}], 1),
        ("a case that only the box leaves out", left_out, [], 2),
    ]
    for what, changed, declarations, count in expected:
        wrong, _ = compare(made(**changed), declarations)
        assert len(wrong) == count, f"{what}: {count} complaints expected, not {wrong}"
    other = made(two_measured={"max": 1.5})
    for what, result, declarations, count in [
        ("another figure", other, [], 1),
        ("no figure", made(two_measured=None), [], 1),
        ("a declared one", other, [{"id": "TWO", "reason": "for a test"}], 0),
        ("one without a reason", other, [{"id": "TWO"}], 1),
        ("a declared one that is the same", made(), [{"id": "TWO", "reason": "for a test"}], 1),
    ]:
        wrong, _ = compare(result, [], declarations)
        assert len(wrong) == count, f"{what}: {count} complaints expected, not {wrong}"
    assert caught(made(**fails), ["TWO"]) == [], "a failure is a failure"
    assert len(caught(made(**undecided), ["ONE", "TWO", "FOUR"])) == 3, "nothing else is"


def main(what, *arguments):
    if what == "test":
        test()
        return 0
    with open(arguments[0], encoding="utf-8") as file:
        result = json.load(file)
    if what == "caught":
        wrong = caught(result, arguments[1:])
    else:
        with open(arguments[1], "rb") as file:
            declared = tomllib.load(file)
        wrong, told = compare(result, declared.get("difference", []), declared.get("figure", []))
        print(told)
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
