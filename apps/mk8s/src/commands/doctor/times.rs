//! How long a certificate is still good.

use jiff::{SignedDuration, Timestamp};
use mk8s_tls::{CertificateChain, CertificateDer};

use super::report::{Report, State};

/// A server's or a person's certificate should be replaced this long before its end.
pub(super) const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// An authority this long.
pub(super) const MONTH: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How a validity stands, and in words.
pub(super) fn state(chain: &CertificateChain, soon: SignedDuration, now: Timestamp) -> (State, String) {
    let (from, until) = (chain.not_before(), chain.not_after());
    if from > now {
        (
            State::Fail,
            format!("holds from {from} on, which is later than this machine's clock"),
        )
    } else if until <= now {
        (State::Fail, format!("ended at {until}"))
    } else if until.duration_since(now) < soon {
        (State::Warn, format!("ends soon, at {until}"))
    } else {
        (State::Ok, format!("valid until {until}"))
    }
}

/// A row about the authorities in a PEM text: at least one must be good, and none should be about to end.
pub(super) fn authorities(report: &mut Report, name: &str, pem: &[u8], now: Timestamp, remedy: &str) -> bool {
    let chain = match CertificateChain::from_pem(pem) {
        Ok(chain) => chain,
        Err(error) => {
            report.fail(name, error.to_string(), remedy);
            return false;
        }
    };
    let each = |der: &CertificateDer<'static>| {
        let alone = CertificateChain::from_der(vec![der.clone()]);
        alone.map_or((State::Fail, String::new()), |alone| state(&alone, MONTH, now))
    };
    let states: Vec<(State, String)> = chain.der().iter().map(each).collect();
    let usable = states.iter().any(|(state, _)| *state != State::Fail);
    // Of several, what is most wrong; an old one beside a good one is no failure.
    let (worst, words) = states
        .iter()
        .max_by_key(|(state, _)| *state as u8)
        .cloned()
        .unwrap_or((State::Fail, String::new()));
    let worst = if usable && worst == State::Fail {
        State::Warn
    } else {
        worst
    };
    let count = states.len();
    let seen = match count {
        1 => words,
        _ => format!("{count} authorities; one of them {words}"),
    };
    report.add(name, worst, &seen, Some(remedy));
    usable
}
