"""Whatever the operator compiles, the contract loads, and pods can make tables and filters of it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from paquebot_mta.filter.build import build_filters
from paquebot_mta.table.open import build_tables
from paquebot_operator.api.decode import ObjectError, decode
from tests.mta.filter.asked import World
from tests.operator.builders import API, Json, compiled, domain, metadata, service, table

_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1, max_size=8)
_WORDS = st.one_of(
    _TEXT,
    st.sampled_from(
        ("a", "A", "bob", "x@*.test", "*." * 9 + "x", "[2001:db8::]/32", "192.0.2.0/24", "local", "^(a|b)*$", "x:99999")
    ),
)
_TARGETS = st.lists(st.one_of(_WORDS, _TEXT.map(lambda text: f"error:550 No {text}")), min_size=1, max_size=3)
_DELIVERIES = st.one_of(
    st.builds(lambda text: {"maildir": {"path": f"/mail/{text}/%{{user}}"}}, _TEXT),
    st.builds(lambda text: {"lmtp": {"destination": text}}, st.one_of(_WORDS, st.just("box.test:24"))),
    st.just({"discard": {}}),
)
_SPECS = st.fixed_dictionaries(
    {},
    optional={
        "delivery": _DELIVERIES,
        "catchAll": _TARGETS,
        "aliases": _TARGETS.map(lambda targets: [{"name": "gone", "targets": targets}]),
        "mailboxes": st.lists(_WORDS, max_size=3),
        "filterRefs": st.just([{"name": "asked"}]),
        "aliasTableRef": st.just({"name": "held"}),
    },
)
_SERVICES = ("alias", "domain", "netaddr", "mailaddr", "credentials", "regex")
_TABLES = st.builds(
    lambda services, mode, keys: table("held", *services, matchMode=mode, inline={"keys": keys}),
    st.lists(st.sampled_from(_SERVICES), min_size=1, max_size=2),
    st.sampled_from(("Exact", "Wildcard", "Regex", "Network")),
    st.lists(_WORDS, max_size=3),
)
_PATTERNS = st.builds(
    lambda values, regex: {"values": values, "regex": regex}, st.lists(_WORDS, min_size=1, max_size=3), st.booleans()
)
_FILTERS = st.one_of(
    st.builds(
        lambda subject, pattern, action: {
            "builtin": {"phase": "RcptTo", "when": {"all": [{subject: pattern}]}, "action": action}
        },
        st.sampled_from(("rdns", "src", "helo", "mailFrom", "rcptTo")),
        _PATTERNS,
        st.one_of(st.just({"junk": {}}), _TEXT.map(lambda text: {"rewrite": {"value": text}})),
    ),
    _WORDS.map(lambda text: {"milter": {"address": text}}),
    st.sampled_from(("x", "x:99999", "[::1", ":6379", "x/0?a=b")).map(
        lambda text: {"greylist": {"store": f"redis://{text}"}}
    ),
    st.sampled_from(("127.0.0.2", "127.0.0.999", "127.0.0.1/0", "192.0.2.1")).map(
        lambda code: {"dnsbl": {"lists": [{"zone": "z.test", "codes": [code]}]}}
    ),
)


def valid(*documents: Json) -> list[Json]:
    """Those that the API server would take."""
    found = []
    for document in documents:
        try:
            decode(document)
        except ObjectError:
            continue
        found.append(document)
    return found


@settings(max_examples=150, deadline=None)
@given(_SPECS, _TABLES, _FILTERS)
def test_what_is_compiled_can_be_loaded_and_made(spec: dict[str, Any], held: Json, kind: Json) -> None:
    asked = {"apiVersion": API, "kind": "MailFilter", "metadata": metadata("asked"), "spec": kind}
    tenants = valid(domain("bad", domain="bad.test", **spec), held, asked)
    result = compiled(service(), domain("good", domain="good.test"), *tenants)
    assert result.config is not None
    assert "good.test" in result.config.domains
    assert not [each for each in result.conditions if (each.kind, each.severity) == ("MailService", "Error")]
    tables = build_tables(result.config.tables)
    build_filters(result.config, World(tables=tables).tools, {})
