"""Valid configurations, drawn at random, and one written by hand."""

from typing import Final

from hypothesis import strategies as st

from paquebot_mta.config.actions import Action, ClientTls, Discard, Lmtp, Maildir, Mbox, Relay, RelayAuth
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.listeners import Listener, ProxyProtocol, ServerAuth, ServerTls
from paquebot_mta.config.rules import Flag, For, From, Match, Pattern, Reject, Rule
from paquebot_mta.config.service import Certificate, Limits, Logging, Queue, ServiceShard
from paquebot_mta.config.tables import Inline, Table

PEM: Final = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
CERTIFICATE: Final = Certificate(chain_pem=PEM, key_pem=PEM)
CREDENTIALS: Final = Table(services=("credentials",), inline=Inline(entries={"alice@example.test": "$2b$04$x"}))
ALIASES: Final = Table(services=("alias",), inline=Inline(entries={"sales": "bob"}))
OUT: Final = Action(relay=Relay(host="smarthost.example.org", auth=RelayAuth(credentials="users", label="out")))
SUBMISSION: Final = Listener(
    name="submission",
    port=5870,
    role="Submission",
    tls=ServerTls(mode="StartTLS", required=True, certificates=("main",)),
    auth=ServerAuth(mode="Required", credentials="users"),
)
SERVICE: Final = ServiceShard(
    name="mail/main",
    hostname="mx.example.test",
    listeners=(Listener(name="mx", port=2525, proxy_protocol=ProxyProtocol(trusted=("192.0.2.0/24",))), SUBMISSION),
    rules=(
        Rule(name="in", match=Match(from_=From(any=True), for_=For(hosted=Flag())), outcome="Domain"),
        Rule(name="out", match=Match(from_=From(auth=Flag()), for_=For(any=True)), outcome="Action", action="out"),
        Rule(
            name="no",
            match=Match(from_=From(any=True), for_=For(domains=Pattern(values=("*.invalid",)))),
            outcome="Reject",
            reject=Reject(code=450, status="4.7.1", text="Not now"),
        ),
    ),
    actions={"out": OUT},
    tables={"users": CREDENTIALS},
    certificates={"main": CERTIFICATE},
)
DOMAIN: Final = Domain(
    name="example.test",
    delivery=Action(maildir=Maildir(path="mail/%{domain}/%{user}")),
    mailboxes=("alice", "bob"),
    aliases={"postmaster": ("alice",), "team": ("alice", "bob"), "gone": ("error:550 left",)},
    alias_table="sales",
)
TABLES: Final = {"sales": ALIASES}

_texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
_locals = _texts.map(str.lower).filter(lambda text: text == text.lower())
_labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
_names = st.lists(_labels, min_size=1, max_size=3).map(".".join)
_actions = st.one_of(
    st.builds(
        Relay, host=_names, port=st.integers(1, 65_535), tls=st.builds(ClientTls, policy=st.just("Required"))
    ).map(lambda relay: Action(relay=relay)),
    st.just(Action(lmtp=Lmtp(destination="unix:/run/lmtp"))),
    _labels.map(lambda path: Action(mbox=Mbox(path=path))),
    st.just(Action(discard=Discard())),
)
_targets = st.lists(_texts.filter(lambda text: "error:" not in text.lower()), min_size=1, max_size=3).map(tuple)
domains: Final = st.builds(
    Domain,
    name=_names,
    delivery=_actions,
    mailboxes=st.lists(_locals, max_size=3).map(tuple),
    aliases=st.dictionaries(_locals, _targets, max_size=3),
    catch_all=_targets,
    delimiter=st.sampled_from(("", "+", "-")),
    accept_any_mailbox=st.booleans(),
)
domain_lists: Final = st.lists(domains, max_size=6, unique_by=lambda domain: domain.name)
_rules = st.builds(
    Rule,
    name=_texts,
    match=st.builds(
        Match,
        from_=st.builds(From, networks=st.builds(Pattern, values=st.just(("192.0.2.0/24", "local")))),
        for_=st.builds(For, domains=st.builds(Pattern, values=_names.map(lambda name: (name,)), negate=st.booleans())),
    ),
    outcome=st.just("Domain"),
)
services: Final = st.builds(
    ServiceShard,
    name=_texts,
    hostname=_names,
    listeners=st.lists(
        st.builds(Listener, name=_texts, tag=_texts), max_size=3, unique_by=lambda listener: listener.name
    ).map(tuple),
    rules=st.lists(_rules, max_size=3, unique_by=lambda rule: rule.name).map(tuple),
    actions=st.dictionaries(_texts, _actions, max_size=3),
    tables=st.just({"users": CREDENTIALS}),
    queue=st.builds(Queue, ttl_seconds=st.integers(1, 2**31)),
    limits=st.builds(Limits, sessions=st.integers(0, 2**31)),
    logging=st.builds(Logging, personal_data=st.sampled_from(("Full", "Pseudonym", "Minimal"))),
)
