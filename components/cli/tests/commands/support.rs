//! Servers that answer what they are told to, and commands run against them.

use clap::{Args, CommandFactory, Parser, Subcommand};
use cli::{Environment, Globals, Io};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::thread;

/// The commands as the binary has them, without its own.
#[derive(Debug, Parser)]
#[command(name = "dais", version = "0")]
pub(crate) struct Dais {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Top,
}

#[derive(Debug, Subcommand)]
enum Top {
    /// Look into tasks.
    Task(Task),
    #[command(flatten)]
    Client(cli::Command),
}

#[derive(Debug, Args)]
struct Task {
    #[command(subcommand)]
    command: Option<cli::TaskCommand>,
    #[command(flatten)]
    list: cli::TaskList,
}

/// Who vouches for the servers that speak TLS.
pub(crate) const AUTHORITY: &str = include_str!("keys/authority.pem");

/// What a command did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// As `GET /v2/apps?force=true`.
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// Answers by request line, in order; the last one stays.
type Script = BTreeMap<String, Vec<Answer>>;

#[derive(Clone)]
struct Answer {
    status: u16,
    /// A line of its head, or nothing.
    header: String,
    body: String,
}

/// A server on a free port of loopback; all parts of a cluster in one.
pub(crate) struct Scripted {
    address: String,
    scheme: &'static str,
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    folder: tempfile::TempDir,
}

/// A shared buffer to write to.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

// === impl Scripted ===

impl Scripted {
    pub(crate) fn start() -> Scripted {
        Scripted::listen(None)
    }

    /// One that speaks TLS, with a certificate by [`AUTHORITY`].
    pub(crate) fn start_tls() -> Scripted {
        Scripted::listen(Some(tls()))
    }

