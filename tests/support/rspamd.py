"""rspamd with a configuration of the test's own: one worker on loopback, no DNS, no rules but those below.

A message says itself what rspamd shall think of it: `X-Words: ACTION` is done as it stands there, `X-Points: N` is a
score (6 adds a header, 10 rewrites the subject, 15 refuses). `X-Told` says what rspamd was told. With a key, messages
from `SIGNED` are signed by its selector `s`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import LOOPBACK, PeerProcess, find_program, free_port

SIGNED = "example.test"
SELECTOR = "s"
PLUGINS = Path("/usr/share/rspamd/plugins")

_CONFIGURATION = """
options {{
    pidfile = "{folder}/rspamd.pid"; tempdir = "{folder}"; hs_cache_dir = "{folder}"; url_tld = "{folder}/tld";
    control_socket = "{folder}/control.sock mode=0600"; filters = "dkim"; gtube_patterns = "all"; local_addrs = [];
    dns {{ nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }}
}}
logging {{ type = "console"; level = "notice"; }}
worker "normal" {{ bind_socket = "{host}:{port}"; count = 1; mime = true; }}
actions {{ add_header = 6; "rewrite subject" = 10; quarantine = 13; discard = 14; reject = 15; }}
lua = "{folder}/rules.lua";
dkim {{ }}
dkim_signing {{
    path = "{key}"; selector = "{selector}"; use_domain = "header"; check_pubkey = false; sign_authenticated = true;
    sign_local = true; allow_username_mismatch = true; allow_hdrfrom_mismatch = true; use_esld = false;
}}
milter_headers {{ use = ["x-spamd-bar"]; }}
modules {{ path = "{plugins}/milter_headers.lua"; {signing} }}
"""
_RULES = """
rspamd_config:register_symbol({ name = "OWN_WORDS", type = "prefilter", callback = function(task)
  local words = task:get_header("X-Words")
  if words then task:set_pre_result(words, "because of " .. words, "own") end
end })
rspamd_config:register_symbol({ name = "OWN_POINTS", type = "normal", score = 1.0, callback = function(task)
  local points = tonumber(task:get_header("X-Points") or "0")
  if points > 0 then task:insert_result("OWN_POINTS", points) end
end })
rspamd_config:register_symbol({ name = "OWN_TOLD", type = "postfilter", callback = function(task)
  local told = {}
  for _, each in ipairs(task:get_recipients("smtp") or {}) do told[#told + 1] = each.addr end
  local from = (task:get_from("smtp") or {{}})[1]
  told[#told + 1] = from and from.addr
  for _, each in ipairs({task:get_from_ip(), task:get_helo() or "-", task:get_user() or "-", task:get_queue_id(),
      task:get_request_header("MTA-Tag") or "-", task:get_hostname() or "-"}) do told[#told + 1] = tostring(each) end
  task:set_milter_reply({ add_headers = {["X-Told"] = table.concat(told, " ")}, remove_headers = {["X-Points"] = 0} })
end })
"""


@contextmanager
def running_rspamd(folder: Path, key: Path | None = None) -> Iterator[str]:
    """Run an rspamd in `folder` until the end of the block; the value is its URL. `key` is a private one for DKIM."""
    port = free_port()
    text = _CONFIGURATION.format(
        folder=folder,
        host=LOOPBACK,
        port=port,
        key=key or "",
        selector=SELECTOR,
        plugins=PLUGINS,
        signing=f'path = "{PLUGINS}/dkim_signing.lua";' if key else "",
    )
    (folder / "rspamd.conf").write_text(text)
    (folder / "rules.lua").write_text(_RULES)
    (folder / "tld").write_text("test\ncom\n")
    argv = [find_program("rspamd"), "-f", "-i", "-u", "root", "-g", "root", "-c", str(folder / "rspamd.conf")]
    with PeerProcess(argv, folder / "rspamd.log") as process:
        process.wait_for_port(port, timeout_seconds=60.0)
        yield f"http://{LOOPBACK}:{port}"
