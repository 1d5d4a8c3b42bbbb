//! `/api/v1`: the operator's reads. What needs nested containers, sessions, images or resource
//! providers is later work and refused by name.

use super::{
    ACTOR, Answered, MAX_BODY, READWRITE, State, classic::living, content_type, flags, flatten,
    metrics, permissions,
};
use crate::core::Snapshot;
use http::{HeaderValue, Method, StatusCode};
use http_kit::{
    Body, Endpoint, Request, Response, Routes,
    files::{FileInfo, FilesError},
    guard::Refusal,
    negotiate::{
        APPLICATION_RECORDIO, accepts, accepts_in, request_media, require_post, response_media,
    },
    permissions::Caller,
    read_body, respond,
};
use mesos_messages::{
    content::{self, ContentType},
    json::JsonMessage,
    v1::{
        self,
        agent::{
            Call, Response as Answer,
            call::{self, Type},
            response,
        },
    },
};
use std::sync::Arc;

pub(super) fn add(routes: &mut Routes, state: &Arc<State>) {
    let operator = Arc::clone(state);
    routes.add(
        Endpoint::new(ACTOR, "/api/v1", move |request| {
            let state = Arc::clone(&operator);
            async move { flatten(handle(&state, request).await) }
        })
        .exact()
        .realm(READWRITE)
        .help("The operator API"),
    );
    let provider = Arc::clone(state);
    routes.add(
        Endpoint::new(ACTOR, "/api/v1/resource_provider", move |request| {
            let state = Arc::clone(&provider);
            async move { flatten(resource_provider(&state, request).await) }
        })
        .help("The API of resource providers"),
    );
}

async fn handle(state: &Arc<State>, request: Request) -> Answered {
    let (parts, body) = request.into_parts();
    require_post(&parts.method)?;
    let headers = &parts.headers;
    let caller = Caller::of(&parts.extensions);
    let recordio = headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes() == APPLICATION_RECORDIO.as_bytes());
    if recordio {
        // Only this call is one of several messages.
        judge(Type::AttachContainerInput, &caller)?;
        return Err(streaming_request(headers));
    }
    let media = request_media(headers)?;
    if headers.contains_key("message-content-type") {
        return Err(respond::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Expecting 'Message-Content-Type' to be not set for non-streaming requests",
        ));
    }
    let body = read_body(body, MAX_BODY).await?;
    let call: Call = content::decode(content_type(media), &body)
        .map_err(|error| respond::bad_request(error.to_string()))?;
    judge(call.r#type(), &caller)?;
    validate(&call)
        .map_err(|text| respond::bad_request(format!("Failed to validate agent::Call: {text}")))?;
    let content = answer_content(headers, call.r#type())?;
    dispatch(state, call, content, &caller).await
}

/// Whether the caller may make such a call.
fn judge(kind: Type, caller: &Caller) -> Result<(), Response> {
    permissions::TABLE
        .judge_call(&Method::POST, permissions::OPERATOR, kind.as_str_name(), caller, "")
        .map_err(Refusal::response)
}

/// Streams of messages are for sessions, of which there are none yet.
fn streaming_request(headers: &http::HeaderMap) -> Response {
    let Some(kind) = headers.get("message-content-type") else {
        return respond::bad_request(
            "Expecting 'Message-Content-Type' to be set for streaming requests",
        );
    };
    if http_kit::negotiate::Media::from_name(kind.to_str().unwrap_or_default()).is_none() {
        return respond::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Expecting 'Message-Content-Type' of application/json or application/x-protobuf",
        );
    }
    respond::not_implemented("Attaching to containers is not supported by this agent")
}

