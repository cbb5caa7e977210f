//! The program as a child, and JSON-RPC on its standard input and output.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

/// The program.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mk8s-mcp"));
    command.env_remove("KUBECONFIG").env("USER", "anna");
    command
}

/// A client of the program, of the 2026-07-28 revision: each request has all it needs.
pub(crate) struct Client {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    directory: tempfile::TempDir,
    next: u64,
    told: VecDeque<Value>,
    /// What the user says when they are asked; None if they can't be.
    pub(crate) says: Option<&'static str>,
    /// What they were asked.
    pub(crate) questions: Vec<String>,
}

impl Client {
    /// Starts it with a kubeconfig and more arguments.
    pub(crate) fn start(kubeconfig: &Path, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let log = fs::File::create(directory.path().join("log")).expect("a log");
        let mut child = program()
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--audit-file")
            .arg(directory.path().join("audit.jsonl"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the program");
        let (to, from) = (child.stdin.take(), child.stdout.take().expect("its output"));
        let mut client = Self {
            child,
            to,
            from: BufReader::new(from),
            directory,
            next: 0,
            told: VecDeque::new(),
            says: None,
            questions: Vec::new(),
        };
        let answer = client.ask("server/discover", json!({}));
        assert!(answer["result"].is_object(), "{answer}");
        client
    }

    /// The answer to a request: `{"result": …}` or `{"error": …}`.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params);
        loop {
            let message = self.message();
            if message["id"] == id {
                return message;
            }
            self.told.push_back(message);
        }
    }

    /// Asks, and doesn't wait for an answer.
    pub(crate) fn begin(&mut self, method: &str, params: Value) -> u64 {
        self.next += 1;
        let id = self.next;
        let params = self.with_meta(params);
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// Says something that has no answer.
    pub(crate) fn tell(&mut self, method: &str, params: Value) {
        let params = self.with_meta(params);
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// The next message that answers nothing.
    #[track_caller]
    pub(crate) fn heard(&mut self) -> Value {
        match self.told.pop_front() {
            Some(told) => told,
            None => self.message(),
        }
    }

    /// What the one cluster is called.
    #[track_caller]
    pub(crate) fn cluster(&mut self) -> String {
        let answer = self.ask("resources/list", json!({}));
        let uri = answer["result"]["resources"][0]["uri"].as_str();
        let uri = uri.unwrap_or_else(|| panic!("no resources: {answer}"));
        let cluster = uri.strip_prefix("k8s://").and_then(|rest| rest.split('/').next());
        cluster.expect("a cluster").to_owned()
    }

    /// Reads a resource: its text, or the error.
    #[track_caller]
    pub(crate) fn resource(&mut self, uri: &str) -> Result<String, Value> {
        let answer = self.ask("resources/read", json!({"uri": uri}));
        match answer["result"]["contents"][0]["text"].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(answer["error"].clone()),
        }
    }

    /// What each request of the revision has with it.
    fn with_meta(&self, mut params: Value) -> Value {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": match self.says {
                Some(_) => json!({"elicitation": {}}),
                None => json!({}),
            },
        });
        params
    }

    fn write(&mut self, message: &Value) {
        let to = self.to.as_mut().expect("not ended");
        writeln!(to, "{message}").expect("written");
    }

    #[track_caller]
    fn message(&mut self) -> Value {
        let mut line = String::new();
        let read = self.from.read_line(&mut line).expect("a line");
        assert!(read > 0, "the program ended: {}", self.log());
        serde_json::from_str(&line).expect("nothing but JSON on standard output")
    }

    /// Calls a tool: whether it failed, and what it says.
    #[track_caller]
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> (bool, String) {
        let mut params = json!({"name": tool, "arguments": arguments});
        let mut answer = self.ask("tools/call", params.clone());
        if answer["result"]["resultType"] == "input_required" {
            let question = &answer["result"]["inputRequests"]["approve"]["params"]["message"];
            self.questions
                .push(question.as_str().expect("a question").to_owned());
            params["requestState"] = answer["result"]["requestState"].clone();
            params["inputResponses"] = json!({"approve": {"action": self.says, "content": {}}});
            answer = self.ask("tools/call", params);
        }
        let text = answer["result"]["content"][0]["text"].as_str();
        let text = text.unwrap_or_else(|| panic!("no text: {answer}\n{}", self.log()));
        (answer["result"]["isError"] == true, text.to_owned())
    }

    /// What a tool says that must not fail.
    #[track_caller]
    pub(crate) fn read(&mut self, tool: &str, arguments: Value) -> String {
        let (is_error, text) = self.call(tool, arguments.clone());
        assert!(!is_error, "{tool} {arguments}: {text}");
        text
    }

    /// What a tool says that must fail.
    #[track_caller]
    pub(crate) fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let (is_error, text) = self.call(tool, arguments.clone());
        assert!(is_error, "{tool} {arguments}: {text}");
        text
    }

    /// Plans a change and applies it.
    #[track_caller]
    pub(crate) fn change(&mut self, arguments: Value) -> String {
        let plan = self.plan(arguments);
        self.read("change", json!({"plan": plan}))
    }

    /// Plans a change.
    #[track_caller]
    pub(crate) fn plan(&mut self, arguments: Value) -> String {
        let text = self.read("change", arguments);
        let (_, rest) = text
            .split_once("\"plan\": \"")
            .unwrap_or_else(|| panic!("no plan: {text}"));
        rest.split('"').next().expect("a plan").to_owned()
    }

    /// What was written down so far.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.audit_file()).expect("the audit file");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    pub(crate) fn audit_file(&self) -> PathBuf {
        self.directory.path().join("audit.jsonl")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Ends its standard input, and waits for it.
    pub(crate) fn end(mut self) -> i32 {
        self.to = None;
        self.child.wait().expect("its end").code().expect("a code")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
