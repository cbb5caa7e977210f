//! `clients.ocsp`, with OpenSSL's responder over HTTP.

use crate::stage::{ANSWER, Stage};

#[test]
fn the_responder_decides_about_the_first_request() {
    let mut stage = Stage::open("hard");
    let good = stage.issue('V');
    for _ in 0..2 {
        let (status, answer) = stage.request(&good);
        assert_eq!(status, 200, "{answer}");
        assert!(answer.ends_with(ANSWER), "{answer}");
    }
    assert_eq!(
        stage.questions(),
        ["mk8s_ocsp_questions_total{outcome=\"good\"} 1"]
    );
    let revoked = stage.issue('R');
    let (status, answer) = stage.request(&revoked);
    assert_eq!(status, 403, "{answer}");
    assert!(
        answer.contains("the certificate was revoked at 2026-01-02T03:04:05Z"),
        "{answer}"
    );
    let audit = stage.audit();
    assert!(audit.contains("revoked at 2026-01-02T03:04:05Z"), "{audit}");
    // The other certificate is still what it was.
    assert_eq!(stage.request(&good).0, 200);
}

#[test]
fn a_responder_that_is_away_keeps_out_those_whom_it_must_vouch_for() {
    for (ocsp, expected) in [("soft", 200), ("hard", 403)] {
        let mut stage = Stage::open(ocsp);
        let anna = stage.issue('V');
        stage.send_the_responder_away();
        let (status, answer) = stage.request(&anna);
        assert_eq!(status, expected, "{answer}");
        // The client learns nothing of who was asked.
        assert!(
            !answer.contains("127.0.0.1") && !answer.contains("onnection refused"),
            "{answer}"
        );
        assert_eq!(
            stage.questions(),
            ["mk8s_ocsp_questions_total{outcome=\"none\"} 1"]
        );
        assert!(stage.log().contains("gives no answer"), "{}", stage.log());
    }
}

#[test]
fn nobody_is_asked_if_it_is_off() {
    let mut stage = Stage::open("off");
    let revoked = stage.issue('R');
    assert_eq!(stage.request(&revoked).0, 200);
    assert!(stage.questions().is_empty());
}