fn answer_content(headers: &http::HeaderMap, kind: Type) -> Result<ContentType, Response> {
    let streams = matches!(kind, Type::AttachContainerOutput | Type::LaunchNestedContainerSession);
    let plain = response_media(headers);
    if plain.is_ok() || !accepts(headers, APPLICATION_RECORDIO) {
        let content = content_type(plain?);
        if headers.contains_key("message-accept") && !streams {
            return Err(respond::text(
                StatusCode::NOT_ACCEPTABLE,
                "Expecting 'Message-Accept' to be not set for non-streaming responses",
            ));
        }
        return Ok(content);
    }
    let name = http::HeaderName::from_static("message-accept");
    if streams && accepts_in(headers, &name, ContentType::Json.as_str()) {
        return Ok(ContentType::Json);
    }
    if streams && accepts_in(headers, &name, ContentType::Protobuf.as_str()) {
        return Ok(ContentType::Protobuf);
    }
    Err(respond::text(
        StatusCode::NOT_ACCEPTABLE,
        "Streaming response is not supported for this call",
    ))
}

fn validate(call: &Call) -> Result<(), String> {
    if call.r#type.is_none() {
        return Err("Expecting 'type' to be present".to_owned());
    }
    let (present, name) = match call.r#type() {
        Type::SetLoggingLevel => (call.set_logging_level.is_some(), "set_logging_level"),
        Type::ListFiles => (call.list_files.is_some(), "list_files"),
        Type::ReadFile => (call.read_file.is_some(), "read_file"),
        Type::GetMetrics => (call.get_metrics.is_some(), "get_metrics"),
        Type::KillNestedContainer => {
            (call.kill_nested_container.is_some(), "kill_nested_container")
        }
        Type::KillContainer => (call.kill_container.is_some(), "kill_container"),
        Type::WaitNestedContainer => {
            (call.wait_nested_container.is_some(), "wait_nested_container")
        }
        Type::WaitContainer => (call.wait_container.is_some(), "wait_container"),
        Type::LaunchNestedContainer => {
            (call.launch_nested_container.is_some(), "launch_nested_container")
        }
        Type::LaunchContainer => (call.launch_container.is_some(), "launch_container"),
        Type::LaunchNestedContainerSession => {
            (call.launch_nested_container_session.is_some(), "launch_nested_container_session")
        }
        Type::RemoveNestedContainer => {
            (call.remove_nested_container.is_some(), "remove_nested_container")
        }
        Type::RemoveContainer => (call.remove_container.is_some(), "remove_container"),
        Type::AttachContainerInput => {
            (call.attach_container_input.is_some(), "attach_container_input")
        }
        Type::AttachContainerOutput => {
            (call.attach_container_output.is_some(), "attach_container_output")
        }
        Type::AddResourceProviderConfig => {
            (call.add_resource_provider_config.is_some(), "add_resource_provider_config")
        }
        Type::UpdateResourceProviderConfig => {
            (call.update_resource_provider_config.is_some(), "update_resource_provider_config")
        }
        Type::RemoveResourceProviderConfig => {
            (call.remove_resource_provider_config.is_some(), "remove_resource_provider_config")
        }
        Type::MarkResourceProviderGone => {
            (call.mark_resource_provider_gone.is_some(), "mark_resource_provider_gone")
        }
        _ => (true, ""),
    };
    if present { Ok(()) } else { Err(format!("Expecting '{name}' to be present")) }
}

