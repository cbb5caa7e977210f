//! Contenders in turn, round after round, so that whatever else the machine does falls on all of them alike.

use std::collections::BTreeMap;

use crate::{
    client::Target,
    contender::Contender,
    fixtures,
    instructions::Counter,
    load::{self, Load, Timing},
    results::{Memory, Ratio, Scenario, Way, median, micros},
};

/// A load with its name and what is asked of the gateway under it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) load: Load,
    /// CPU per request, as a multiple of haproxy's.
    pub(crate) target: Option<f64>,
}

/// The three loads.
pub(crate) fn plans(is_quick: bool) -> [Plan; 3] {
    let small = |name, connections, streams, target| Plan {
        name,
        load: Load {
            path: fixtures::SMALL_PATH,
            bytes: Some(fixtures::SMALL_BYTES),
            connections,
            streams,
            requests: if is_quick { 2_000 } else { 8_000 },
        },
        target: Some(target),
    };
    let list = Load {
        path: fixtures::LIST_PATH,
        bytes: Some(fixtures::LIST_BYTES),
        connections: 4,
        streams: 1,
        requests: if is_quick { 80 } else { 240 },
    };
    [
        small("519-byte object, 16 connections × 1", 16, 1, 2.0),
        small("519-byte object, 4 connections × 16", 4, 16, 2.5),
        Plan {
            name: "1.7 MB list, 4 connections × 1",
            load: list,
            target: Some(1.5),
        },
    ]
}

/// What a request costs somebody else, to be read before and after each measurement.
pub(crate) type Meter<'a> = &'a dyn Fn() -> anyhow::Result<std::time::Duration>;

/// What the rounds of one load brought so far.
#[derive(Debug)]
pub(crate) struct Rounds {
    plan: Plan,
    by_contender: Vec<Samples>,
}

#[derive(Debug, Default)]
struct Samples {
    name: &'static str,
    cpu: Vec<f64>,
    by_process: BTreeMap<&'static str, Vec<f64>>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    per_second: Vec<f64>,
    metered: Vec<f64>,
    instructions: Option<f64>,
}

impl Rounds {
    /// No round yet.
    pub(crate) fn new(plan: Plan, contenders: &[Contender]) -> Self {
        let by_contender = contenders
            .iter()
            .map(|c| Samples {
                name: c.name,
                ..Samples::default()
            })
            .collect();
        Self { plan, by_contender }
    }

    /// Lets each contender have its turn, beginning with another one each time. The first round of all is for warming up
    /// and isn't counted.
    pub(crate) async fn go(
        &mut self,
        round: usize,
        contenders: &[Contender],
        meter: Option<Meter<'_>>,
    ) -> anyhow::Result<()> {
        for turn in 0..contenders.len() {
            let index = (turn + round) % contenders.len();
            let contender = &contenders[index];
            let connections = load::connect(&contender.target, &self.plan.load).await?;
            contender.settle().await?;
            let metered = meter.map(|meter| meter()).transpose()?;
            let before = contender.cpu()?;
            let timing = load::run(&connections, &self.plan.load).await?;
            contender.settle().await?;
            let after = contender.cpu()?;
            if round == 0 {
                continue;
            }
            #[expect(clippy::cast_precision_loss, reason = "a count")]
            let requests = self.plan.load.requests as f64;
            let samples = &mut self.by_contender[index];
            samples.took(&timing);
            let mut all = 0.0;
            for ((process, before), after) in contender.processes.iter().zip(before).zip(after) {
                let each = micros(after.saturating_sub(before)) / requests;
                samples.by_process.entry(process.name()).or_default().push(each);
                all += each;
            }
            samples.cpu.push(all);
            if let (Some(before), Some(meter)) = (metered, meter) {
                samples
                    .metered
                    .push(micros(meter()?.saturating_sub(before)) / requests);
            }
        }
        Ok(())
    }

    /// One more round, in which instructions are counted and nothing else.
    pub(crate) async fn count_instructions(&mut self, contenders: &[Contender]) -> anyhow::Result<()> {
        for (contender, samples) in contenders.iter().zip(&mut self.by_contender) {
            if contender.processes.is_empty() {
                continue;
            }
            let connections = load::connect(&contender.target, &self.plan.load).await?;
            contender.settle().await?;
            let counter = Counter::start(&contender.processes).await?;
            load::run(&connections, &self.plan.load).await?;
            contender.settle().await?;
            #[expect(clippy::cast_precision_loss, reason = "a count")]
            let each = counter.finish()? as f64 / self.plan.load.requests as f64;
            samples.instructions = Some(each);
        }
        Ok(())
    }

