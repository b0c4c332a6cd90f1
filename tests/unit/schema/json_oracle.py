"""Compares json_read() and json_write() with Google's own implementation on random messages.

usage: json_oracle.py JSON_PIPE [MESSAGES [SEED]]
"""
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

PIPE = sys.argv[1]
MESSAGES = int(sys.argv[2]) if len(sys.argv) > 2 else 400
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 20240506
FILES = ["all_types.proto", "proto2_types.proto"]
TYPES = ["tidewire.test.AllTypes"] * 6 + [
    "tidewire.test.Tree", "tidewire.test2.Groups", "tidewire.test2.Packing", "tidewire.test2.Defaults",
    "tidewire.test2.HasRequiredBelow"]

rng = random.Random(SEED)


def pick_int(least, most):
    edges = [v for v in (least, most, 0, 1, -1, 127, 128, 2 ** 53, 2 ** 53 + 1, -2 ** 53 - 1) if least <= v <= most]
    return rng.choice(edges) if rng.random() < 0.5 else rng.randint(least, most)


def pick_text():
    letters = "ab \"\\/\n\t\u0000\u001f\u007f\u0080äß€\u2028\uffff😀"
    return "".join(rng.choice(letters) for _ in range(rng.choice((0, 0, 1, 2, 5, 40))))


def pick_double():
    if rng.random() < 0.4:
        return rng.choice((0.0, -0.0, 1.5, -1.0, 1e300, 5e-324, 0.1, 1e15, 1e16, 1e21, 123456789.125,
                           float("inf"), float("-inf"), float("nan")))
    while True:
        value = struct.unpack("<d", rng.randbytes(8))[0]
        if not math.isnan(value):
            return value


def pick_float():
    # Not the largest float: its short decimal form is more than the oracle takes back.
    if rng.random() < 0.4:
        return rng.choice((0.0, -0.0, 0.5, 16777216.0, 3.4028232635611926e38, 1e-45, float("inf"), float("nan")))
    while True:
        value = struct.unpack("<f", rng.randbytes(4))[0]
        if not math.isnan(value):
            return value


def pick_scalar(field):
    f = field
    if f.cpp_type == f.CPPTYPE_INT32: return pick_int(-2 ** 31, 2 ** 31 - 1)
    if f.cpp_type == f.CPPTYPE_INT64: return pick_int(-2 ** 63, 2 ** 63 - 1)
    if f.cpp_type == f.CPPTYPE_UINT32: return pick_int(0, 2 ** 32 - 1)
    if f.cpp_type == f.CPPTYPE_UINT64: return pick_int(0, 2 ** 64 - 1)
    if f.cpp_type == f.CPPTYPE_DOUBLE: return pick_double()
    if f.cpp_type == f.CPPTYPE_FLOAT: return pick_float()
    if f.cpp_type == f.CPPTYPE_BOOL: return rng.random() < 0.5
    if f.cpp_type == f.CPPTYPE_ENUM:
        if f.enum_type.full_name == "google.protobuf.NullValue": return 0
        numbers = [v.number for v in f.enum_type.values]
        if f.enum_type.file.syntax == "proto3" and rng.random() < 0.2: numbers = [rng.randint(-2 ** 31, 2 ** 31 - 1)]
        return rng.choice(numbers)
    if f.type == f.TYPE_BYTES: return rng.randbytes(rng.choice((0, 1, 2, 3, 4, 50)))
    return pick_text()


def fill_known(message, depth):
    """True when the type is one of those that have rules of their own."""
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        message.seconds = rng.choice((0, -62135596800, 253402300799, rng.randint(-62135596800, 253402300799)))
        message.nanos = rng.choice((0, 1, 1000, 500000000, 999999999, rng.randint(0, 999999999)))
    elif name == "google.protobuf.Duration":
        sign = rng.choice((1, -1))
        message.seconds = sign * rng.choice((0, 1, 315576000000 - 1, rng.randint(0, 10 ** 9)))
        message.nanos = sign * rng.choice((0, 1, 1000, 500000000, 999999999, rng.randint(0, 999999999)))
    elif name == "google.protobuf.FieldMask":
        message.paths.extend(rng.choice(("a", "foo_bar", "a.b_c.d", "x1")) for _ in range(rng.randrange(3)))
    elif name == "google.protobuf.Any":
        if rng.random() < 0.8:
            inner = rng.choice(("tidewire.test.Tree", "tidewire.test.Numbers", "google.protobuf.Duration",
                                "google.protobuf.Int64Value", "google.protobuf.Struct", "google.protobuf.Any"))
            message.Pack(new_message(inner, depth + 1), deterministic=True)
    elif name == "google.protobuf.Struct":
        for _ in range(rng.randrange(3)): fill(message.fields[pick_text()], depth + 1)
    elif name == "google.protobuf.ListValue":
        for _ in range(rng.randrange(3)): fill(message.values.add(), depth + 1)
    elif name == "google.protobuf.Value":
        kind = rng.randrange(4 if depth > 6 else 6)
        if kind == 0: message.null_value = 0
        elif kind == 1: message.number_value = rng.choice((0.0, -1.5, 1e300, 12.0))
        elif kind == 2: message.string_value = pick_text()
        elif kind == 3: message.bool_value = rng.random() < 0.5
        elif kind == 4: fill(message.struct_value, depth + 1), message.struct_value.SetInParent()
        else: fill(message.list_value, depth + 1), message.list_value.SetInParent()
    else:
        return False
    return True


