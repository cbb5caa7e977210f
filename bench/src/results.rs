//! What came out, as it is printed by `-o json`. Times are in microseconds unless a name says otherwise.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: crate::machine::Machine,
    pub(crate) rounds: usize,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) memory: Vec<Memory>,
    /// The same small request, to a real API server. Absent if there was none.
    pub(crate) api_server: Option<ApiServer>,
    /// Why no instructions were counted, if so.
    pub(crate) no_instructions: Option<String>,
}

/// One kind of load.
#[derive(Debug, Serialize)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    /// In each round, of each contender.
    pub(crate) requests: usize,
    pub(crate) ways: Vec<Way>,
    /// The gateway's CPU per request over haproxy's.
    pub(crate) ratio: Option<Ratio>,
    /// Everybody's CPU per request over haproxy's.
    pub(crate) over_haproxy: BTreeMap<&'static str, Ratio>,
    /// The gateway's CPU per request over that of another build of it, if one was named.
    pub(crate) against: Option<Ratio>,
    /// What the ratio must not exceed.
    pub(crate) target: Option<f64>,
}

/// What one way cost; medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// Of all its processes. Absent for the straight way, which has none.
    pub(crate) cpu_per_request: Option<f64>,
    /// The same, by process.
    pub(crate) cpu_by_process: BTreeMap<&'static str, f64>,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) requests_per_second: f64,
    /// In user mode, of all its processes, per request; where they can be counted.
    pub(crate) instructions_per_request: Option<f64>,
}

/// A ratio of two contenders: in each round their own, and of those the median and both quartiles.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Ratio {
    /// Of what two contenders cost in each round.
    pub(crate) fn of(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let mut ratios: Vec<f64> = ours
            .iter()
            .zip(theirs)
            .map(|(a, b)| a / b)
            .filter(|r| r.is_finite())
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let last = ratios.len().checked_sub(1)?;
        Some(Self {
            median: median(ratios.clone())?,
            low: ratios[last / 4],
            high: ratios[(last * 3).div_ceil(4)],
        })
    }
}

/// One process's memory, in KiB.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) process: &'static str,
    /// Just started, nothing asked yet.
    pub(crate) idle: f64,
    /// After all rounds of load.
    pub(crate) after_load: Option<f64>,
    /// Each of 1,000 idle watches, 100 on a connection.
    pub(crate) watch_shared: f64,
    /// Each of 1,000 idle watches on a connection of its own.
    pub(crate) watch_alone: f64,
}

/// The comparison at a real API server.
#[derive(Debug, Serialize)]
pub(crate) struct ApiServer {
    pub(crate) version: String,
    pub(crate) scenario: Scenario,
    /// CPU that the API server itself spends on each request, by the way it came.
    pub(crate) own_cpu_per_request: BTreeMap<&'static str, f64>,
}

/// The middle one; of an even number, the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Microseconds.
pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quartiles() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
        let ratio = Ratio::of(&[2.0, 4.0, 6.0, 8.0, 10.0], &[2.0; 5]).expect("ratios");
        assert!(
            (ratio.low, ratio.median, ratio.high) == (2.0, 3.0, 4.0),
            "{ratio:?}"
        );
        assert!(Ratio::of(&[1.0], &[0.0]).is_none(), "nothing to compare with");
    }
}