async fn dispatch(
    state: &Arc<State>,
    call: Call,
    content: ContentType,
    caller: &Caller,
) -> Answered {
    state.recovered().await?;
    let kind = call.r#type();
    let mut answer = Answer::default();
    match kind {
        Type::Unknown => return Err(respond::not_implemented(Body::Empty)),
        Type::GetHealth => answer.get_health = Some(response::GetHealth { healthy: true }),
        Type::GetFlags => answer.get_flags = Some(get_flags(state)),
        Type::GetVersion => answer.get_version = Some(get_version(state)),
        Type::GetMetrics => {
            let metrics = metrics::messages(state).await?;
            answer.get_metrics = Some(response::GetMetrics { metrics });
        }
        Type::GetLoggingLevel => {
            let level = state.config.logging.level();
            answer.get_logging_level = Some(response::GetLoggingLevel { level });
        }
        Type::SetLoggingLevel => return set_logging_level(state, call.set_logging_level),
        Type::ListFiles => {
            let path = call.list_files.unwrap_or_default().path;
            let files = state.files.browse(&path, caller).await.map_err(refuse)?;
            let file_infos = files.into_iter().map(file_info).collect();
            answer.list_files = Some(response::ListFiles { file_infos });
        }
        Type::ReadFile => {
            let read = call.read_file.unwrap_or_default();
            let piece = state
                .files
                .read(&read.path, Some(read.offset), read.length, caller)
                .await
                .map_err(refuse)?;
            answer.read_file =
                Some(response::ReadFile { size: piece.size, data: piece.data.into() });
        }
        Type::GetContainers => answer.get_containers = get_containers(state).await?,
        Type::GetOperations => answer.get_operations = Some(Default::default()),
        Type::GetResourceProviders => answer.get_resource_providers = Some(Default::default()),
        Type::GetAgent => {
            let snapshot = state.snapshot().await?;
            let drain = snapshot.drain.as_ref();
            answer.get_agent = Some(response::GetAgent {
                agent_info: Some((*snapshot.info).clone()),
                drain_config: drain.map(|drain| drain.config),
                estimated_drain_start_time: drain.map(|drain| drain.since.into()),
            });
        }
        Type::GetState | Type::GetTasks | Type::GetExecutors | Type::GetFrameworks => {
            return lists(state, kind, content).await;
        }
        other => return Err(refuse_container_call(&call, other)),
    }
    answer.r#type = Some(response_type(kind) as i32);
    Ok(message(content, &answer))
}

fn message(content: ContentType, answer: &Answer) -> Response {
    bytes(content, content::encode(content, answer))
}

fn bytes(content: ContentType, body: Vec<u8>) -> Response {
    respond::with_body(StatusCode::OK, HeaderValue::from_static(content.as_str()), body)
}

fn response_type(kind: Type) -> response::Type {
    match kind {
        Type::GetHealth => response::Type::GetHealth,
        Type::GetFlags => response::Type::GetFlags,
        Type::GetVersion => response::Type::GetVersion,
        Type::GetMetrics => response::Type::GetMetrics,
        Type::GetLoggingLevel => response::Type::GetLoggingLevel,
        Type::ListFiles => response::Type::ListFiles,
        Type::ReadFile => response::Type::ReadFile,
        Type::GetContainers => response::Type::GetContainers,
        Type::GetOperations => response::Type::GetOperations,
        Type::GetResourceProviders => response::Type::GetResourceProviders,
        Type::GetAgent => response::Type::GetAgent,
        Type::GetState => response::Type::GetState,
        Type::GetTasks => response::Type::GetTasks,
        Type::GetExecutors => response::Type::GetExecutors,
        Type::GetFrameworks => response::Type::GetFrameworks,
        _ => response::Type::Unknown,
    }
}

fn set_logging_level(state: &State, call: Option<call::SetLoggingLevel>) -> Answered {
    let call = call.unwrap_or_default();
    state.config.logging.set(call.level, call.duration.to_duration());
    Ok(respond::ok())
}

/// The v1 API names errors of files without the classic endpoints' line ends.
fn refuse(error: FilesError) -> Response {
    match error {
        FilesError::Invalid(text) => respond::bad_request(text),
        FilesError::Forbidden => respond::forbidden(),
        FilesError::NotFound => respond::not_found(),
        FilesError::Io(text) => respond::internal_error(text),
    }
}

fn file_info(file: FileInfo) -> v1::FileInfo {
    v1::FileInfo {
        path: file.path,
        nlink: Some(i32::try_from(file.nlink).unwrap_or(i32::MAX)),
        size: Some(file.size),
        mtime: Some(v1::TimeInfo { nanoseconds: file.mtime.saturating_mul(1_000_000_000) }),
        mode: Some(file.mode),
        uid: Some(file.uid),
        gid: Some(file.gid),
    }
}

