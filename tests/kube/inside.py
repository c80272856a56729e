"""What somebody who took an MTA pod over would find: programs that run inside of it and print JSON."""

PROBE = """
import json, os, pathlib
def writable(path):
    try:
        pathlib.Path(path, "probe").write_text("x")
        pathlib.Path(path, "probe").unlink()
        return True
    except OSError:
        return False
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
places = [each.split()[1] for each in open("/proc/mounts")] + ["/", "/etc", "/opt/paquebot", "/var", "/home", "/root"]
print(json.dumps({
    "uid": os.getuid(),
    "capabilities": [status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "seccomp": status["Seccomp"].strip(),
    "token": os.path.exists("/var/run/secrets/kubernetes.io"),
    "writable": sorted({place for place in places if os.path.isdir(place) and writable(place)}),
}))
"""

API_SERVER = """
import json, os, ssl, urllib.error, urllib.request
host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
anyone = ssl._create_unverified_context()
def status(path):
    try:
        return urllib.request.urlopen(f"https://{host}:{port}{path}", timeout=10, context=anyone).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0  # a network policy is in force
paths = ["/api/v1/secrets", "/api/v1/nodes", "/apis/paquebot.dev/v1alpha1/mailservices"]
print(json.dumps({path: status(path) for path in paths}))
"""
