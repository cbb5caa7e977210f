//! Which names promise a secret.

/// What the names of secrets have in them, in lower case and without separators.
const WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "accountkey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "clientkey",
    "masterkey",
    "sharedkey",
    "sessionkey",
    "hostkey",
    "sshkey",
    "authkey",
    "appkey",
    "licensekey",
    "tlskey",
    "keydata",
    "credential",
    "connectionstring",
    "connstr",
    "authorization",
    "cookie",
    "keyring",
    "jwt",
    "bearer",
    "dockerconfig",
    "dockercfg",
    "clientcertificatedata",
    "htpasswd",
    "requirepass",
    "masterauth",
    "userpass",
    "signature",
    "webhookurl",
];

/// Names that are secrets' as they are, and of others only a part.
const WHOLE: &[&str] = &[
    "auth", "pass", "pin", "sig", "dsn", "pat", "otp", "creds", "psk", "pw", "key.pem", "tls.key", "id_rsa",
];

/// Whatever ends so tells about a secret, or where it is.
const ABOUT: &[&str] = &[
    "name",
    "names",
    "ref",
    "refs",
    "reference",
    "selector",
    "file",
    "files",
    "filename",
    "path",
    "paths",
    "dir",
    "directory",
    "mount",
    "namespace",
    "namespaces",
    "type",
    "kind",
    "expiry",
    "expires",
    "expiration",
    "expiresin",
    "ttl",
    "seconds",
    "minutes",
    "at",
    "time",
    "timeout",
    "timestamp",
    "count",
    "length",
    "size",
    "limit",
    "policy",
    "uri",
    "endpoint",
    "issuer",
    "audience",
    "audiences",
    "method",
    "mode",
    "enabled",
    "disabled",
    "version",
    "store",
    "provider",
    "class",
    "status",
    "required",
    "rotation",
    "format",
    "template",
    "review",
    "lookup",
    "manager",
    "controller",
    "operator",
    "webhook",
    "server",
    "service",
    "host",
    "port",
    "annotation",
    "label",
    "algorithm",
    "algorithms",
    "generator",
    "bucket",
    "driver",
    "csi",
    "changed",
    "failed",
    "found",
    "errors",
    "total",
    "requests",
    "duration",
    "encoding",
];

/// Keys within a map of secrets that say which secret is meant.
const REFERENCE: &[&str] = &[
    "name",
    "key",
    "namespace",
    "kind",
    "apiVersion",
    "apiGroup",
    "group",
    "type",
    "path",
    "property",
    "version",
    "mountPath",
    "provider",
    "store",
    "source",
    "region",
    "optional",
    "description",
    "format",
    "role",
    "issuer",
    "audience",
    "engine",
];

/// Whether what stands under this name is probably a secret.
pub(crate) fn sensitive(name: &str) -> bool {
    if name.len() > 256 {
        return false;
    }
    let trimmed = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let lower = trimmed.to_ascii_lowercase();
    // What counts of `app.kubernetes.io/db-password` is its end.
    let lower = lower.rsplit('/').next().unwrap_or_default();
    if WHOLE.contains(&lower) {
        return true;
    }
    let last = words(trimmed)
        .last()
        .map(str::to_ascii_lowercase)
        .unwrap_or_default();
    if ABOUT.contains(&last.as_str()) && last != lower {
        return false;
    }
    if matches!(
        last.as_str(),
        "pass" | "pin" | "psk" | "pw" | "pat" | "otp" | "dsn" | "creds"
    ) {
        return true;
    }
    let flat: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    WORDS.iter().any(|word| flat.contains(word))
}

/// Whether it is a password by its name: then a number or a common word is one, too.
pub(crate) fn password(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    sensitive(name) && ["pass", "pwd", "pin"].iter().any(|word| lower.contains(word))
}

/// Whether this key within a map of secrets points to one, and isn't one.
pub(crate) fn reference(key: &str) -> bool {
    REFERENCE.contains(&key)
        || words(key)
            .last()
            .is_some_and(|last| ABOUT.contains(&last.to_ascii_lowercase().as_str()))
}

/// Whether a value can't be a secret, whatever its name: nothing, a placeholder, a mark of somebody who hid it already.
pub(crate) fn harmless(value: &str, is_password: bool) -> bool {
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    if value.is_empty() || value.starts_with("<redacted") || value.starts_with("[hidden") {
        return true;
    }
    let variable = (value.starts_with("$(") && value.ends_with(')'))
        || (value.starts_with("${") && value.ends_with('}') && !value.contains(":-"))
        || (value.starts_with("{{") && value.ends_with("}}"));
    let masked = value.bytes().all(|byte| byte == b'*')
        || matches!(
            lower.as_str(),
            "xxxxx" | "[redacted]" | "(redacted)" | "<none>" | "<nil>" | "<set>" | "<unset>"
        );
    if masked
        || (variable && value[2..].find(['$', '{']).is_none())
        || matches!(
            lower.as_str(),
            "true" | "false" | "null" | "nil" | "none" | "~" | "{}" | "[]" | "\"\"" | "''"
        )
    {
        return true;
    }
    !is_password && value.len() <= 6 && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// The words of a name: `clientSecretName` has three, `client_secret` two.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .flat_map(humps)
        .filter(|word| !word.is_empty())
}

fn humps(word: &str) -> Vec<&str> {
    let bytes = word.as_bytes();
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 1..bytes.len() {
        let hump = bytes[at].is_ascii_uppercase()
            && (bytes[at - 1].is_ascii_lowercase() || bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase));
        if hump {
            parts.push(&word[start..at]);
            start = at;
        }
    }
    parts.push(&word[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_from_names_about_them() {
        for name in [
            "password",
            "DB_PASSWORD",
            "dbPassword",
            "PGPASSWORD",
            "token",
            "AUTH_TOKEN",
            "client-secret",
            "clientSecret",
            "api_key",
            "apiKey",
            "client-key-data",
            "client-certificate-data",
            "AWS_SECRET_ACCESS_KEY",
            "auth",
            "MYSQL_PWD",
            "--password",
            "Set-Cookie",
            "secret_id",
            "db.password",
            "spring.datasource.password",
            "tls.key",
            "SMTP_PASS",
            "example.com/api-token",
            "--token",
        ] {
            assert!(sensitive(name), "{name}");
        }
        for name in [
            "secretName",
            "tokenSecretRef",
            "secretKeyRef",
            "PASSWORD_FILE",
            "tokenExpirationSeconds",
            "token_type",
            "name",
            "author",
            "passive",
            "authority",
            "key",
            "image",
            "spin",
            "imagePullSecretName",
            "secret-namespace",
            "kubernetes.io/hostname",
            "pattern",
            "tokenPath",
        ] {
            assert!(!sensitive(name), "{name}");
        }
    }

    #[test]
    fn placeholders_are_no_secrets() {
        for value in [
            "",
            "true",
            "null",
            "$(DB_PASSWORD)",
            "${TOKEN}",
            "{{ .Values.password }}",
            "****",
            "<redacted>",
            "512",
        ] {
            assert!(harmless(value, false), "{value}");
        }
        for value in ["hunter2", "${TOKEN:-hunter2}", "1234567", "$(echo hunter2) ${X}"] {
            assert!(!harmless(value, false), "{value}");
        }
        assert!(!harmless("1234", true));
    }
}
