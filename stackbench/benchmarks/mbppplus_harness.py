"""Runs inputs of MBPP+ and HumanEval+ through a sample's function, inside the sandbox: makes expected outputs, or compares with them.

Standard library only; executed by the judge, with `_channel` (to the process of the sample, which has the inputs and
never the outputs) and `_payload` (JSON). Leaves `_result` for expected outputs; raises for a wrong output. Outputs that
are too large to keep (some run to hundreds of megabytes) are made again here, one at a time. Times are the processor
time of the sample's process: a busy machine makes no sample slow, and one that sleeps meets the job's own limit. Rules:
mbppplus_rules.toml.
"""

import base64
import copy
import json
import math
import pickle

LARGEST_KEPT = 1 << 20


def main(payload):
    inputs = [convert(payload["input_rule"], given) for given in payload["inputs"]]
    if payload["make"]:
        return expected_outputs(inputs, payload["entry_point"], payload["output_rule"])
    if payload["expected"] is None:
        expected = outputs_of_reference(payload, inputs)
    else:
        expected = pickle.loads(base64.b64decode(payload["expected"]))
    compare_all(inputs, expected, payload)
    return None


def expected_outputs(inputs, entry_point, output_rule):
    outputs, seconds, size = [], [], 0
    for given in inputs:
        began = _channel.cpu_s()
        output = _channel.ask("call", entry_point, tuple(given), {})
        seconds.append(_channel.cpu_s() - began)
        if output_rule == "not_none":
            output = output is not None
        if size <= LARGEST_KEPT:
            size += len(pickle.dumps(output))
            outputs.append(output)
    expected = base64.b64encode(pickle.dumps(outputs)).decode() if size <= LARGEST_KEPT else None
    return json.dumps({"expected": expected, "seconds": seconds})


def outputs_of_reference(payload, inputs):
    namespace = {}
    exec(compile(payload["reference"], "<reference>", "exec", dont_inherit=True), namespace)
    reference = namespace[payload["entry_point"]]
    for given in inputs:
        output = reference(*copy.deepcopy(given))
        yield output is not None if payload["output_rule"] == "not_none" else output


def compare_all(inputs, expected, payload):
    tolerance = payload["atol"]
    _channel.call_with_each(payload["entry_point"], inputs)
    for index, (given, want) in enumerate(zip(inputs, expected)):
        try:
            got = _channel.timed_answer(payload["limits_s"][index])
        except Exception as error:
            raise AssertionError("input %d: %s: %s" % (index, type(error).__name__, str(error)[:200])) from None
        if tolerance == 0 and all_floats(want):
            tolerance = 1e-6  # once set it stays, as in EvalPlus
        try:
            right = matches(payload["output_rule"], got, want, given, tolerance)
        except Exception:
            right = False
        if not right:
            raise AssertionError("input %d: wrong output" % index)


def matches(rule, got, want, given, tolerance):
    exact = got == want
    if rule == "anything":
        exact = True
    elif rule == "or_zero":
        exact = exact or got == 0
    elif rule == "polynomial_root":
        return abs(sum(c * got**power for power, c in enumerate(given[0]))) <= tolerance
    elif rule == "or_pyramid_surface":
        exact = exact or abs(got - pyramid_surface(*given)) <= tolerance
    elif rule == "or_padded_digit_distance":
        exact = exact or got == padded_digit_distance(*given)
    elif rule == "set_equal":
        exact = set(got) == set(want)
    elif rule == "not_none":
        exact = got == want if isinstance(got, bool) else want == (got is not None)
    if exact or tolerance == 0:
        return bool(exact)
    if type(got) is not type(want):
        return False
    if isinstance(want, (list, tuple)) and len(got) != len(want):
        return False
    return close(got, want, tolerance)


def close(got, want, tolerance):
    """Element by element |got - want| <= atol + 1e-7 |want|, infinities equal (numpy.allclose's rule)."""
    if isinstance(want, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(want):
            raise ValueError("shapes differ")
        return all(close(g, w, tolerance) for g, w in zip(got, want))
    if not isinstance(got, (int, float, complex)) or not isinstance(want, (int, float, complex)):
        raise TypeError("not a number")
    if got == want:
        return True
    if any(isinstance(x, float) and math.isinf(x) for x in (got, want)):
        return False
    return abs(got - want) <= tolerance + 1e-7 * abs(want)


def all_floats(value):
    if isinstance(value, float):
        return True
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(isinstance(item, float) for item in value)


def pyramid_surface(base, height):
    slant = math.sqrt((base / 2) ** 2 + height**2)
    return round(base**2 + 4 * (base * slant) / 2)


def padded_digit_distance(first, second):
    a, b = str(first), str(second)
    width = max(len(a), len(b))
    return sum(abs(int(x) - int(y)) for x, y in zip(a.zfill(width), b.zfill(width)))


def convert(rule, given):
    if rule == "tuple_args":
        return [tuple(argument) for argument in given]
    if rule == "list_of_tuples_args":
        return [[tuple(item) for item in argument] for argument in given]
    if rule == "list_of_tuples_first":
        return [[tuple(item) for item in given[0]], given[1]]
    if rule == "tuple_second":
        return [given[0], tuple(given[1])]
    if rule == "sets_in_list":
        return [[set(item) if isinstance(item, list) and item else {} for item in given[0]]]
    if rule == "float_complex":
        return [float(given[0]), complex(given[1])]
    if rule == "tuple_first":
        return [tuple(given[0]), given[1]]
    if rule == "tuple_of_tuples_args":
        return [tuple(tuple(item) for item in argument) for argument in given]
    if rule == "tuple_with_tuples":
        return [tuple(tuple(item) if isinstance(item, list) else item for item in given[0])]
    if rule == "tuple_first_of_three":
        return [tuple(given[0]), given[1], given[2]]
    if rule == "dict_of_tuples":
        return [{key: tuple(value) for key, value in given[0].items()}, *given[1:]]
    if rule == "complex_only":
        return [complex(given[0])]
    if rule == "deep_tuples":
        return deep_tuple(given)
    return given


def deep_tuple(value):
    return tuple(deep_tuple(item) for item in value) if isinstance(value, list) else value


_result = main(json.loads(_payload))
