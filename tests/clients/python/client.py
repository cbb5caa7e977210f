"""The ordinary in-cluster program that a user would write with Kubernetes' Python client.

tests/clients/README.md says what it is asked to do.
"""

import argparse
import hashlib
import json
import sys
import threading
import time

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.informer import ADDED, DELETED, ERROR, MODIFIED, SharedInformer
from kubernetes.stream import stream

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/"

printing = threading.Lock()


def report(**line):
    """Prints a line."""
    with printing:
        print(json.dumps(line), flush=True)


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def namespace():
    with open(SERVICE_ACCOUNT + "namespace") as file:
        return file.read().strip()


def crud(_):
    """A ConfigMap's life."""
    api, here = client.CoreV1Api(), namespace()

    new = client.V1ConfigMap(
        metadata=client.V1ObjectMeta(generate_name="crud-", labels={"made-by": "crud"}),
        data={"step": "create"},
    )
    created = api.create_namespaced_config_map(here, new)
    name = created.metadata.name
    check(name.startswith("crud-") and created.data == new.data, f"create: {created}")
    report(step="create")

    got = api.read_namespaced_config_map(name, here)
    check(got == created, f"get: {got} isn't what was created")
    report(step="get")

    listed = api.list_namespaced_config_map(here, label_selector="made-by=crud")
    found = [item for item in listed.items if item.metadata.name == name]
    check([item.data for item in found] == [new.data], f"list: {name} isn't in it")
    report(step="list")

    got.data = {"step": "update"}
    updated = api.replace_namespaced_config_map(name, here, got)
    check(
        updated.data == got.data
        and updated.metadata.resource_version != created.metadata.resource_version,
        f"update: {updated}",
    )
    report(step="update")

    patched = api.patch_namespaced_config_map(name, here, {"data": {"patched": "yes"}})
    check(patched.data == {"step": "update", "patched": "yes"}, f"patch: {patched}")
    report(step="patch")

    api.delete_namespaced_config_map(name, here)
    try:
        api.read_namespaced_config_map(name, here)
        raise AssertionError(f"delete: {name} is still there")
    except ApiException as error:
        check(error.status == 404, f"get after delete: {error}")
    report(step="delete")
    return {"steps": 6}


def watch(arguments):
    """Follows ConfigMaps by the client's informer."""
    lock = threading.Lock()
    count = {"events": 0, "errors": 0, "last_error": None}

    def seen(event):
        def handle(config_map):
            with lock:
                count["events"] += 1
            metadata = config_map.metadata
            report(event=event, name=metadata.name, resource_version=metadata.resource_version)

        return handle

    def failed(error):
        # The API server forgets old versions: the informer lists anew.
        if getattr(error, "status", None) == 410:
            return
        with lock:
            count["errors"] += 1
            count["last_error"] = str(error)

    informer = SharedInformer(client.CoreV1Api().list_namespaced_config_map, namespace=namespace())
    informer.add_event_handler(ADDED, seen("applied"))
    informer.add_event_handler(MODIFIED, seen("applied"))
    informer.add_event_handler(DELETED, seen("deleted"))
    informer.add_event_handler(ERROR, failed)
    informer.start()
    begun = time.monotonic()
    for second in range(1, arguments.seconds + 1):
        time.sleep(max(0, begun + second - time.monotonic()))
        with lock:
            report(second=second, events=count["events"], errors=count["errors"])
    with lock:
        answer = dict(count)
    # It cuts its connection, and then reports that as an error.
    informer.stop()
    check(answer["events"] > 0, f"nothing was seen: {answer}")
    return answer


def execute(pod, command, stdin=None):
    """What the command prints, and its exit code."""
    session = stream(
        client.CoreV1Api().connect_get_namespaced_pod_exec,
        pod,
        namespace(),
        command=command,
        stdin=stdin is not None,
        stdout=True,
        stderr=False,
        tty=False,
        _preload_content=False,
    )
    if stdin is not None:
        session.write_stdin(stdin)
        session.close_channel(0)
    session.run_forever(timeout=60)
    check(not session.is_open(), f"{command} takes longer than a minute")
    return session.read_channel(1), session.returncode


def run_commands(arguments):
    """Commands in another pod."""
    output, code = execute(arguments.pod, ["echo", "hello"])
    check((output, code) == ("hello\n", 0), f"echo: {output!r}, exit code {code}")
    report(step="echo")

    text = "".join(f"line {n}\n" for n in range(5000))
    output, code = execute(arguments.pod, ["cat"], stdin=text)
    check(
        (output, code) == (text, 0), f"cat: {len(output)} of {len(text)} characters, exit code {code}"
    )
    report(step="cat")

    _, code = execute(arguments.pod, ["sh", "-c", "exit 3"])
    check(code == 3, f"exit: exit code {code} in place of 3")
    report(step="exit")
    return {"steps": 3}


def who_am_i(_):
    review = client.AuthenticationV1Api().create_self_subject_review(client.V1SelfSubjectReview())
    user = review.status.user_info
    return {"username": user.username, "groups": user.groups}


def get_repeatedly(arguments):
    api, here = client.CoreV1Api(), namespace()
    summary = {"requests": 0, "failures": 0, "last_error": None}
    end = time.monotonic() + arguments.seconds
    last = None
    while time.monotonic() < end:
        time.sleep(0.1)
        summary["requests"] += 1
        try:
            api.read_namespaced_config_map("kube-root-ca.crt", here)
            last = None
        except Exception as error:  # whatever the libraries below raise
            last = error
            summary["failures"] += 1
            summary["last_error"] = str(error)
    report(**summary)
    check(last is None, f"the last request failed: {last}")
    return summary


def read_token(_):
    try:
        with open(SERVICE_ACCOUNT + "token", "rb") as file:
            token = file.read()
    except OSError as error:
        return {"readable": False, "reason": str(error)}
    return {
        "readable": True,
        "prefix_sha256": hashlib.sha256(token[:12]).hexdigest(),
        "fingerprint": hashlib.sha256(token).hexdigest()[:12],
    }


def main():
    parser = argparse.ArgumentParser(description="An ordinary in-cluster client.")
    commands = parser.add_subparsers(required=True)
    for name, function, options in [
        ("crud", crud, []),
        ("watch", watch, [("--seconds", int)]),
        ("exec", run_commands, [("--pod", str)]),
        ("whoami", who_am_i, []),
        ("loop", get_repeatedly, [("--seconds", int)]),
        ("read-token", read_token, []),
    ]:
        command = commands.add_parser(name)
        command.set_defaults(function=function)
        for option, kind in options:
            command.add_argument(option, type=kind, required=True)
    arguments = parser.parse_args()
    try:
        if arguments.function is not read_token:
            config.load_incluster_config()
        answer = arguments.function(arguments)
    except Exception as error:  # the last line says it, whatever it is
        report(ok=False, error=f"{type(error).__name__}: {error}")
        return 1
    report(**answer, ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
