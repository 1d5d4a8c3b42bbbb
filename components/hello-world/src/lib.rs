//! A small web service: the first package that anybody installs.
//!
//! It is not: part of a cluster; it runs as an ordinary task.
//!
//! `/` greets, `/health` says that it is well. Asked to end by SIGTERM, it answers whoever has
//! come or still comes for a moment and tells each to close the connection, so that whoever
//! spreads requests over instances can replace one without losing a request.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Method, StatusCode, header};
use http_kit::{Reply, Request, Response, ServeConfig, respond};
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// How long requests in flight may take after the end was asked for. Executors kill after three
/// seconds unless told otherwise.
const GRACE: Duration = Duration::from_secs(2);

/// What the service is told, all by its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `HELLO_LISTEN`: every address, unless told otherwise.
    pub listen: IpAddr,
    /// `PORT0` or `PORT`, as Marathon gives it.
    pub port: u16,
    /// `HELLO_NAME`: who is greeted.
    pub name: String,
    /// `HELLO_VERSION`.
    pub version: String,
    /// The task's id.
    pub instance: String,
    /// How long new requests are still taken after the end was asked for.
    pub linger: Duration,
}

// === impl Settings ===

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// A variable with a value that means nothing.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> io::Result<Self> {
        let port = variable("PORT0").or_else(|| variable("PORT"));
        let text = |name: &str, default: &str| variable(name).unwrap_or_else(|| default.to_owned());
        let instance = variable("MESOS_TASK_ID");
        Ok(Self {
            listen: match variable("HELLO_LISTEN") {
                Some(text) => read("HELLO_LISTEN", &text)?,
                None => Ipv4Addr::UNSPECIFIED.into(),
            },
            port: port.map_or(Ok(8000), |text| read("PORT0", &text))?,
            name: text("HELLO_NAME", "world"),
            version: text("HELLO_VERSION", env!("CARGO_PKG_VERSION")),
            instance: instance.unwrap_or_else(|| format!("process {}", std::process::id())),
            linger: Duration::from_secs(1),
        })
    }
}

fn read<T: std::str::FromStr>(name: &str, text: &str) -> io::Result<T> {
    let wrong = |_| io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is '{text}'"));
    text.parse().map_err(wrong)
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// The port cannot be used.
pub async fn run(settings: Settings) -> io::Result<()> {
    let ending = CancellationToken::new();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = TcpListener::bind((settings.listen, settings.port)).await?;
    println!("hello-world {} listens on {}", settings.version, listener.local_addr()?);
    let serving = serve(listener, settings, ending.clone());
    let asked = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        ending.cancel();
    };
    tokio::join!(serving, asked);
    Ok(())
}

/// Serves until `ending`, and gracefully to the end.
pub async fn serve(listener: TcpListener, settings: Settings, ending: CancellationToken) {
    let (closed, linger) = (CancellationToken::new(), settings.linger);
    let told = ending.clone();
    let service = move |request: Request, _: SocketAddr| {
        let mut answer = answer(&settings, &request);
        if told.is_cancelled() {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Reply::Now(answer)
    };
    let limits = ServeConfig { grace: GRACE, ..ServeConfig::default() };
    let serving = http_kit::serve(listener, Arc::new(service), limits, closed.clone());
    let closing = async {
        ending.cancelled().await;
        sleep(linger).await;
        closed.cancel();
    };
    tokio::join!(serving, closing);
}

fn answer(settings: &Settings, request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return respond::text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match request.uri().path() {
        "/" => {
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            respond::with_body(StatusCode::OK, html, page(settings))
        }
        "/health" => {
            let status = json!({
                "status": "healthy",
                "version": settings.version,
                "instance": settings.instance,
            });
            let kind = HeaderValue::from_static("application/json");
            respond::with_body(StatusCode::OK, kind, status.to_string())
        }
        _ => respond::text(StatusCode::NOT_FOUND, "nothing here\n"),
    }
}

fn page(settings: &Settings) -> String {
    let [name, version, instance] =
        [&settings.name, &settings.version, &settings.instance].map(|text| escaped(text));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>Hello, {name}!</title>\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto;\
         padding:0 1rem}}dt{{color:#666}}dd{{margin:0 0 .5rem;font-family:monospace}}</style>\
         </head>\n<body><h1>Hello, {name}!</h1>\n<dl><dt>Version</dt><dd>{version}</dd>\n\
         <dt>Instance</dt><dd>{instance}</dd></dl></body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    fn settings(linger: Duration) -> Settings {
        let variables = |name: &str| match name {
            "PORT0" => Some("0".to_owned()),
            "HELLO_LISTEN" => Some("127.0.0.1".to_owned()),
            "HELLO_NAME" => Some("<you>".to_owned()),
            "MESOS_TASK_ID" => Some("hello.1".to_owned()),
            _ => None,
        };
        Settings { linger, ..Settings::from_environment(variables).unwrap() }
    }

    async fn ask(stream: &mut TcpStream, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let read = stream.read(&mut piece).await.unwrap();
            text.extend_from_slice(piece.get(..read).unwrap());
            let answer = String::from_utf8_lossy(&text);
            let length = answer.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.len());
            if read == 0 || length.is_some() && length.and_then(|l| l.parse().ok()) == body {
                return answer.into_owned();
            }
        }
    }

    #[tokio::test]
    async fn greets_and_is_well() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let ending = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, settings(Duration::ZERO), ending.clone()));
        let page = ask(&mut stream, "/").await;
        assert!(page.contains("Hello, &lt;you&gt;!") && page.contains("hello.1"), "{page}");
        let health = ask(&mut stream, "/health").await;
        assert!(health.contains("\"status\":\"healthy\""), "{health}");
        assert!(ask(&mut stream, "/x").await.starts_with("HTTP/1.1 404"));
        ending.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_comes_while_it_ends_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut kept = TcpStream::connect(address).await.unwrap();
        let ending = CancellationToken::new();
        let lasting = settings(Duration::from_secs(60));
        let serving = tokio::spawn(serve(listener, lasting, ending.clone()));
        assert!(!ask(&mut kept, "/").await.contains("Connection: close"));
        ending.cancel();
        let mut fresh = TcpStream::connect(address).await.unwrap();
        for stream in [&mut kept, &mut fresh] {
            let answer = ask(stream, "/health").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "the connection is closed");
        }
        serving.abort();
    }

    #[test]
    fn what_marathon_gives_is_understood() {
        let with = |pairs: &'static [(&str, &str)]| {
            Settings::from_environment(|name| {
                pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[("PORT", "1"), ("PORT0", "2")]).unwrap().port, 2);
        assert_eq!(with(&[]).unwrap().name, "world");
        assert!(with(&[("PORT0", "x")]).unwrap_err().to_string().contains("PORT0"));
    }
}
