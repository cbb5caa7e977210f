//! Agents that aren't let in, and clocks that are off.

use std::{path::Path, time::Duration};

use mk8s_testkit::{
    Cluster, Gateway,
    gateway::{MAIN, Settings, hopeless},
    within,
};

/// The library by which a program believes in another time.
///
/// # Panics
/// If it isn't installed.
pub(super) fn faketime() -> String {
    let candidates = ["x86_64-linux-gnu", "aarch64-linux-gnu", ""]
        .map(|triple| format!("/usr/lib/{triple}/faketime/libfaketimeMT.so.1"));
    let found = candidates.into_iter().find(|path| Path::new(path).exists());
    found.expect("libfaketime is not installed: install faketime (apt-get install faketime)")
}

/// That an agent with this token gets nowhere, and says so in these words.
#[track_caller]
fn refused(gateway: &Gateway, directory: &str, name: &str, token: &str, words: &[&str]) {
    let mut agent = hopeless(gateway, directory, name, Cluster::second(), token);
    within(
        Duration::from_secs(30),
        "the agent to say why it isn't let in",
        || {
            let said = agent.log();
            words.iter().all(|word| said.contains(word)).then_some(())
        },
    );
    assert!(!agent.log().contains(token), "the token itself isn't in the log");
    if !agent.is_running() {
        assert!(!agent.wait(Duration::from_secs(1)).success());
    }
}

#[test]
fn an_agent_with_a_wrong_token_is_refused() {
    let gateway = Gateway::without_agents(Settings::default());
    let token = gateway.join_token(MAIN);
    let wrong = format!("{}{}", &token[..token.len() - 4], "AAAA");
    refused(&gateway, "wrong", MAIN, &wrong, &["unknown"]);
    refused(&gateway, "no-token", MAIN, "nonsense", &["token"]);
    refused(
        &gateway,
        "other-cluster",
        "dev-other",
        &token,
        &[MAIN, "dev-other"],
    );
    assert_eq!(gateway.status(MAIN), None, "nothing was registered");
    // None of that used the token up.
    let mut gateway = gateway;
    gateway.connect_with(MAIN, Cluster::second(), &token);
}

#[test]
fn an_agent_with_a_used_token_is_refused() {
    let mut gateway = Gateway::without_agents(Settings::default());
    let token = gateway.join_token(MAIN);
    gateway.connect_with(MAIN, Cluster::second(), &token);
    gateway.agent(MAIN).kill();
    gateway.disconnected(MAIN);
    refused(&gateway, "again", MAIN, &token, &["used already"]);
    // The one that used it comes back with what it was given then.
    gateway.agent(MAIN).start_again();
    gateway.connected(MAIN);
}

#[test]
fn an_agent_with_a_revoked_token_is_refused_and_a_connected_one_is_cut_off() {
    let mut gateway = Gateway::without_agents(Settings::default());
    let token = gateway.join_token(MAIN);
    let revoke = |gateway: &Gateway| {
        let list = gateway.run_central(&["agent-token", "list"]).ok();
        let id = list
            .stdout
            .lines()
            .skip(1)
            .find(|line| !line.contains("revoked"))
            .expect("a token");
        let id = id.split_whitespace().next().expect("an id").to_owned();
        gateway.run_central(&["agent-token", "revoke", &id]).ok();
    };
    revoke(&gateway);
    refused(&gateway, "revoked", MAIN, &token, &["revoked"]);
    gateway.connect(MAIN, Cluster::second());
    gateway.admin().kubectl(MAIN).run(["get", "namespaces"]).ok();
    revoke(&gateway);
    gateway.disconnected(MAIN);
    gateway.agent(MAIN).start_again();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(gateway.status(MAIN).as_deref(), Some("disconnected"));
}

#[test]
fn a_second_agent_for_a_connected_cluster_is_refused_and_the_first_goes_on() {
    let mut gateway = Gateway::without_agents(Settings::default());
    gateway.connect(MAIN, Cluster::second());
    let token = gateway.join_token(MAIN);
    refused(&gateway, "second", MAIN, &token, &[MAIN, "already"]);
    gateway.admin().kubectl(MAIN).run(["get", "namespaces"]).ok();
    // Once the first is gone, the same token lets its successor in.
    gateway.agent(MAIN).kill();
    gateway.disconnected(MAIN);
    let _successor = hopeless(&gateway, "successor", MAIN, Cluster::second(), &token);
    gateway.connected(MAIN);
    gateway.admin().kubectl(MAIN).run(["get", "namespaces"]).ok();
}

#[test]
fn clocks_may_be_ten_minutes_off() {
    for off in ["-10m", "+10m"] {
        // Central's clock is off against everybody else's: the agent's, the user's, the API server's.
        let settings = Settings::default()
            .with_variable("LD_PRELOAD", &faketime())
            .with_variable("FAKETIME", off)
            .with_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let mut gateway = Gateway::without_agents(settings);
        gateway.connect(MAIN, Cluster::second());
        let user = gateway.user("dev@example.com", &["developer"]);
        user.mk8s(["clusters", "use", MAIN]).ok();
        user.mk8s(["kubectl", "get", "pods"]).ok();
        user.kubectl(MAIN).run(["auth", "whoami"]).ok();
    }
}
