//! What the official conformance suite wants to find on a server: tools, resources and prompts with names and answers of its own
//! (<https://github.com/modelcontextprotocol/conformance>). They stand behind the very door that `serve` has, so that the suite
//! judges that door. Not part of a program that is built to be used: the feature `conformance` brings it.

use std::{io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use mk8s_net::{
    drain::{self, Drain},
    listen,
    workers::Workers,
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ErrorCode, GetPromptRequestParams,
        GetPromptResponse, GetPromptResult, InputRequiredResult, InputResponses, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ProgressNotificationParam, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
        RequestStateCodec, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http::{
    door::{Door, Entrance, mcp},
    metrics::Metrics,
    people::People,
};

/// A red dot, as PNG.
const DOT: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// Silence, as WAV.
const SILENCE: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
/// How long steps take that are to be seen one by one.
const STEP: Duration = Duration::from_millis(50);

/// Where the fixtures are served.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// On this machine alone, at this port; 0 for any
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// Serves until a signal. Says where, on standard output.
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let listener = listen::bind(SocketAddr::from(([127, 0, 0, 1], arguments.port)))?;
    let address = listener.local_addr()?;
    let fixtures = Fixtures(Arc::new(RequestStateCodec::try_new(rand::random::<[u8; 32]>())?));
    let door = Door::new(Entrance {
        tls: None,
        people: People::anybody()?,
        metadata: None,
        path: "/mcp".to_owned(),
        mcp: mcp(fixtures, Vec::new(), Vec::new(), address.port()),
        metrics: Metrics::new(),
        traces: None,
    });
    let (drain, workers) = (Drain::new(), Arc::new(Workers::per_core("path")?));
    let watch = drain.watch();
    let accepting = tokio::spawn(listen::accept(
        listener,
        workers,
        drain.watch(),
        move |stream, peer| door.clone().serve(stream, peer.ip(), watch.clone()),
    ));
    writeln!(std::io::stdout(), "http://{address}/mcp")?;
    drain::stop_signal().await?;
    accepting.abort();
    drain.finish(Duration::ZERO).await;
    Ok(())
}

#[derive(Clone)]
struct Fixtures(Arc<RequestStateCodec>);

/// A result, written as the protocol has it: complete, if it doesn't say.
fn typed<T: DeserializeOwned>(mut value: Value) -> Result<T, ErrorData> {
    if value["resultType"].is_null() {
        value["resultType"] = "complete".into();
    }
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

fn text(text: impl Into<String>) -> Value {
    json!({"content": [{"type": "text", "text": text.into()}]})
}

fn elicit(message: &str, properties: Value, required: &str) -> Value {
    json!({"method": "elicitation/create", "params": {"message": message,
        "requestedSchema": {"type": "object", "properties": properties, "required": [required]}}})
}

fn sample(question: &str, tokens: u32) -> Value {
    json!({"method": "sampling/createMessage", "params": {"maxTokens": tokens,
        "messages": [{"role": "user", "content": {"type": "text", "text": question}}]}})
}

fn roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}

fn ask(requests: Value, state: Option<String>) -> Result<InputRequiredResult, ErrorData> {
    let mut result = json!({"resultType": "input_required", "inputRequests": requests});
    if let Some(state) = state {
        result["requestState"] = state.into();
    }
    typed(result)
}

/// What a person wrote into a form, if they did.
fn written<'a>(responses: &'a InputResponses, key: &str, field: &str) -> Option<&'a Value> {
    let response = responses.get(key)?;
    (response["action"] == "accept").then_some(&response["content"][field])
}

fn missing_capability(name: &str) -> ErrorData {
    ErrorData::new(
        ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY,
        format!("the client must declare {name}"),
        Some(json!({"requiredCapabilities": {name: {}}})),
    )
}

const TOOLS: &[&str] = &[
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_progress",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
];

impl Fixtures {
    fn seal(&self, step: &str) -> Option<String> {
        Some(self.0.seal(step.as_bytes()))
    }

    fn open(&self, state: Option<&String>) -> Result<Option<Vec<u8>>, ErrorData> {
        let opened = state.map(|state| self.0.open(state)).transpose();
        opened.map_err(|_| ErrorData::invalid_params("requestState isn't what this server gave", None))
    }

