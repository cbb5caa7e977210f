//! What people do with kubectl, done straight at the API server, through the gateway, and through the front proxy, with the
//! same results.
//!
//! A row of the table is something to do with a [`Door`]; what came of it is written into a [`Transcript`]. Each row is done at
//! all doors as the same user, in a namespace of its own that is made alike, and the transcripts must be equal once
//! names, times and addresses are taken out ([`normal`]). Each row says by assertions of its own that it did something.

mod door;
mod interactive;
mod normal;
mod reading;
mod streams;
mod writing;

use std::{
    path::PathBuf,
    thread::{self, JoinHandle},
};

use door::{Door, Transcript};
use mk8s_testkit::{
    Cluster, FrontProxy, Gateway, Kubectl,
    gateway::{ADMIN, MAIN},
    kubectl,
};

/// A row: its name, and what is done.
type Row = (&'static str, fn(&mut Door));

/// The group that the gateway puts the administrator into, by which they have their rights in the cluster.
const GROUP: &str = "mk8s:admin";

/// Does each row at all doors with the kubectl of the cluster's version.
fn compare(rows: &[Row]) {
    compare_with(rows, &[("kubectl", kubectl::current().to_owned())], &[&[]]);
}

/// Does each row at all doors, with the cluster's kubectl and with the one on the PATH (an older one, usually), over SPDY and over
/// WebSocket. Where a row streams, these are different programs for the gateway.
fn compare_with_all_clients(rows: &[Row]) {
    let mut clients = vec![("kubectl", kubectl::current().to_owned())];
    clients.extend(kubectl::installed().map(|installed| ("installed kubectl", installed)));
    let websocket: &[_] = &[
        ("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "true"),
        ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "true"),
    ];
    let spdy: &[_] = &[
        ("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false"),
        ("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false"),
    ];
    compare_with(rows, &clients, &[websocket, spdy]);
}

fn compare_with(rows: &[Row], clients: &[(&str, PathBuf)], variables: &[&[(&str, &str)]]) {
    let cluster = Cluster::shared();
    let gateway = Gateway::start();
    let directory = tempfile::tempdir().expect("a directory");
    let direct_config = cluster
        .kubectl_as(directory.path(), ADMIN, &[GROUP])
        .kubeconfig()
        .to_owned();
    let account = FrontProxy::account(cluster, directory.path());
    let front_proxy = FrontProxy::start(&account, "reroutes: []");
    let operator = front_proxy.kubectl_as(ADMIN, &[GROUP]).kubeconfig().to_owned();
    let mut failed = Vec::new();
    for (client, program) in clients {
        for variables in variables {
            let dressed = |kubectl: Kubectl| {
                variables.iter().fold(kubectl, |kubectl, (name, value)| {
                    kubectl.with_variable(name, value)
                })
            };
            let direct = dressed(Kubectl::with_program(program, &direct_config));
            let doors = [
                ("gateway", dressed(gateway.admin().kubectl_with(program, MAIN))),
                ("front proxy", dressed(Kubectl::with_program(program, &operator))),
            ];
            for (name, act) in rows {
                // At all doors at once: rows wait more than they work.
                let direct = go(cluster, &direct, *act);
                let through = doors
                    .clone()
                    .map(|(door, kubectl)| (door, go(cluster, &kubectl, *act)));
                let expected = direct.join();
                for (door, found) in through {
                    let row = format!("{name} ({door}, {client}, {variables:?})");
                    match (&expected, found.join()) {
                        (Ok(expected), Ok(found)) => {
                            failed.extend(expected.difference(&found).map(|how| format!("{row}: {how}")));
                        }
                        _ => failed.push(format!("{row}: a door failed, see above")),
                    }
                }
            }
        }
    }
    assert!(
        failed.is_empty(),
        "{} rows differ:\n\n{}",
        failed.len(),
        failed.join("\n\n")
    );
}

/// Does a row at a door, in a thread of its own: if it panics, the rows after it are tried all the same.
fn go(cluster: &'static Cluster, kubectl: &Kubectl, act: fn(&mut Door)) -> JoinHandle<Transcript> {
    let kubectl = kubectl.clone();
    thread::spawn(move || {
        let mut door = Door::open(cluster, kubectl);
        act(&mut door);
        door.close()
    })
}