    /// What a meter read for each request, by contender.
    pub(crate) fn metered(&self) -> BTreeMap<&'static str, f64> {
        self.by_contender
            .iter()
            .filter_map(|s| Some((s.name, median(s.metered.clone())?)))
            .collect()
    }

    /// The medians.
    pub(crate) fn result(self) -> Scenario {
        let cpu = |name| {
            self.by_contender
                .iter()
                .find(|s| s.name == name)
                .map(|s| &s.cpu[..])
                .unwrap_or_default()
        };
        let over_haproxy = self
            .by_contender
            .iter()
            .filter(|samples| !matches!(samples.name, "direct" | "haproxy"))
            .filter_map(|samples| Some((samples.name, Ratio::of(&samples.cpu, cpu("haproxy"))?)))
            .collect();
        let ratio = Ratio::of(cpu("gateway"), cpu("haproxy"));
        let against = Ratio::of(cpu("gateway"), cpu("before"));
        let Plan { name, load, target } = self.plan;
        Scenario {
            name,
            connections: load.connections,
            streams: load.streams,
            requests: load.requests,
            ways: self.by_contender.into_iter().map(Samples::result).collect(),
            ratio,
            over_haproxy,
            against,
            target,
        }
    }
}

impl Samples {
    fn took(&mut self, timing: &Timing) {
        self.p50.push(micros(timing.quantile(0.5)));
        self.p99.push(micros(timing.quantile(0.99)));
        self.per_second.push(timing.per_second());
    }

    fn result(self) -> Way {
        let has_processes = !self.by_process.is_empty();
        let by_process = self
            .by_process
            .into_iter()
            .filter_map(|(name, values)| Some((name, median(values)?)));
        Way {
            name: self.name,
            cpu_per_request: median(self.cpu).filter(|_| has_processes),
            cpu_by_process: by_process.collect(),
            p50: median(self.p50).unwrap_or_default(),
            p99: median(self.p99).unwrap_or_default(),
            requests_per_second: median(self.per_second).unwrap_or_default(),
            instructions_per_request: self.instructions,
        }
    }
}

/// How many watches are opened.
pub(crate) const WATCHES: usize = 1_000;

/// What a contender's processes have just started with, and what each of [`WATCHES`] idle watches adds.
/// Memory only ever grows to what was needed most, so that a contender must be started for this alone.
pub(crate) async fn memory(contender: &Contender, per_connection: usize) -> anyhow::Result<Vec<(f64, f64)>> {
    let resident = || {
        contender
            .processes
            .iter()
            .map(|p| p.resident().map(kib))
            .collect::<anyhow::Result<Vec<f64>>>()
    };
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    let idle = resident()?;
    warm_up(&contender.target).await?;
    contender.settle().await?;
    let before = resident()?;
    let watches = load::watch(&contender.target, fixtures::WATCH_PATH, WATCHES, per_connection).await?;
    contender.settle().await?;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    let during = resident()?;
    drop(watches);
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let each = |(before, during): (f64, f64)| (during - before).max(0.0) / WATCHES as f64;
    Ok(idle
        .into_iter()
        .zip(before.into_iter().zip(during).map(each))
        .collect())
}

/// Brings in code and tables that every kind of request needs, which is nothing that a watch should be charged for.
async fn warm_up(target: &Target) -> anyhow::Result<()> {
    let load = Load {
        path: fixtures::SMALL_PATH,
        bytes: None,
        connections: 4,
        streams: 2,
        requests: 400,
    };
    let connections = load::connect(target, &load).await?;
    load::run(&connections, &load).await?;
    load::watch(target, fixtures::WATCH_PATH, 4, 2).await?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

/// Both kinds of watches, by process.
pub(crate) fn memory_result(
    contender: &Contender,
    shared: &[(f64, f64)],
    alone: &[(f64, f64)],
) -> Vec<Memory> {
    let rows = contender.processes.iter().zip(shared.iter().zip(alone));
    rows.map(|(process, (shared, alone))| Memory {
        process: process.name(),
        idle: shared.0,
        after_load: None,
        watch_shared: shared.1,
        watch_alone: alone.1,
    })
    .collect()
}
