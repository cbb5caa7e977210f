//! Log lines and metrics as the outside sees them.

use std::{
    io,
    sync::{Arc, Mutex},
};

use mk8s_telemetry::{
    LogFormat, LoggingError, Metrics, init_logging,
    prometheus_client::{metrics::counter::Counter, registry::Unit},
    subscriber,
};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("lock").clone()).expect("UTF-8")
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn logged(format: LogFormat, filter: &str, colour: bool, act: impl FnOnce()) -> String {
    let lines = Lines::default();
    let subscriber = subscriber(format, filter, colour, lines.clone()).expect("a subscriber");
    tracing::subscriber::with_default(subscriber, act);
    lines.text()
}

#[test]
fn text_is_for_people() {
    let text = logged(LogFormat::Text, "info,quiet=error", false, || {
        tracing::info!(cluster = "prod", "connected");
        tracing::debug!("not this");
        tracing::warn!(target: "quiet", "nor this");
    });
    assert!(
        text.contains("INFO") && text.contains("connected cluster=\"prod\""),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(logged(LogFormat::Text, "info", true, || tracing::info!("x")).contains('\u{1b}'));
}

#[test]
fn what_a_stranger_sent_stays_on_its_line() {
    let hostile = "a\u{1b}[2J\r\nINFO forged";
    let text = logged(LogFormat::Text, "info", false, || {
        tracing::info!(path = hostile, "refused");
    });
    assert!(!text.contains('\u{1b}') && text.lines().count() == 1, "{text:?}");
}

#[test]
fn json_is_one_object_a_line() {
    let text = logged(LogFormat::Json, "info", true, || {
        let span = tracing::info_span!("request", id = 7);
        let _entered = span.enter();
        tracing::info!(status = 200, "a\nb");
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    let object: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&object["level"], &object["message"], &object["status"]),
        (&"INFO".into(), &"a\nb".into(), &200.into())
    );
    assert_eq!(object["span"]["id"], 7);
    assert!(
        object["timestamp"].as_str().is_some_and(|t| t.ends_with('Z')),
        "{text}"
    );
}

#[test]
fn a_filter_that_cannot_be_read_is_an_error() {
    for bad in ["", " ", "a=b=c", "info,[", "hyper=loud"] {
        let error = init_logging(LogFormat::Text, bad).expect_err(bad);
        assert!(matches!(error, LoggingError::BadFilter { .. }), "{error}");
    }
}

#[test]
fn formats_are_named_as_in_the_configuration() {
    for format in [LogFormat::Text, LogFormat::Json] {
        assert_eq!(format.to_string().parse(), Ok(format));
        assert_eq!(
            serde_json::from_str::<LogFormat>(&format!("\"{format}\"")).expect("format"),
            format
        );
    }
    let error = "xml".parse::<LogFormat>().expect_err("no format").to_string();
    assert_eq!(error, "\"xml\" is no log format; use \"text\" or \"json\"");
}

#[test]
fn metrics_are_open_metrics() {
    let mut metrics = Metrics::new("mk8s-test", "1.2.3");
    let requests: Counter = Counter::default();
    let waited: Counter<f64, std::sync::atomic::AtomicU64> = Counter::default();
    metrics.register("mk8s_requests", "Requests answered", requests.clone());
    metrics.register_with_unit("mk8s_wait", "Time waited", Unit::Seconds, waited);
    requests.inc_by(3);
    let text = metrics.encode();
    for line in [
        "mk8s_build_info{program=\"mk8s-test\",version=\"1.2.3\"} 1",
        "mk8s_requests_total 3",
        "mk8s_wait_seconds_total 0",
        "# TYPE process_cpu_seconds counter",
        "# TYPE process_resident_memory_bytes gauge",
        "# TYPE process_open_fds gauge",
        "# TYPE process_start_time_seconds gauge",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    let value = |name: &str| -> f64 {
        let line = text
            .lines()
            .find(|l| l.starts_with(&format!("{name} ")))
            .expect(name);
        line.rsplit(' ')
            .next()
            .expect("a value")
            .parse()
            .expect("a number")
    };
    assert!(value("process_resident_memory_bytes") > 100_000.0);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_threads") >= 1.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_start_time_seconds") > 1_600_000_000.0);
    let age = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs_f64()
        - value("process_start_time_seconds");
    assert!((-2.0..600.0).contains(&age), "started {age} s ago");
}