def fill_map(message, field, depth):
    key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
    for _ in range(rng.randrange(4)):
        entries = getattr(message, field.name)
        if value.message_type: fill(entries[pick_scalar(key)], depth + 1)
        else: entries[pick_scalar(key)] = pick_scalar(value)


def fill(message, depth=0):
    if fill_known(message, depth): return message
    chance = 0.3 if depth == 0 else 0.12 if depth < 4 else 0.0
    for field in message.DESCRIPTOR.fields:
        if field.name == "repeated_null_value": continue  # the oracle does not take back what it writes
        is_required = field.label == field.LABEL_REQUIRED
        if not is_required and rng.random() > chance: continue
        is_message = field.message_type is not None
        if is_message and field.message_type.GetOptions().map_entry: fill_map(message, field, depth)
        elif field.label == field.LABEL_REPEATED:
            for _ in range(rng.randrange(1, 5)):
                if is_message: fill(getattr(message, field.name).add(), depth + 1)
                else: getattr(message, field.name).append(pick_scalar(field))
        elif is_message:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), depth + 1)
        else: setattr(message, field.name, pick_scalar(field))
    return message


def load():
    set_file = tempfile.NamedTemporaryFile(suffix=".pb")
    subprocess.run(["protoc", "--include_imports", "--descriptor_set_out=" + set_file.name, "-Itests/proto"] + FILES,
                   check=True)
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(set_file.read()).file: pool.Add(file)
    return set_file, pool, message_factory.MessageFactory(pool)


set_file, pool, factory = load()


def class_of(name): return factory.GetPrototype(pool.FindMessageTypeByName(name))
def new_message(name, depth=0): return fill(class_of(name)(), depth)


def ask(requests):
    lines = "".join("%s %s %s\n" % (verb, name, data.hex()) for verb, name, data in requests)
    done = subprocess.run([PIPE, set_file.name], input=lines.encode(), stdout=subprocess.PIPE, check=True, timeout=120)
    answers = done.stdout.decode("utf-8", "replace").split("\n")[:-1]
    assert len(answers) == len(requests), "%d answers to %d requests" % (len(answers), len(requests))
    return [(bytes.fromhex(a[2:]), None) if a[0] == "=" else (None, a[2:]) for a in answers]


def messages_in(message):
    for field, value in message.ListFields():
        if field.message_type is None: continue
        if field.label != field.LABEL_REPEATED: yield value
        elif not field.message_type.GetOptions().map_entry: yield from value
        elif field.message_type.fields_by_name["value"].message_type: yield from value.values()


def settle(message):
    """Bytes inside an Any may have their maps in any order: puts them into one order."""
    for inner in messages_in(message): settle(inner)
    if message.DESCRIPTOR.full_name == "google.protobuf.Any" and message.type_url:
        inner = class_of(message.TypeName()).FromString(message.value)
        settle(inner)
        message.value = inner.SerializeToString(deterministic=True)


def canonical(message):
    settle(message)
    return message.SerializeToString(deterministic=True)


def same_tree(a, b):
    """JSON that means the same: numbers by value."""
    if isinstance(a, dict): return isinstance(b, dict) and a.keys() == b.keys() and all(same_tree(a[k], b[k]) for k in a)
    if isinstance(a, list): return isinstance(b, list) and len(a) == len(b) and all(map(same_tree, a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)) and not isinstance(a, bool):
        return a == b and math.copysign(1, a) == math.copysign(1, b) or (a == 0 == b)
    return type(a) is type(b) and a == b


def oracle_json(message): return json_format.MessageToJson(message, indent=None, descriptor_pool=pool)


