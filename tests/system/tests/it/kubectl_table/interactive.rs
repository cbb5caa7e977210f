//! Rows with a terminal.

use std::time::Duration;

use mk8s_testkit::terminal::Terminal;

use super::{Row, compare_with_all_clients, streams::web};

const ROWS: &[Row] = &[
    ("exec on a terminal that is resized", |door| {
        web(door);
        let mut terminal = Terminal::start(&door.kubectl.command(["exec", "-it", "web", "--", "sh"]), 24, 80);
        terminal.expect("# ");
        // The quotes keep what is typed from being taken for what is answered.
        terminal.type_in("echo terminal: $(tty | cut -c1-9)\n");
        terminal.expect("terminal: /dev/pts/");
        terminal.type_in("echo at''first $(stty size)\n");
        terminal.expect("atfirst 24 80");
        terminal.resize(50, 132);
        // The new size travels beside what is typed, so it may come after it.
        terminal.type_in(
            "until [ \"$(stty size)\" = '50 132' ]; do sleep 0.1; done; echo at''last $(stty size)\n",
        );
        terminal.expect("atlast 50 132");
        // Ctrl-C is for the program in the pod, not for kubectl.
        terminal.type_in("sleep 60\n");
        std::thread::sleep(Duration::from_millis(300));
        terminal.type_in("\u{3}");
        terminal.type_in("echo still''here\n");
        terminal.expect("stillhere");
        terminal.type_in("exit 7\n");
        let status = terminal.wait(Duration::from_secs(20));
        assert_eq!(status.code(), Some(7), "{}", terminal.said());
        door.note("exit code 7");
    }),
    ("run on a terminal", |door| {
        let arguments = [
            "run",
            "once",
            "--image",
            "localhost/mk8s/busybox:dev",
            "--image-pull-policy",
            "Never",
        ];
        let rest = [
            "--restart",
            "Never",
            "--rm",
            "-it",
            "--",
            "sh",
            "-c",
            "read word; echo he''ard $word",
        ];
        let command = door.kubectl.command(arguments.iter().chain(&rest).copied());
        let mut terminal = Terminal::start(&command, 24, 80);
        terminal.expect("press");
        terminal.type_in("hello\n");
        terminal.expect("heard hello");
        assert!(
            terminal.wait(Duration::from_secs(60)).success(),
            "{}",
            terminal.said()
        );
        door.note("heard hello");
    }),
];

#[test]
fn what_has_a_terminal() {
    compare_with_all_clients(ROWS);
}
