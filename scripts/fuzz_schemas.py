"""Random schemas of the kind that frameworks write, with texts that fit and texts that do not.

Prints the form that schema_coverage reads, one JSON object a line: {name, schema, tests}. What is
valid is the word of Python's jsonschema (draft 2020-12, formats asserted).
"""

import copy
import json
import random
import re
import sys
from decimal import Decimal

try:
    import jsonschema
except ImportError as error:
    sys.exit(f"fuzz_schemas: {error}; pip install 'jsonschema[format]'")

# Python's email wants an @ and nothing else, its hostname may end with a dot: what RFC 5321 and
# 1123 say instead. (Its time refuses leap seconds, so there are none here.)
CHECKER = copy.deepcopy(jsonschema.Draft202012Validator.FORMAT_CHECKER)
LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
EMAIL = re.compile(rf"{ATOM}(?:\.{ATOM})*@{LABEL}(?:\.{LABEL})*")


HOSTNAME = re.compile(rf"{LABEL}(?:\.{LABEL})*")


@CHECKER.checks("email")
def is_email(text):
    return not isinstance(text, str) or EMAIL.fullmatch(text) is not None


@CHECKER.checks("hostname")
def is_hostname(text):
    return not isinstance(text, str) or (len(text) < 254 and HOSTNAME.fullmatch(text) is not None)


def multiple_of(validator, step, value, _schema):
    """As decimal numbers: 2.01 is a multiple of 0.01, whatever a double's quotient says."""
    if validator.is_type(value, "number") and Decimal(str(value)) % Decimal(str(step)) != 0:
        yield jsonschema.ValidationError(f"{value} is not a multiple of {step}")


Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"multipleOf": multiple_of})

