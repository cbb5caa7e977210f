//! HTTPS_PROXY and NO_PROXY.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::{
    fake_central::{EMAIL, FakeCentral, PASSWORD},
    sandbox::{Run, Sandbox},
};

/// A proxy that knows CONNECT; gives its port and the destinations that it was asked for.
fn proxy() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let shared = asked.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let shared = shared.clone();
            thread::spawn(move || relay(client, &shared));
        }
    });
    (port, asked)
}

fn relay(mut client: TcpStream, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
    }
    let destination = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let port: u16 = destination.rsplit(':').next()?.parse().ok()?;
    asked.lock().expect("no panic").push(destination);
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let (mut to_client, mut from_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let back = thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut reader, &mut server);
    let _ = server.shutdown(Shutdown::Write);
    back.join().ok()
}

#[test]
fn the_look_at_the_certificate_and_the_requests_go_through_the_proxy() {
    let central = FakeCentral::start();
    let (port, asked) = proxy();
    let sandbox = Sandbox::new();
    let (url, fingerprint) = (central.url(), central.fingerprint().to_string());
    let input = sandbox.root().join("password");
    std::fs::write(&input, PASSWORD).expect("written");
    let login = |no_proxy: &str| {
        let mut command = sandbox.command(&[
            "login",
            "--central",
            &url,
            "--email",
            EMAIL,
            "--password-stdin",
            "--ca-fingerprint",
            &fingerprint,
        ]);
        command
            .env("HTTPS_PROXY", format!("http://127.0.0.1:{port}"))
            .env("NO_PROXY", no_proxy)
            .stdin(std::fs::File::open(&input).expect("opened"));
        Run::from(command.output().expect("it runs"))
    };
    login("").succeeds();
    let expected = format!("localhost:{}", central.port);
    assert_eq!(*asked.lock().expect("no panic"), [expected.clone(), expected]);
    login("localhost").succeeds();
    assert_eq!(asked.lock().expect("no panic").len(), 2);
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let central = FakeCentral::start();
    let sandbox = Sandbox::logged_in(&central);
    let mut command = sandbox.command(&["clusters", "list"]);
    let run = Run::from(
        command
            .env("HTTPS_PROXY", "http://127.0.0.1:1")
            .output()
            .expect("it runs"),
    );
    run.fails(1).says("HTTPS_PROXY");
}
