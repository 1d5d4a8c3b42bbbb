//! HTTP and TCP checks, each in a process of its own.
//!
//! The exit status says whether there was a result; an HTTP check prints the status code.

use super::checks::Finding;
use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};
use ureq::{Agent, tls::TlsConfig};

/// The argument before those of a check.
pub const SUBCOMMAND: &str = "probe";
/// A check that the executor does not end ends by itself.
const LIMIT: Duration = Duration::from_secs(3600);
const MAX_REDIRECTS: u32 = 50;

/// The arguments that make a process fetch a URL.
pub fn http_arguments(url: &str) -> [OsString; 3] {
    [SUBCOMMAND.into(), "http".into(), url.into()]
}

/// The arguments that make a process try a connection.
pub fn tcp_arguments(ipv6: bool, port: u16) -> [OsString; 3] {
    let ip: IpAddr = if ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    [SUBCOMMAND.into(), "tcp".into(), SocketAddr::new(ip, port).to_string().into()]
}

/// What a fetching process that ended with success printed.
pub(crate) fn http_finding(printed: &[u8]) -> Finding {
    let code = std::str::from_utf8(printed).ok().and_then(|text| text.trim().parse().ok());
    code.map_or(Finding::Nothing, Finding::StatusCode)
}

/// Runs one check; `arguments` come after [`SUBCOMMAND`].
pub fn main(arguments: &[OsString]) -> ExitCode {
    let texts: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    match texts.as_slice() {
        ["http", url] => http(url),
        ["tcp", address] => tcp(address),
        _ => {
            eprintln!("probe: expected 'http <url>' or 'tcp <ip:port>'");
            ExitCode::from(64)
        }
    }
}

fn http(url: &str) -> ExitCode {
    // A task's own certificate proves nothing to its executor, so none is asked for.
    let tls = TlsConfig::builder().disable_verification(true).build();
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(MAX_REDIRECTS)
        .proxy(None)
        .tls_config(tls)
        .timeout_global(Some(LIMIT))
        .build()
        .into();
    match agent.get(url).call() {
        Ok(response) => {
            println!("{}", response.status().as_u16());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("HTTP check of {url} failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn tcp(address: &str) -> ExitCode {
    let result = address
        .parse::<SocketAddr>()
        .map_err(|error| error.to_string())
        .and_then(|address| TcpStream::connect(address).map_err(|error| error.to_string()));
    match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("TCP check of {address} failed: {error}");
            ExitCode::FAILURE
        }
    }
}
