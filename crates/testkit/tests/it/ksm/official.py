"""The official Keeper Secrets Manager SDK, unmodified, against the test kit's server.

usage: official.py SCENARIO < INPUT.json

Prints what the caller is to look up in the vault, as JSON. Ends with 1 and a traceback if something isn't as it should be.
"""

import json
import os
import sys
import tempfile

import requests
from keeper_secrets_manager_core import SecretsManager
from keeper_secrets_manager_core import core
from keeper_secrets_manager_core.crypto import CryptoUtils
from keeper_secrets_manager_core.dto.dtos import KeeperFileUpload, RecordCreate, RecordField
from keeper_secrets_manager_core.dto.payload import CreateOptions, QueryOptions, UpdateOptions
from keeper_secrets_manager_core.exceptions import KeeperError, KeeperThrottleError
from keeper_secrets_manager_core.storage import InMemoryKeyValueStorage
from keeper_secrets_manager_core.utils import bytes_to_base64


def bound(given):
    return SecretsManager(config=InMemoryKeyValueStorage(given["config"]))


def refused(what, action, kind=KeeperError):
    try:
        action()
    except kind as error:
        assert what in str(error), f"refused for another reason: {error}"
        return
    raise AssertionError(f"this should have been refused: {what}")


def with_token(given, storage):
    return SecretsManager(
        token=given["token"],
        hostname=given["host"],
        config=storage,
        server_public_key=given["key"],
        server_public_key_id=given["key_id"],
    )


def bind(given):
    storage = InMemoryKeyValueStorage()
    manager = with_token(given, storage)
    response = manager.get_secrets(full_response=True)
    assert [record.uid for record in response.records] == [given["uid"]]
    assert response.appData.title == "mk8s tests"
    assert response.appData.app_type == "app"
    # What the first reply brought is kept, and enough from now on.
    for key in ("appKey", "appOwnerPublicKey", "clientId", "privateKey"):
        assert storage.get(core.ConfigKeys.get_enum(key)), key
    assert manager.get_secrets()[0].title == "database"
    # The token is used up, for whoever else has it.
    refused("access_denied", with_token(given, InMemoryKeyValueStorage()).get_secrets)
    refused("access_denied", with_token(dict(given, token="A" * 43), InMemoryKeyValueStorage()).get_secrets)


def read(given):
    manager = bound(given)
    records = manager.get_secrets()
    assert len(records) == 4, records
    one, = manager.get_secrets([given["direct"]])
    assert (one.title, one.type, one.password) == ("database", "login", given["password"])
    assert one.revision == 1 and one.is_editable
    assert one.field("login", single=True) == "app"
    assert one.custom_field("port", single=True) == "5432"
    assert one.get_custom_field_value("Hosts") == [{"hostName": "a.example", "port": "1"}]
    assert one.dict["notes"] == "läßt grüßen\nzweite Zeile"
    assert one.folder_uid == "" and one.inner_folder_uid is None
    assert manager.get_secrets(["nothing"]) == []

    shared = manager.get_secrets([given["in_folder"]])[0]
    assert shared.folder_uid == given["folder"] and shared.inner_folder_uid is None
    inner = manager.get_secrets([given["in_subfolder"]])[0]
    assert inner.folder_uid == given["folder"] and inner.inner_folder_uid == given["subfolder"]
    some = manager.get_secrets_with_options(QueryOptions(None, [given["folder"]]))
    assert {record.uid for record in some} == {given["in_folder"], given["in_subfolder"]}

    assert len(manager.get_secrets_by_title("twice")) == 2
    assert manager.get_secret_by_title("database").uid == given["direct"]
    assert manager.get_secret_by_title("nothing") is None

    uid = given["direct"]
    for notation, value in {
        f"{uid}/field/password": given["password"],
        f"keeper://{uid}/field/login": "app",
        f"keeper://{uid}/custom_field/port": "5432",
        f"keeper://{uid}/custom_field/Hosts[hostName]": "a.example",
        f"keeper://{uid}/title": "database",
        f"keeper://{uid}/type": "login",
        f"keeper://{uid}/notes": "läßt grüßen\nzweite Zeile",
        "keeper://database/field/login": "app",
    }.items():
        assert manager.get_notation(notation) == value, notation
    refused("multiple records", lambda: manager.get_notation("keeper://twice/field/login"), Exception)
    refused("Cannot find", lambda: manager.get_notation(f"{uid}/field/nothing"), ValueError)

    warned = manager.get_secrets(full_response=True)
    assert warned.warnings == ["this is a test"]


def damaged(given):
    response = bound(given).get_secrets(full_response=True)
    assert [record.uid for record in response.records] == [given["good"]]
    assert {bad["r"]["recordUid"] for bad in response.bad_records} == set(given["bad"])


