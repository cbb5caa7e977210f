//! Functions that Go or Sprig has and templates here don't.

/// Why there is no function of this name.
pub(super) fn why(name: &str) -> String {
    let reason = match name {
        "ago" | "date" | "date_in_zone" | "date_modify" | "dateInZone" | "dateModify" | "duration"
        | "durationRound" | "htmlDate" | "htmlDateInZone" | "must_date_modify" | "mustDateModify"
        | "mustToDate" | "now" | "toDate" | "unixEpoch" => {
            "it depends on the clock or the time zone, and a template must give the same text every time"
        }
        "randAlpha" | "randAlphaNum" | "randAscii" | "randBytes" | "randInt" | "randNumeric" | "shuffle"
        | "uuidv4" => "it is random, and a template must give the same text every time",
        "bcrypt"
        | "buildCustomCert"
        | "decryptAES"
        | "derivePassword"
        | "encryptAES"
        | "genCA"
        | "genCAWithKey"
        | "genPrivateKey"
        | "genSelfSignedCert"
        | "genSelfSignedCertWithKey"
        | "genSignedCert"
        | "genSignedCertWithKey"
        | "htpasswd" => "it makes or uses keys and passwords, which don't belong into templates",
        "env" | "expandenv" => "it reads the environment, which isn't the template's",
        "getHostByName" => "it asks the network, and a template must give the same text every time",
        "osBase" | "osClean" | "osDir" | "osExt" | "osIsAbs" => {
            "it depends on the machine, which isn't the template's"
        }
        "call" => "there are no functions in data",
        "adler32sum" | "sha1sum" => "use sha256sum",
        "semver" | "semverCompare" | "urlJoin" | "urlParse" | "hello" => "it isn't supported",
        _ => return format!("there is no function {name:?}: check its name"),
    };
    format!("function {name:?} isn't allowed: {reason}")
}