FORMATS = ["date", "time", "date-time", "uuid", "email", "uri", "ipv4", "ipv6", "hostname", "duration"]
SAMPLES = {
    "date": ["2024-02-29", "2023-02-29", "1999-12-31", "24-1-1", "2024-13-01"],
    "time": ["10:00:00Z", "23:59:59Z", "10:00:00+05:30", "10:00", "25:00:00Z", "10:00:00.123Z"],
    "date-time": ["2024-02-29T10:00:00Z", "2024-02-29 10:00:00Z", "2024-01-01T00:00:00+01:00", "2024-01-01"],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-42661417400G", "x"],
    "email": ["a@b.co", "joe.bloggs@example.com", "@", "a b@c.d", "no-at"],
    "uri": ["https://example.com/a?b#c", "urn:isbn:0451450523", "//example.com", "not a uri", "http://[::1]/"],
    "ipv4": ["127.0.0.1", "256.1.1.1", "1.2.3", "01.2.3.4"],
    "ipv6": ["::1", "fe80::1", "1:2:3:4:5:6:7:8", "12345::", ":::"],
    "hostname": ["example.com", "a-b.c", "-a.b", "a_b", "x" * 64],
    "duration": ["P1D", "PT5M", "P1Y2M3DT4H", "P", "1D", "P2W"],
}
KEYS = ["name", "id", "kind", "items", "a", "b", "x-y", "größe", 'quo"te', "tab\t", "", "type", "0"]
WORDS = ["", "a", "ab", "abc", "hello", "Tokyo", "x1", "A-1", "é", "日本", 'q"q', "back\\slash", "\u0001", "a/b", "😀", "12", "null"]
PATTERNS = ["^[a-z]+$", "^\\d{2,4}$", "a", "^(foo|bar)$", "^[A-Z]{2}-\\d+$", "^.{1,3}$", "^a|b$", "\\.json$",
            "^\\S+$", "[^x]", "^[A-Za-z_-]+$", "^(a|^b)", "^$", "(^x|y)z?$"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.defs = []

    def pick(self, of):
        return self.r.choice(of)

    def chance(self, p):
        return self.r.random() < p

    def number(self):
        return self.pick([0, 1, -1, 2, 3, 5, 7, 10, 42, 100, -7, 1.5, 0.25, -0.5, 2.0, 99.99, 1000000, 0.1])

    def scalar(self):
        return self.pick([None, True, False, self.number(), self.number(), self.pick(WORDS), self.pick(WORDS)])

    def value(self, depth=2):
        kind = self.r.random()
        if depth == 0 or kind < 0.6:
            return self.scalar()
        if kind < 0.8:
            return [self.value(depth - 1) for _ in range(self.r.randrange(4))]
        return {self.pick(KEYS): self.value(depth - 1) for _ in range(self.r.randrange(4))}

    def number_schema(self):
        s = {"type": self.pick(["integer", "number"])}
        if self.chance(0.5):
            s[self.pick(["minimum", "exclusiveMinimum"])] = self.number()
        if self.chance(0.4):
            s[self.pick(["maximum", "exclusiveMaximum"])] = self.number()
        if self.chance(0.25):
            s["multipleOf"] = self.pick([1, 2, 5, 10, 3, 7, 0.5, 0.01, 0.25, 100])
        return s

    def string_schema(self):
        s = {"type": "string"}
        if self.chance(0.3):
            s["minLength"] = self.r.randrange(4)
        if self.chance(0.3):
            s["maxLength"] = self.r.randrange(6)
        if self.chance(0.3):
            s["pattern"] = self.pick(PATTERNS)
        if self.chance(0.25):
            s["format"] = self.pick(FORMATS)
        return s

    def array_schema(self, depth):
        s = {"type": "array"}
        if self.chance(0.8):
            s["items"] = self.schema(depth - 1)
        if self.chance(0.2):
            s["prefixItems"] = [self.schema(depth - 1) for _ in range(self.r.randrange(1, 3))]
            if self.chance(0.4):
                s["items"] = False
        if self.chance(0.3):
            s["minItems"] = self.r.randrange(3)
        if self.chance(0.3):
            s["maxItems"] = self.r.randrange(4)
        if self.chance(0.2):
            s["uniqueItems"] = True
        if self.chance(0.15):
            s["contains"] = self.schema(depth - 1)
            if self.chance(0.4):
                s["minContains"] = self.r.randrange(3)
            if self.chance(0.3):
                s["maxContains"] = self.r.randrange(1, 3)
        if self.chance(0.05):
            s["unevaluatedItems"] = False
        return s

    def object_schema(self, depth):
        keys = self.r.sample(KEYS, self.r.randrange(5))
        s = {"type": "object", "properties": {k: self.schema(depth - 1) for k in keys}}
        if keys and self.chance(0.6):
            s["required"] = self.r.sample(keys, self.r.randrange(len(keys) + 1))
        if self.chance(0.4):
            s["additionalProperties"] = self.pick([False, False, True, self.schema(depth - 1)])
        if self.chance(0.15):
            s["patternProperties"] = {self.pick(["^x-", "^[a-z]$", "e", "\\d"]): self.schema(depth - 1)}
        if self.chance(0.1):
            s["propertyNames"] = self.pick([{"maxLength": 4}, {"pattern": "^[a-z]"}, {"enum": KEYS[:5]}])
        if self.chance(0.15):
            s["minProperties"] = self.r.randrange(3)
        if self.chance(0.15):
            s["maxProperties"] = self.r.randrange(4)
        if self.chance(0.1):
            s["dependentRequired"] = {self.pick(KEYS): [self.pick(KEYS)]}
        if self.chance(0.08):
            s["dependentSchemas"] = {self.pick(KEYS): self.schema(depth - 1)}
        if self.chance(0.05):
            s["unevaluatedProperties"] = self.pick([False, self.schema(depth - 1)])
        if self.chance(0.1):
            s[self.pick(["anyOf", "oneOf"])] = [{"required": [self.pick(KEYS)]} for _ in range(2)]
        return s

    def variants(self, depth):
        """A tagged union, as zod and pydantic write them."""
        out = []
        for word in self.r.sample(["cat", "dog", "fish"], self.r.randrange(2, 4)):
            s = self.object_schema(depth)
            s["properties"]["kind"] = self.pick([{"const": word}, {"enum": [word]}, {"type": "string", "const": word}])
            s["required"] = sorted({*s.get("required", []), "kind"})
            out.append(s)
        return out

    def schema(self, depth):
        kind = self.r.random()
        if depth <= 0:
            kind *= 0.5
        if kind < 0.15:
            s = self.number_schema()
        elif kind < 0.32:
            s = self.string_schema()
        elif kind < 0.36:
            s = {"type": self.pick(["boolean", "null"])}
        elif kind < 0.42:
            s = {"enum": [self.value(1) for _ in range(self.r.randrange(1, 4))]}
        elif kind < 0.45:
            s = {"const": self.value(2)}
        elif kind < 0.48:
            s = {"type": self.r.sample(["string", "null", "integer", "number", "boolean", "array", "object"], 2)}
        elif kind < 0.5:
            s = self.pick([True, {}, {"title": "any"}])
        elif kind < 0.62:
            s = self.array_schema(depth)
        elif kind < 0.8:
            s = self.object_schema(depth)
        elif kind < 0.84:
            s = {"anyOf": [self.schema(depth - 1) for _ in range(self.r.randrange(1, 4))]}
        elif kind < 0.88:
            s = {"oneOf": [self.schema(depth - 1) for _ in range(self.r.randrange(1, 4))]}
        elif kind < 0.9:
            s = {"allOf": [self.schema(depth - 1) for _ in range(self.r.randrange(1, 3))]}
        elif kind < 0.93:
            s = {"oneOf": self.variants(depth - 1), "discriminator": {"propertyName": "kind"}}
        elif kind < 0.95:
            s = {"not": self.schema(depth - 1)}
        elif kind < 0.97:
            s = {"if": self.schema(depth - 1), "then": self.schema(depth - 1)}
            if self.chance(0.5):
                s["else"] = self.schema(depth - 1)
        elif self.defs:
            s = {"$ref": "#/$defs/" + self.pick(self.defs)}
            if self.chance(0.3):
                s["description"] = "a sibling"
        else:
            s = self.object_schema(depth)
        if isinstance(s, dict) and self.chance(0.06):
            s = {"anyOf": [s, {"type": "null"}], "default": None}
        if isinstance(s, dict) and self.chance(0.05) and "type" in s:
            s["not"] = self.schema(0)
        return s

    def root(self):
        self.defs = ["Node", "Leaf"] if self.chance(0.4) else []
        s = self.schema(3)
        if self.defs and isinstance(s, dict):
            tree = self.object_schema(1)
            tree["properties"]["items"] = {"type": "array", "items": {"$ref": "#/$defs/Node"}}
            s = {"$defs": {"Node": tree, "Leaf": self.schema(1)}, **s}
        return s

    # Instances

    def instance(self, s, root, depth=4):
        """A value that likely fits."""
        if isinstance(s, bool) or depth == 0:
            return self.value(1)
        if "$ref" in s:
            return self.instance(root["$defs"][s["$ref"].rsplit("/", 1)[1]], root, depth - 1)
        for word in ("anyOf", "oneOf"):
            if word in s and "properties" not in s:
                return self.instance(self.pick(s[word]), root, depth - 1)
        if "allOf" in s:
            parts = [self.instance(p, root, depth - 1) for p in s["allOf"]]
            if all(isinstance(p, dict) for p in parts):
                return {k: v for p in parts for k, v in p.items()}
            return parts[0]
        if "const" in s:
            return copy.deepcopy(s["const"])
        if "enum" in s:
            return copy.deepcopy(self.pick(s["enum"]))
        if "if" in s:
            return self.instance(s[self.pick(["if", "then"])], root, depth - 1)
        kind = s.get("type", self.pick(["object", "string", "integer"]))
        if isinstance(kind, list):
            kind = self.pick(kind)
        if kind == "null":
            return None
        if kind == "boolean":
            return self.chance(0.5)
        if kind in ("integer", "number"):
            low = s.get("minimum", s.get("exclusiveMinimum"))
            high = s.get("maximum", s.get("exclusiveMaximum"))
            base = low if low is not None else high if high is not None else self.number()
            step = s.get("multipleOf", self.pick([1, 1, 0.5, 0.01]))
            if kind == "integer" and self.chance(0.8):
                return int(base) + self.r.randrange(-1, 3) * max(1, int(step))
            return round(self.pick([base, base + step, base - step, step * self.r.randrange(-3, 9)]), 6)
        if kind == "string":
            if "format" in s and self.chance(0.9):
                return self.pick(SAMPLES[s["format"]])
            if "pattern" in s:
                return self.pick(["a", "abc", "12", "123", "foo", "bar", "AB-1", "x.json", "b", "xz", "yz", "", "zz"])
            return self.pick(WORDS)
        if kind == "array":
            out = [self.instance(p, root, depth - 1) for p in s.get("prefixItems", [])]
            n = self.r.randrange(s.get("minItems", 0), s.get("minItems", 0) + 3)
            while len(out) < min(n, s.get("maxItems", 9)):
                of = s["contains"] if "contains" in s and self.chance(0.5) else s.get("items", True)
                out.append(self.instance(of, root, depth - 1))
            return out
        out = {}
        for key, child in s.get("properties", {}).items():
            if key in s.get("required", []) or self.chance(0.5):
                out[key] = self.instance(child, root, depth - 1)
        if self.chance(0.2):
            key = self.pick(KEYS + ["x-1", "zz", "k9"])
            out[key] = self.value(1)
        if self.chance(0.3):
            items = list(out.items())
            self.r.shuffle(items)
            out = dict(items)
        return out

    def mutated(self, v):
        v = copy.deepcopy(v)
        if isinstance(v, dict) and v and self.chance(0.7):
            key = self.pick(list(v))
            what = self.r.random()
            if what < 0.3:
                del v[key]
            elif what < 0.8:
                v[key] = self.mutated(v[key])
            else:
                v[self.pick(KEYS)] = self.value(1)
            return v
        if isinstance(v, list) and v and self.chance(0.7):
            i = self.r.randrange(len(v))
            what = self.r.random()
            if what < 0.25:
                del v[i]
            elif what < 0.5:
                v.insert(i, copy.deepcopy(self.pick(v)))
            else:
                v[i] = self.mutated(v[i])
            return v
        if isinstance(v, bool) or v is None:
            return self.value(1)
        if isinstance(v, (int, float)):
            return self.pick([v + 1, v - 1, v + 0.5, -v, float(v), self.value(0)])
        if isinstance(v, str) and self.chance(0.7):
            return self.pick([v + "x", v[:-1], v.upper(), v + v, " " + v])
        return self.value(2)


def case(seed, texts):
    maker = Maker(seed)
    while True:
        schema = maker.root()
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
            return {"name": f"fuzz/{seed}", "schema": schema, "tests": tests(maker, schema, texts)}
        except (jsonschema.SchemaError, RecursionError):
            continue


def tests(maker, schema, count):
    validator = Validator(schema, format_checker=CHECKER)
    out, seen = [], set()
    for _ in range(count):
        value = maker.instance(schema, schema)
        for _ in range(maker.r.randrange(3)):
            value = maker.mutated(value)
        text = json.dumps(value, ensure_ascii=False)
        if text not in seen:
            seen.add(text)
            out.append({"valid": validator.is_valid(json.loads(text)), "data": value})
    return out


def main():
    if len(sys.argv) < 3 or not all(argument.isdigit() for argument in sys.argv[1:]):
        sys.exit("usage: fuzz_schemas.py SCHEMAS SEED [TEXTS]")
    count, first = int(sys.argv[1]), int(sys.argv[2])
    texts = int(sys.argv[3]) if len(sys.argv) > 3 else 12
    for i in range(count):
        print(json.dumps(case(first * 1_000_000 + i, texts), ensure_ascii=False))


if __name__ == "__main__":
    main()