def oracle_read(name, text):
    """Raises json_format.ParseError, and whatever else it stumbles over."""
    message = class_of(name)()
    return json_format.Parse(text, message, descriptor_pool=pool)


failures = 0


def fail(what, name, *details):
    global failures
    failures += 1
    if failures <= 3: print("%s (%s)" % (what, name), *(d[:2000] for d in details), sep="\n    ")


def check_written(names, messages):
    for name, message, (text, reason) in zip(names, messages, ask([("w", n, canonical(m)) for n, m in zip(names, messages)])):
        expected = oracle_json(message)
        if text is None: fail("not written: " + reason, name, expected)
        elif not same_tree(json.loads(text), json.loads(expected)): fail("written differently", name, text.decode(), expected)
        elif canonical(oracle_read(name, text)) != canonical(message): fail("read back differently", name, text.decode(), expected)


def check_read(names, messages):
    texts = [oracle_json(m) for m in messages]
    for name, message, text, (wire, reason) in zip(names, messages, texts, ask([("r", n, t.encode()) for n, t in zip(names, texts)])):
        if wire is None: fail("not read: " + reason, name, text)
        elif canonical(class_of(name).FromString(wire)) != canonical(message): fail("read differently", name, text)


def bend(tree):
    """The tree with one leaf replaced by something else."""
    spare = [None, True, 0, 1, -1, 1.5, "", "1", "1e2", "NaN", "COLOR_RED", [], [1], {}, {"a": 1}, 2 ** 31, 2 ** 63, -2 ** 63, 1e40,
             "AA==", "2024-01-01T00:00:00Z", "1s", "true"]
    if isinstance(tree, dict) and tree and rng.random() < 0.85:
        key = rng.choice(list(tree))
        return {k: bend(v) if k == key else v for k, v in tree.items()}
    if isinstance(tree, list) and tree and rng.random() < 0.85:
        index = rng.randrange(len(tree))
        return [bend(v) if i == index else v for i, v in enumerate(tree)]
    return rng.choice(spare)


def check_bent(names, messages):
    """What both accept of damaged text, they must read alike; returns how many that were."""
    texts = [json.dumps(bend(json.loads(oracle_json(m)))) for m in messages]
    both = refused = 0
    for name, text, (wire, reason) in zip(names, texts, ask([("r", n, t.encode()) for n, t in zip(names, texts)])):
        try: expected = oracle_read(name, text)
        except (json_format.ParseError, ValueError, TypeError, AttributeError, KeyError): expected = None
        if wire is None: refused += expected is None
        elif expected is not None:
            both += 1
            if canonical(class_of(name).FromString(wire)) != canonical(expected): fail("bent text read differently", name, text)
    return both, refused


def check_mutated_wire(names, messages):
    """Damaged bytes that the oracle takes and that have a JSON form mean the same to both."""
    mutants = []
    for name, message in zip(names, messages):
        wire = bytearray(canonical(message))
        for _ in range(rng.randrange(1, 4)):
            if wire: wire[rng.randrange(len(wire))] = rng.randrange(256)
        mutants.append((name, bytes(wire) + bytes(wire) * (rng.random() < 0.3)))
    both = 0
    answers = ask([("w", n, w) for n, w in mutants])
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where the oracle complains of each
    for (name, wire), (text, reason) in zip(mutants, answers):
        try: expected = json.loads(oracle_json(class_of(name).FromString(wire)))
        except Exception: continue  # whatever it stumbles over, there is nothing to compare with
        if text is None: continue
        both += 1
        text = json.loads(text)
        # Of entries whose enum value is unknown, this form of the oracle keeps the key; generated C++ keeps none.
        if name == "tidewire.test2.Groups": text.pop("closedMap", None), expected.pop("closedMap", None)
        if not same_tree(text, expected): fail("damaged bytes written differently", name, wire.hex(), json.dumps(text), json.dumps(expected))
    return both


def main():
    names = [rng.choice(TYPES) for _ in range(MESSAGES)]
    messages = [new_message(name) for name in names]
    check_written(names, messages)
    check_read(names, messages)
    both, refused = check_bent(names, messages)
    damaged = check_mutated_wire(names, messages)
    print("%d messages each way; bent text: %d read alike, %d refused alike; damaged bytes: %d written alike; %d failures" %
          (MESSAGES, both, refused, damaged, failures))
    # A comparison that compares nothing is a failure too.
    sys.exit(failures > 0 or both < MESSAGES // 20 or refused < MESSAGES // 20 or damaged < MESSAGES // 20)


main()
