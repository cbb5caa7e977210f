//! What Linux knows about the process, read at each scrape (proc(5)).

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// USER_HZ, in which `/proc` counts time: 100 on every architecture this is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc/self`. What can't be read is left out.
#[derive(Debug)]
pub(crate) struct Process;

/// The numbers, as read.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    cpu_seconds: Option<f64>,
    /// Since 1970.
    start_seconds: Option<f64>,
    threads: Option<i64>,
    resident_bytes: Option<i64>,
    virtual_bytes: Option<i64>,
    open_files: Option<i64>,
    max_files: Option<i64>,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let reading = Reading::now();
        if let Some(seconds) = reading.cpu_seconds {
            let metric = ConstCounter::new(seconds);
            let help = "Time on the processor, user and system together";
            let unit = Some(&Unit::Seconds);
            metric.encode(encoder.encode_descriptor("process_cpu", help, unit, MetricType::Counter)?)?;
        }
        if let Some(seconds) = reading.start_seconds {
            let metric = ConstGauge::new(seconds);
            let help = "When the process started, since 1970";
            let unit = Some(&Unit::Seconds);
            metric.encode(encoder.encode_descriptor(
                "process_start_time",
                help,
                unit,
                MetricType::Gauge,
            )?)?;
        }
        let gauges = [
            (
                "process_resident_memory",
                "Memory in RAM",
                Some(&Unit::Bytes),
                reading.resident_bytes,
            ),
            (
                "process_virtual_memory",
                "Memory mapped",
                Some(&Unit::Bytes),
                reading.virtual_bytes,
            ),
            (
                "process_open_fds",
                "Open files and sockets",
                None,
                reading.open_files,
            ),
            (
                "process_max_fds",
                "The limit of open files and sockets",
                None,
                reading.max_files,
            ),
            ("process_threads", "Threads", None, reading.threads),
        ];
        for (name, help, unit, value) in gauges {
            if let Some(value) = value {
                let descriptor = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
                ConstGauge::new(value).encode(descriptor)?;
            }
        }
        Ok(())
    }
}

impl Reading {
    fn now() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let mut reading = Self::parse(
            &read("/proc/self/stat"),
            &read("/proc/self/status"),
            &read("/proc/self/limits"),
            &read("/proc/stat"),
        );
        // One of them is the directory being read.
        reading.open_files = fs::read_dir("/proc/self/fd")
            .ok()
            .and_then(|entries| i64::try_from(entries.count()).ok())
            .map(|open| open.saturating_sub(1));
        reading
    }

    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Self {
        // The second field is the name in parentheses, and may have blanks and parentheses in it; the third is the
        // first here.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace()
            .collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        let boot = line(system, "btime ").and_then(|v| v.parse::<f64>().ok());
        Self {
            cpu_seconds: ticks(14)
                .zip(ticks(15))
                .map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            start_seconds: boot
                .zip(ticks(22))
                .map(|(boot, started)| boot + started / TICKS_PER_SECOND),
            threads: line(status, "Threads:").and_then(|v| v.parse().ok()),
            resident_bytes: kibibytes(status, "VmRSS:"),
            virtual_bytes: kibibytes(status, "VmSize:"),
            open_files: None,
            max_files: line(limits, "Max open files").and_then(|v| v.split_whitespace().next()?.parse().ok()),
        }
    }
}

fn line<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    text.lines()
        .find_map(|line| line.strip_prefix(start))
        .map(str::trim)
}

fn kibibytes(status: &str, key: &str) -> Option<i64> {
    let value = line(status, key)?
        .strip_suffix("kB")?
        .trim()
        .parse::<i64>()
        .ok()?;
    value.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_documented() {
        let stat = "4242 (odd) name) S 1 4242 4242 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 7 0 1000 1 1 1";
        let status = "Name:\todd\nVmSize:\t  2048 kB\nVmRSS:\t  1024 kB\nThreads:\t7\n";
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        let reading = Reading::parse(stat, status, limits, "cpu 1 2\nbtime 1700000000\n");
        assert_eq!(
            reading,
            Reading {
                cpu_seconds: Some(3.0),
                start_seconds: Some(1_700_000_010.0),
                threads: Some(7),
                resident_bytes: Some(1 << 20),
                virtual_bytes: Some(2 << 20),
                open_files: None,
                max_files: Some(1024),
            }
        );
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        assert_eq!(Reading::parse("", "", "", ""), Reading::default());
        assert_eq!(
            Reading::parse("1 (x", "VmRSS: many kB", "Max open files unlimited", "btime x"),
            Reading::default()
        );
    }
}