    fn listen(tls: Option<Arc<ServerConfig>>) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let script: Arc<Mutex<Script>> = Arc::default();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (answers, record) = (Arc::clone(&script), Arc::clone(&seen));
        // The thread ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, record) = (Arc::clone(&answers), Arc::clone(&record));
                let tls = tls.clone();
                thread::spawn(move || match tls {
                    None => serve(stream, &answers, &record),
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        serve(StreamOwned::new(connection, stream), &answers, &record);
                    }
                });
            }
        });
        Scripted { address, scheme, script, seen, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Answers a request so; given several times, one after the other.
    pub(crate) fn on(&self, line: &str, status: u16, body: impl ToString) -> &Scripted {
        self.on_with(line, status, "", body)
    }

    /// As `on`, with a header.
    pub(crate) fn on_with(
        &self,
        line: &str,
        status: u16,
        header: &str,
        body: impl ToString,
    ) -> &Scripted {
        let mut script = self.script.lock().unwrap();
        let answer = Answer { status, header: header.to_owned(), body: body.to_string() };
        script.entry(line.to_owned()).or_default().push(answer);
        self
    }

    /// Forgets what was said about a request.
    pub(crate) fn remove(&self, line: &str) {
        self.script.lock().unwrap().remove(line);
    }

    /// Points elsewhere from now on.
    pub(crate) fn script_redirect(&self, line: &str, place: &str) {
        self.remove(line);
        self.on_with(line, 307, &format!("Location: {place}"), "");
    }

    /// Answers a request so from now on.
    pub(crate) fn instead(&self, line: &str, status: u16, body: impl ToString) {
        self.remove(line);
        self.on(line, status, body);
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The lines of the requests.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    /// The JSON that was sent with a request.
    pub(crate) fn sent(&self, line: &str) -> Value {
        let seen = self.seen().into_iter().find(|seen| seen.line == line);
        let seen = seen.unwrap_or_else(|| panic!("{line} not in {:?}", self.lines()));
        serde_json::from_str(&seen.body).unwrap()
    }

    /// A file that nobody else can read.
    pub(crate) fn secret_file(&self, name: &str, text: impl ToString) -> String {
        let path = self.file(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A file in the folder of the test.
    pub(crate) fn file(&self, name: &str, text: impl ToString) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs a command against the server, as Marathon, package service, master and agent.
    pub(crate) fn run(&self, words: &str) -> Outcome {
        self.run_with(words, "")
    }

    pub(crate) fn run_with(&self, words: &str, input: &str) -> Outcome {
        let url = format!("http://{}", self.address);
        let home = self.folder.path().to_str().unwrap().to_owned();
        let endpoints = format!(
            r#"{{"mesos_master":"{}","agents":[],"marathon":"{url}","cosmos":"{url}/",
                "dns_http":"{url}"}}"#,
            self.address
        );
        self.file("endpoints.json", endpoints);
        let variables = [("DAIS_DATA_DIR", home.as_str()), ("HOME", home.as_str())];
        run(words, input, &variables)
    }
}

fn serve(stream: impl Read + Write, script: &Mutex<Script>, record: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = read(&mut reader) {
        let line = seen.line.clone();
        record.lock().unwrap().push(seen);
        let answer = {
            let mut script = script.lock().unwrap();
            match script.get_mut(&line) {
                Some(answers) if answers.len() > 1 => answers.remove(0),
                Some(answers) => answers[0].clone(),
                None => Answer {
                    status: 501,
                    header: String::new(),
                    body: format!("{{\"message\":\"the script has no {line}\"}}"),
                },
            }
        };
        let Answer { status, header, body } = answer;
        let length = body.len();
        let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n");
        if !header.is_empty() {
            head += &format!("{header}\r\n");
        }
        head += "Content-Type: application/json\r\n\r\n";
        let body = if line.starts_with("HEAD ") { "" } else { &body };
        let writer = reader.get_mut();
        if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
        let _ = writer.flush();
    }
}

/// What a server with [`AUTHORITY`]'s certificate speaks.
fn tls() -> Arc<ServerConfig> {
    let certificate = include_bytes!("keys/localhost.pem");
    let certificate = CertificateDer::from_pem_slice(certificate).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("keys/localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}

fn read(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { line, headers, body: String::from_utf8(body).unwrap() })
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Words as a shell would split them, with single quotes.
pub(crate) fn split(words: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut quoted = false;
    for c in words.chars() {
        match (c, found.last_mut()) {
            ('\'', _) => quoted = !quoted,
            (' ', Some(last)) if !quoted => {
                if !last.is_empty() {
                    found.push(String::new());
                }
            }
            (c, Some(last)) => last.push(c),
            (_, None) => {}
        }
    }
    found.retain(|word| !word.is_empty());
    found
}

/// Runs a command with an environment of its own.
pub(crate) fn run(words: &str, input: &str, variables: &[(&str, &str)]) -> Outcome {
    let (out, err) = (Buffer::default(), Buffer::default());
    let words = std::iter::once("dais".to_owned()).chain(split(words));
    let dais = match Dais::try_parse_from(words) {
        Ok(dais) => dais,
        Err(error) => {
            let status = u8::try_from(error.exit_code()).unwrap();
            return Outcome { status, out: String::new(), err: error.to_string() };
        }
    };
    let environment = Environment::of(variables.iter().copied());
    let input = std::io::Cursor::new(input.as_bytes().to_vec());
    let io = Io::pipes(input, out.clone(), err.clone(), environment);
    let status = match dais.command {
        Top::Client(command) => cli::run(command, dais.globals, io, Dais::command),
        Top::Task(Task { command, list }) => cli::run_task(command, list, dais.globals, io),
    };
    Outcome { status: status.unwrap(), out: out.text(), err: err.text() }
}

impl Outcome {
    /// The output of a command that must have gone well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.out
    }

    /// The complaint of a command that must have failed with a status.
    pub(crate) fn failed(self, status: u8) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.err
    }

    pub(crate) fn json(self) -> Value {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out}"))
    }
}
