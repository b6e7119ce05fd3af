"""Templates as transformers renders them, for scripts that write what the tests expect.

transformers refuses a template that changes a list or dictionary (`append`, `pop`, `update` ...) or writes a generator as JSON.
Such templates are used elsewhere, so they are rendered here in Jinja's sandbox without those two bans.
"""
import copy
import datetime
import json
import re
import sys
import types

try:
    import jinja2.exceptions
    import jinja2.sandbox
    import transformers
    import transformers.utils.chat_template_utils as utils
except ImportError as error:
    sys.exit(f"jinja_reference: {error}; pip install transformers jinja2")

SECONDS = 1767323045  # 2026-01-02 03:04:05 UTC
VERSION = f"transformers {transformers.__version__}"
CHANGES = re.compile(r"\.(append|clear|extend|insert|pop|remove|reverse|setdefault|update)\(")


class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 2, 3, 4, 5)


utils.datetime = Frozen


def listed(value):
    return value if isinstance(value, (str, dict, list, int, float, type(None), jinja2.Undefined)) else list(value)


def dumps(value, **style):
    return json.dumps(listed(value), **style)


def render(template, messages, tools=None, **more):
    """The text; raises what transformers raises."""

    def rendered():
        texts, _ = utils.render_jinja_template(
            conversations=[copy.deepcopy(messages)], tools=copy.deepcopy(tools), chat_template=template, **copy.deepcopy(more)
        )
        return texts[0]

    try:
        return rendered()
    except (jinja2.exceptions.SecurityError, TypeError) as error:
        if not (CHANGES.search(template) or re.search(r"(generator|dict_\w+) is not JSON serializable", str(error))):
            raise
    strict, json_module = utils.ImmutableSandboxedEnvironment, utils.json
    utils.ImmutableSandboxedEnvironment = jinja2.sandbox.SandboxedEnvironment
    utils.json = types.SimpleNamespace(dumps=dumps)
    try:
        # A template that is compiled is kept.
        utils._compile_jinja_template.cache_clear()
        return rendered()
    finally:
        utils.ImmutableSandboxedEnvironment, utils.json = strict, json_module
        utils._compile_jinja_template.cache_clear()
