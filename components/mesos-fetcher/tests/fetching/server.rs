//! A web server that counts.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// Answers on loopback until the test ends.
pub(super) struct Server {
    address: String,
    seen: Arc<Mutex<HashMap<String, usize>>>,
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let counted = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                thread::spawn(move || drop(serve(stream, &counted)));
            }
        });
        Self { address, seen }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// How often `request`, such as `GET /x`, came.
    pub(super) fn count(&self, request: &str) -> usize {
        self.seen.lock().unwrap().get(request).copied().unwrap_or_default()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<HashMap<String, usize>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let request = line.rsplit_once(' ').map(|(request, _)| request.to_owned()).unwrap_or_default();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    *seen.lock().unwrap().entry(request.clone()).or_default() += 1;
    let (method, path) = request.split_once(' ').unwrap_or_default();
    let (status, headers, body): (_, _, Vec<u8>) = match path {
        "/moved" => ("302 Found", "Location: /hello\r\n", Vec::new()),
        "/circle" => ("302 Found", "Location: /circle\r\n", Vec::new()),
        "/missing" => ("404 Not Found", "", b"not here".to_vec()),
        "/created" => ("201 Created", "", b"created".to_vec()),
        "/large" => ("200 OK", "", vec![b'x'; 100_000]),
        "/slow" => {
            if method == "GET" {
                thread::sleep(Duration::from_millis(200));
            }
            ("200 OK", "", b"slow".to_vec())
        }
        "/cut" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")?;
            return Ok(());
        }
        "/stalled" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")?;
            thread::sleep(Duration::from_secs(30));
            return Ok(());
        }
        _ => ("200 OK", "", b"hello".to_vec()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    Ok(())
}