def files(given):
    manager = bound(given)
    record, = manager.get_secrets()
    content = bytes(given["content"])
    file = record.find_file_by_title("key.bin")
    assert (file.name, file.size, file.type) == ("key.bin", len(content), "application/octet-stream")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "key.bin")
        record.download_file_by_title("key.bin", path)
        with open(path, "rb") as saved:
            assert saved.read() == content
    assert manager.get_notation(f"keeper://{record.uid}/file/key.bin") == content
    assert requests.get(file.f["url"] + "x").status_code == 404

    upload = KeeperFileUpload(name="up.bin", title="Up", mime_type="text/plain", data=content[::-1])
    uid = manager.upload_file(record, upload)
    record, = manager.get_secrets()
    uploaded = record.find_file_by_title("Up")
    assert uploaded.f["fileUid"] == uid and uploaded.type == "text/plain"
    assert uploaded.get_file_data() == content[::-1]
    assert uid in record.get_standard_field_value("fileRef")

    gone = record.find_file_by_title("key.bin").f["fileUid"]
    manager.save_with_options(record, UpdateOptions(None, [gone]))
    record, = manager.get_secrets()
    assert [left.name for left in record.files] == ["up.bin"]


def write(given):
    manager = bound(given)
    record, = manager.get_secrets([given["uid"]])
    record.set_standard_field_value("password", "changed")
    record.add_custom_field(field_type="text", label="new", value="yes")
    manager.save(record)
    refused("out_of_sync", lambda: manager.save(record))

    record, = manager.get_secrets([given["uid"]])
    assert record.password == "changed" and record.revision == 2
    record.set_standard_field_value("password", "rotated")
    manager.save(record, transaction_type="rotation")
    manager.complete_transaction(record.uid, rollback=True)
    record, = manager.get_secrets([given["uid"]])
    assert record.password == "changed"
    record.set_standard_field_value("password", "rotated")
    manager.save(record, transaction_type="rotation")
    manager.complete_transaction(record.uid)
    refused("awaits its end", lambda: manager.complete_transaction(record.uid))

    readonly, = manager.get_secrets([given["readonly"]])
    assert not readonly.is_editable
    refused("read only", lambda: manager.save(readonly))

    new = RecordCreate("login", "made by a client")
    new.fields = [RecordField("login", "me"), RecordField("password", "made up")]
    new.notes = "note"
    created = manager.create_secret(given["folder"], new)
    inner = manager.create_secret_with_options(CreateOptions(given["folder"], given["subfolder"]), new)
    found = {record.uid: record for record in manager.get_secrets([created, inner])}
    assert found[created].password == "made up"
    assert found[inner].inner_folder_uid == given["subfolder"]

    deleted = manager.delete_secret([given["doomed"], "A" * 22])
    assert [answer["responseCode"] for answer in deleted] == ["ok", "not_found"], deleted
    assert manager.get_secrets([given["doomed"]]) == []
    print(json.dumps({"created": created, "inner": inner}))


def folders(given):
    manager = bound(given)
    tree = {folder.folder_uid: folder for folder in manager.get_folders()}
    named = {uid: (folder.name, folder.parent_uid) for uid, folder in tree.items()}
    assert named == {
        given["top"]: ("top", ""),
        given["middle"]: ("middle", given["top"]),
        given["bottom"]: ("bottom", given["middle"]),
    }, named
    child = manager.create_folder(CreateOptions(given["top"], given["middle"]), "chïld")
    other = manager.create_folder(CreateOptions(given["top"], None), "other")
    manager.update_folder(given["bottom"], "renamed")
    named = {folder.folder_uid: (folder.name, folder.parent_uid) for folder in manager.get_folders()}
    assert named[child] == ("chïld", given["middle"])
    assert named[other] == ("other", given["top"])
    assert named[given["bottom"]] == ("renamed", given["middle"])
    answers = manager.delete_folder([other, given["middle"]])
    assert [answer["responseCode"] for answer in answers] == ["ok", "not_empty"], answers
    answers = manager.delete_folder(given["middle"], force_deletion=True)
    assert [answer["responseCode"] for answer in answers] == ["ok"], answers
    assert [folder.folder_uid for folder in manager.get_folders()] == [given["top"]]


def rotated(given):
    """The server has a new key. The SDK's own table of keys is data; here it has this server's."""
    core.keeper_public_keys.update(given["keys"])
    config = json.loads(given["old"])
    assert config["serverPublicKeyId"] == "10" != given["key_id"]
    del config["serverPublicKey"]
    storage = InMemoryKeyValueStorage(json.dumps(config))
    assert len(SecretsManager(config=storage).get_secrets()) == 1
    assert storage.get(core.ConfigKeys.KEY_SERVER_PUBLIC_KEY_ID) == given["key_id"]


def asked_again(given):
    """The key is asked for once more, or the client throttled for a while: the SDK asks again by itself."""
    assert len(bound(given).get_secrets()) == 1


def throttled(given):
    refused("throttled", bound(given).get_secrets, KeeperThrottleError)


def foreign_signature(given):
    config = json.loads(given["config"])
    config["privateKey"] = bytes_to_base64(CryptoUtils.generate_private_key_der())
    refused("Signature is invalid", bound({"config": json.dumps(config)}).get_secrets)


def broken(given):
    """However the server fails, the SDK says so."""
    refused(given["error"], bound(given).get_secrets, Exception)


def untrusted(given):
    os.environ.pop("REQUESTS_CA_BUNDLE")
    refused("CERTIFICATE_VERIFY_FAILED", bound(given).get_secrets, requests.exceptions.SSLError)


SCENARIOS = (
    bind, read, damaged, files, write, folders, rotated, asked_again, throttled, foreign_signature, broken, untrusted,
)

if __name__ == "__main__":
    scenario = {action.__name__: action for action in SCENARIOS}[sys.argv[1]]
    scenario(json.load(sys.stdin))