    /// Tools that ask back (SEP-2322).
    fn asking(
        &self,
        name: &str,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let none = InputResponses::new();
        let responses = request.input_responses.as_ref().unwrap_or(&none);
        let state = self.open(request.request_state.as_ref())?;
        let named = |message: &str, field: &str| elicit(message, json!({field: {"type": "string"}}), field);
        let confirm = || elicit("Please confirm", json!({"ok": {"type": "boolean"}}), "ok");
        let done = |said: String| typed::<CallToolResult>(text(said)).map(Into::into);
        match name {
            "elicitation" => match written(responses, "user_name", "name").and_then(Value::as_str) {
                Some(name) => done(format!("Hello, {name}!")),
                None => Ok(ask(json!({"user_name": named("What is your name?", "name")}), None)?.into()),
            },
            "sampling" => match responses.get("capital_question") {
                Some(answer) => done(format!("The model says: {}", answer["content"]["text"])),
                None => {
                    let question = sample("What is the capital of France?", 100);
                    Ok(ask(json!({"capital_question": question}), None)?.into())
                }
            },
            "list_roots" => match responses.get("client_roots") {
                Some(roots) => done(format!("The roots are {}", roots["roots"])),
                None => Ok(ask(json!({"client_roots": roots()}), None)?.into()),
            },
            "request_state" | "tampered_state" => match (responses.get("confirm"), state) {
                (Some(_), Some(_)) => done("state-ok".to_owned()),
                _ => Ok(ask(json!({"confirm": confirm()}), self.seal("confirm"))?.into()),
            },
            "multiple_inputs" => {
                let keys = ["user_name", "greeting", "client_roots"];
                if keys.iter().all(|key| responses.contains_key(*key)) && state.is_some() {
                    return done("all three are there".to_owned());
                }
                let asked = json!({"user_name": named("What is your name?", "name"),
                    "greeting": sample("Generate a greeting", 50), "client_roots": roots()});
                Ok(ask(asked, self.seal("several"))?.into())
            }
            "multi_round" => match state.as_deref() {
                Some(b"step1") if responses.contains_key("step1") => {
                    let step2 = named("Step 2: What is your favorite color?", "color");
                    Ok(ask(json!({"step2": step2}), self.seal("step2"))?.into())
                }
                Some(b"step2") if responses.contains_key("step2") => done("two steps were taken".to_owned()),
                _ => {
                    let step1 = named("Step 1: What is your name?", "name");
                    Ok(ask(json!({"step1": step1}), self.seal("step1"))?.into())
                }
            },
            "capabilities" => {
                let declared = serde_json::to_value(context.client_capabilities()).unwrap_or_default();
                let mut asked = json!({});
                if !declared["elicitation"].is_null() {
                    asked["confirm"] = confirm();
                }
                if !declared["sampling"].is_null() {
                    asked["question"] = sample("What is the capital of France?", 100);
                }
                Ok(ask(asked, None)?.into())
            }
            _ => Err(ErrorData::invalid_params("there is no such tool", None)),
        }
    }
}