fn get_flags(state: &State) -> response::GetFlags {
    let flags = flags::of(&state.config, &state.upid, state.runtime.launcher())
        .into_iter()
        .map(|(name, value)| v1::Flag { name: name.to_owned(), value: Some(value) })
        .collect();
    response::GetFlags { flags }
}

fn get_version(state: &State) -> response::GetVersion {
    let version_info = v1::VersionInfo {
        version: state.config.version.clone(),
        build_date: Some(String::new()),
        build_time: Some(0.0),
        build_user: Some(String::new()),
        ..Default::default()
    };
    response::GetVersion { version_info }
}

async fn get_containers(state: &State) -> Result<Option<response::GetContainers>, Response> {
    let snapshot = state.snapshot().await?;
    let mut containers = Vec::new();
    for executor in living(&snapshot) {
        let id = &executor.run.container_id;
        containers.push(response::get_containers::Container {
            framework_id: Some(v1::FrameworkId { value: executor.run.framework_id.clone() }),
            executor_id: Some(executor.info.executor_id.clone()),
            executor_name: executor.info.name.clone(),
            container_id: v1::ContainerId { value: id.clone(), parent: None },
            container_status: state.runtime.status(id),
            resource_statistics: state.runtime.usage(id.clone()).await,
        });
    }
    // The original says nothing rather than "none".
    Ok((!containers.is_empty()).then_some(response::GetContainers { containers }))
}

/// Container calls that this agent cannot serve. Of containers it does not have (it has no nested
/// ones) some have an answer of their own.
fn refuse_container_call(call: &Call, kind: Type) -> Response {
    let killed = call.kill_nested_container.as_ref().map(|kill| &kill.container_id);
    let killed = killed.or(call.kill_container.as_ref().map(|kill| &kill.container_id));
    let waited = call.wait_nested_container.as_ref().map(|wait| &wait.container_id);
    let waited = waited.or(call.wait_container.as_ref().map(|wait| &wait.container_id));
    match (kind, killed, waited) {
        (Type::KillNestedContainer | Type::KillContainer, Some(id), _) => respond::text(
            StatusCode::NOT_FOUND,
            format!("Container '{}' cannot be found (or is already killed)", full_id(id)),
        ),
        (Type::WaitNestedContainer | Type::WaitContainer, _, Some(id)) => respond::text(
            StatusCode::NOT_FOUND,
            format!("Container '{}' cannot be found", full_id(id)),
        ),
        _ => respond::not_implemented(format!(
            "{} is not supported by this agent",
            kind.as_str_name()
        )),
    }
}

/// `parent.child`.
fn full_id(id: &v1::ContainerId) -> String {
    match &id.parent {
        Some(parent) => format!("{}.{}", full_id(parent), id.value),
        None => id.value.clone(),
    }
}

// === The lists ===

#[derive(Default)]
struct Lists {
    tasks: response::GetTasks,
    executors: response::GetExecutors,
    frameworks: response::GetFrameworks,
}

impl Lists {
    fn of(snapshot: &Snapshot) -> Self {
        let mut lists = Self::default();
        let present = snapshot.frameworks.iter().map(|framework| (framework, false));
        let past = snapshot.completed_frameworks.iter().map(|framework| (framework, true));
        for (framework, completed) in present.chain(past) {
            let info = (*framework.info).clone();
            let shown = response::get_frameworks::Framework { framework_info: info };
            if completed {
                lists.frameworks.completed_frameworks.push(shown);
            } else {
                lists.frameworks.frameworks.push(shown);
            }
            for executor in &framework.executors {
                let executor_info = (*executor.info).clone();
                let shown = response::get_executors::Executor { executor_info };
                lists.executors.executors.push(shown);
                lists.add_tasks(executor);
            }
            for executor in &framework.completed_executors {
                let executor_info = (*executor.info).clone();
                let shown = response::get_executors::Executor { executor_info };
                lists.executors.completed_executors.push(shown);
                lists.add_tasks(executor);
            }
        }
        lists
    }

