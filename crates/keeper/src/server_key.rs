//! The public keys of Keeper's servers, for which the key of each request is sealed.

use crate::{base64, crypto::Point};

/// Whose requests a server key is for, when a configuration names none: what the SDKs begin with.
pub(crate) const FIRST: &str = "10";

/// Ids 1 to 6 are other names of key 7, as the SDKs have it.
const OLDEST: u32 = 1;
const SEVENTH: u32 = 7;

/// Keys 7 and up of Keeper's production servers: published with each of its SDKs. They say whom we talk to, beside TLS.
const PRODUCTION: [&str; 12] = [
    "BK9w6TZFxE6nFNbMfIpULCup2a8xc6w2tUTABjxny7yFmxW0dAEojwC6j6zb5nTlmb1dAx8nwo3qF7RPYGmloRM",
    "BKnhy0obglZJK-igwthNLdknoSXRrGB-mvFRzyb_L-DKKefWjYdFD2888qN1ROczz4n3keYSfKz9Koj90Z6w_tQ",
    "BAsPQdCpLIGXdWNLdAwx-3J5lNqUtKbaOMV56hUj8VzxE2USLHuHHuKDeno0ymJt-acxWV1xPlBfNUShhRTR77g",
    "BNYIh_Sv03nRZUUJveE8d2mxKLIDXv654UbshaItHrCJhd6cT7pdZ_XwbdyxAOCWMkBb9AZ4t1XRCsM8-wkEBRg",
    "BA6uNfeYSvqagwu4TOY6wFK4JyU5C200vJna0lH4PJ-SzGVXej8l9dElyQ58_ljfPs5Rq6zVVXpdDe8A7Y3WRhk",
    "BMjTIlXfohI8TDymsHxo0DqYysCy7yZGJ80WhgOBR4QUd6LBDA6-_318a-jCGW96zxXKMm8clDTKpE8w75KG-FY",
    "BJBDU1P1H21IwIdT2brKkPqbQR0Zl0TIHf7Bz_OO9jaNgIwydMkxt4GpBmkYoprZ_DHUGOrno2faB7pmTR7HhuI",
    "BJFF8j-dH7pDEw_U347w2CBM6xYM8Dk5fPPAktjib-opOqzvvbsER-WDHM4ONCSBf9O_obAHzCyygxmtpktDuiE",
    "BDKyWBvLbyZ-jMueORl3JwJnnEpCiZdN7yUvT0vOyjwpPBCDf6zfL4RWzvSkhAAFnwOni_1tQSl8dfXHbXqXsQ8",
    "BDXyZZnrl0tc2jdC5I61JjwkjK2kr7uet9tZjt8StTiJTAQQmnVOYBgbtP08PWDbecxnHghx3kJ8QXq1XE68y8c",
    "BFX68cb97m9_sweGdOVavFM3j5ot6gveg6xT4BtGahfGhKib-zdZyO9pwvv1cBda9ahkSzo1BQ4NVXp9qRyqVGU",
    "BNhngQqTT1bPKxGuB6FhbPTAeNVFl8PKGGSGo5W06xWIReutm6ix6JPivqnbvkydY-1uDQTr-5e6t70G01Bb5JA",
];

/// A key of the server's, and what the server calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerKey {
    pub(crate) id: String,
    pub(crate) point: Point,
}

impl ServerKey {
    /// The production key of this id. None: there is none that we know.
    pub(crate) fn production(id: &str) -> Option<Self> {
        let number: u32 = id.parse().ok().filter(|number| *number >= OLDEST)?;
        let text = PRODUCTION.get(usize::try_from(number.saturating_sub(SEVENTH)).ok()?)?;
        Some(Self {
            id: number.to_string(),
            point: Point::from_slice(&base64::decode(text)?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_production_keys_are_points() {
        for id in 1..=18 {
            let key = ServerKey::production(&id.to_string()).unwrap();
            assert_eq!(key.id, id.to_string());
        }
        let point = |id| ServerKey::production(id).unwrap().point;
        assert_eq!(point("1"), point("7"));
        assert_eq!(point("6"), point("7"));
        assert_ne!(point("8"), point("7"));
        assert!(ServerKey::production(FIRST).is_some());
    }

    #[test]
    fn other_ids_have_no_key() {
        for id in ["0", "19", "-1", "", "x", "4294967296", "1.0"] {
            assert_eq!(ServerKey::production(id), None, "{id}");
        }
    }
}