impl ServerHandler for Fixtures {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
                .enable_resources()
                .enable_prompts()
                .enable_completions()
                .build(),
        )
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools: Vec<Value> = TOOLS
            .iter()
            .map(|name| {
                json!({"name": name, "description": "A fixture of the conformance suite",
                    "inputSchema": {"type": "object", "properties": {}}})
            })
            .collect();
        typed(json!({"tools": tools}))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let embedded = |uri: &str, mime: &str, text: &str| {
            json!({"type": "resource",
                "resource": {"uri": uri, "mimeType": mime, "text": text}})
        };
        let image = json!({"type": "image", "data": DOT, "mimeType": "image/png"});
        let result = match &*request.name {
            "test_simple_text" | "test_logging_tool" => text("This is a simple text response for testing."),
            "test_image_content" => json!({"content": [image]}),
            "test_audio_content" => {
                json!({"content": [{"type": "audio", "data": SILENCE, "mimeType": "audio/wav"}]})
            }
            "test_embedded_resource" => json!({"content": [embedded(
                "test://embedded-resource", "text/plain", "This is an embedded resource content.")]}),
            "test_multiple_content_types" => json!({"content": [
                {"type": "text", "text": "Multiple content types test:"}, image,
                embedded("test://mixed-content-resource", "application/json", "{\"test\":\"data\",\"value\":123}")]}),
            "test_error_handling" => {
                let mut result = text("This tool intentionally returns an error for testing");
                result["isError"] = true.into();
                result
            }
            "test_tool_with_progress" => {
                for progress in [0.0, 50.0, 100.0] {
                    if let Some(token) = context.meta.get_progress_token() {
                        let step = ProgressNotificationParam::new(token, progress).with_total(100.0);
                        // Who has gone needn't be told.
                        let _ = context.peer.notify_progress(step).await;
                    }
                    tokio::time::sleep(STEP).await;
                }
                text("All steps were taken.")
            }
            "test_missing_capability" => {
                let declared = serde_json::to_value(context.client_capabilities()).unwrap_or_default();
                if declared["sampling"].is_null() {
                    return Err(missing_capability("sampling"));
                }
                text("The client can be asked to sample.")
            }
            "test_streaming_elicitation" => {
                return self.asking("elicitation", &request, &context);
            }
            name => {
                let name = name
                    .strip_prefix("test_input_required_result_")
                    .unwrap_or_default();
                return self.asking(name, &request, &context);
            }
        };
        typed::<CallToolResult>(result).map(Into::into)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        typed(json!({"resources": [
            {"uri": "test://static-text", "name": "text", "description": "A text", "mimeType": "text/plain"},
            {"uri": "test://static-binary", "name": "binary", "description": "A picture", "mimeType": "image/png"},
        ]}))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        typed(
            json!({"resourceTemplates": [{"uriTemplate": "test://template/{id}/data", "name": "template",
            "description": "Data by id", "mimeType": "application/json"}]}),
        )
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = &*request.uri;
        let id = uri
            .strip_prefix("test://template/")
            .and_then(|rest| rest.strip_suffix("/data"));
        let contents = match (uri, id) {
            ("test://static-text", _) => json!({"uri": uri, "mimeType": "text/plain",
                "text": "This is the content of the static text resource."}),
            ("test://static-binary", _) => json!({"uri": uri, "mimeType": "image/png", "blob": DOT}),
            (_, Some(id)) => {
                let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
                json!({"uri": uri, "mimeType": "application/json", "text": data.to_string()})
            }
            _ => {
                let data = json!({"uri": uri});
                return Err(ErrorData::invalid_params("there is no such resource", Some(data)));
            }
        };
        typed::<ReadResourceResult>(json!({"contents": [contents]})).map(Into::into)
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let argument = |name: &str| json!({"name": name, "description": "An argument", "required": true});
        typed(json!({"prompts": [
            {"name": "test_simple_prompt", "description": "Without arguments"},
            {"name": "test_prompt_with_arguments", "description": "With two",
                "arguments": [argument("arg1"), argument("arg2")]},
            {"name": "test_prompt_with_embedded_resource", "description": "With a resource",
                "arguments": [argument("resourceUri")]},
            {"name": "test_prompt_with_image", "description": "With a picture"},
            {"name": "test_input_required_result_prompt", "description": "That asks back"},
        ]}))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        let user = |content: Value| json!({"role": "user", "content": content});
        let words = |text: &str| user(json!({"type": "text", "text": text}));
        let messages = match &*request.name {
            "test_simple_prompt" => vec![words("This is a simple prompt for testing.")],
            "test_prompt_with_arguments" => vec![words(&format!(
                "Prompt with arguments: arg1='{}', arg2='{}'",
                argument("arg1"),
                argument("arg2")
            ))],
            "test_prompt_with_embedded_resource" => vec![
                user(
                    json!({"type": "resource", "resource": {"uri": argument("resourceUri"), "mimeType": "text/plain",
                        "text": "Embedded resource content for testing."}}),
                ),
                words("Please process the embedded resource above."),
            ],
            "test_prompt_with_image" => vec![
                user(json!({"type": "image", "data": DOT, "mimeType": "image/png"})),
                words("Please analyze the image above."),
            ],
            "test_input_required_result_prompt" => {
                let responses = request.input_responses.unwrap_or_default();
                let Some(context) = written(&responses, "user_context", "context") else {
                    let question = "What context should the prompt use?";
                    let asked = elicit(question, json!({"context": {"type": "string"}}), "context");
                    return Ok(ask(json!({"user_context": asked}), None)?.into());
                };
                vec![words(&format!("The context is {context}"))]
            }
            _ => return Err(ErrorData::invalid_params("there is no such prompt", None)),
        };
        typed::<GetPromptResult>(json!({"messages": messages})).map(Into::into)
    }
}