    fn add_tasks(&mut self, executor: &crate::core::ExecutorView) {
        let clone = |task: &Arc<v1::Task>| (**task).clone();
        let tasks = &mut self.tasks;
        tasks.queued_tasks.extend(executor.queued.iter().map(|(_, task)| clone(task)));
        tasks.launched_tasks.extend(executor.launched.iter().map(clone));
        tasks.terminated_tasks.extend(executor.terminated.iter().map(clone));
        tasks.completed_tasks.extend(executor.completed.iter().map(clone));
    }
}

async fn lists(state: &State, kind: Type, content: ContentType) -> Answered {
    let snapshot = state.snapshot().await?;
    let lists = Lists::of(&snapshot);
    if content == ContentType::Json {
        return Ok(bytes(content, lists_json(kind, &lists)));
    }
    let mut answer = Answer { r#type: Some(response_type(kind) as i32), ..Default::default() };
    match kind {
        Type::GetTasks => answer.get_tasks = Some(lists.tasks),
        Type::GetExecutors => answer.get_executors = Some(lists.executors),
        Type::GetFrameworks => answer.get_frameworks = Some(lists.frameworks),
        _ => {
            answer.get_state = Some(response::GetState {
                get_tasks: Some(lists.tasks),
                get_executors: Some(lists.executors),
                get_frameworks: Some(lists.frameworks),
            });
        }
    }
    Ok(message(content, &answer))
}

/// The lists as JSON, empty ones included, as the original writes them.
fn lists_json(kind: Type, lists: &Lists) -> Vec<u8> {
    use http_kit::json::Object;
    let tasks = |out: &mut Vec<u8>| {
        let mut object = Object::new(out);
        for (name, list) in [
            ("pending_tasks", &lists.tasks.pending_tasks),
            ("queued_tasks", &lists.tasks.queued_tasks),
            ("launched_tasks", &lists.tasks.launched_tasks),
            ("terminated_tasks", &lists.tasks.terminated_tasks),
            ("completed_tasks", &lists.tasks.completed_tasks),
        ] {
            v1::Task::write_json_list(list, object.key(name));
        }
        object.end();
    };
    let executors = |out: &mut Vec<u8>| {
        use response::get_executors::Executor;
        let mut object = Object::new(out);
        Executor::write_json_list(&lists.executors.executors, object.key("executors"));
        let completed = &lists.executors.completed_executors;
        Executor::write_json_list(completed, object.key("completed_executors"));
        object.end();
    };
    let frameworks = |out: &mut Vec<u8>| {
        use response::get_frameworks::Framework;
        let mut object = Object::new(out);
        Framework::write_json_list(&lists.frameworks.frameworks, object.key("frameworks"));
        let completed = &lists.frameworks.completed_frameworks;
        Framework::write_json_list(completed, object.key("completed_frameworks"));
        object.end();
    };
    let mut out = Vec::with_capacity(1024);
    let mut object = Object::new(&mut out);
    object.string("type", kind.as_str_name());
    match kind {
        Type::GetTasks => tasks(object.key("get_tasks")),
        Type::GetExecutors => executors(object.key("get_executors")),
        Type::GetFrameworks => frameworks(object.key("get_frameworks")),
        _ => {
            let mut inner = Object::new(object.key("get_state"));
            tasks(inner.key("get_tasks"));
            executors(inner.key("get_executors"));
            frameworks(inner.key("get_frameworks"));
            inner.end();
        }
    }
    object.end();
    out
}

// === Resource providers ===

async fn resource_provider(state: &State, request: Request) -> Answered {
    let (parts, body) = request.into_parts();
    require_post(&parts.method)?;
    let media = request_media(&parts.headers)?;
    let body = read_body(body, MAX_BODY).await?;
    let call: v1::resource_provider::Call = content::decode(content_type(media), &body)
        .map_err(|error| respond::bad_request(error.to_string()))?;
    if call.r#type.is_none() {
        return Err(respond::bad_request(
            "Failed to validate resource_provider::Call: Expecting 'type' to be present",
        ));
    }
    state.recovered().await?;
    Err(respond::not_implemented("Resource providers are not supported by this agent"))
}
