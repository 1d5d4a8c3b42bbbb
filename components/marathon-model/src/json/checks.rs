//! Reading health checks, checks and readiness checks.

use super::{
    names::is_port_name,
    read::status_code,
    shape::{
        At, Fields, boolean, int_in, line, matching, name, natural, port, string, strings, word,
    },
    words,
};
use crate::app::{
    Check, CheckCommand, CheckProbe, HealthCheck, HealthProbe, PortRef, ReadinessCheck,
};
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http { https: bool },
    Tcp,
    Command,
    MesosHttp { https: bool },
    MesosTcp,
}

const PROTOCOLS: &[(&str, Protocol)] = &[
    ("HTTP", Protocol::Http { https: false }),
    ("HTTPS", Protocol::Http { https: true }),
    ("TCP", Protocol::Tcp),
    ("COMMAND", Protocol::Command),
    ("MESOS_HTTP", Protocol::MesosHttp { https: false }),
    ("MESOS_HTTPS", Protocol::MesosHttp { https: true }),
    ("MESOS_TCP", Protocol::MesosTcp),
];

pub(super) fn health_check(value: &Value, at: At<'_>) -> Option<HealthCheck> {
    let fields = Fields::of(value, at)?;
    let seconds = |name: &str, default: u64| fields.get(name, natural).map_or(default, u64::from);
    let protocol = fields.get("protocol", |v, at| word(v, at, PROTOCOLS));
    let protocol = protocol.unwrap_or(Protocol::Http { https: false });
    let ignore_http1xx = fields.get("ignoreHttp1xx", boolean);
    let check = HealthCheck {
        probe: probe(&fields, protocol)?,
        grace_period_seconds: seconds("gracePeriodSeconds", 300),
        interval_seconds: seconds("intervalSeconds", 60),
        timeout_seconds: seconds("timeoutSeconds", 20),
        max_consecutive_failures: fields.get("maxConsecutiveFailures", natural).unwrap_or(3),
        delay_seconds: seconds("delaySeconds", 15),
        ignore_http1xx: matches!(protocol, Protocol::Http { .. })
            .then(|| ignore_http1xx.unwrap_or(false)),
    };
    Some(check)
}

fn probe(fields: &Fields<'_>, protocol: Protocol) -> Option<HealthProbe> {
    let port = port_ref(fields);
    let path = fields.get("path", string);
    let ipv6 = fields.get("ipProtocol", |v, at| word(v, at, words::IP_PROTOCOLS)).unwrap_or(false);
    let command = fields.get("command", |v, at| Fields::of(v, at)?.need("value", string));
    if ipv6 && !matches!(protocol, Protocol::MesosHttp { .. } | Protocol::MesosTcp) {
        fields.at.problem(crate::validate::IPV6_ONLY);
    }
    let given = fields.raw("protocol").and_then(Value::as_str).unwrap_or("HTTP");
    match (protocol, command) {
        (Protocol::Command, Some(command)) => Some(HealthProbe::Command(command)),
        (Protocol::Command, None) => {
            // Not noted twice if the command itself could not be read.
            if fields.raw("command").is_none() {
                let text = format!("illegal protocol {given} for non-command health check");
                fields.at.problem(text);
            }
            None
        }
        (_, Some(_)) => {
            fields.at.problem(format!("illegal protocol {given} specified with command"));
            None
        }
        (Protocol::Http { https }, None) => Some(HealthProbe::Http { https, path, port }),
        (Protocol::Tcp, None) => Some(HealthProbe::Tcp { port }),
        (Protocol::MesosHttp { https }, None) => {
            Some(HealthProbe::MesosHttp { https, path, port, ipv6 })
        }
        (Protocol::MesosTcp, None) => Some(HealthProbe::MesosTcp { port, ipv6 }),
    }
}

/// The port a check is about. A number wins over an index, as in the original; the first port
/// is meant if neither is given.
fn port_ref(fields: &Fields<'_>) -> PortRef {
    let index = fields.get("portIndex", port);
    match fields.get("port", port) {
        Some(number) => PortRef::Number(number),
        None => PortRef::Index(index.map_or(0, u32::from)),
    }
}

pub(super) fn check(value: &Value, at: At<'_>) -> Option<Check> {
    let fields = Fields::of(value, at)?;
    let seconds = |name: &str, default: u64| fields.get(name, natural).map_or(default, u64::from);
    let given = ["exec", "http", "tcp"].iter().filter(|name| fields.raw(name).is_some()).count();
    if given != 1 {
        at.problem("illegal RAML Check: expected one of http, tcp or exec checks");
        return None;
    }
    let exec = fields.get("exec", |v, at| Fields::of(v, at)?.need("command", command));
    let http = fields.get("http", |v, at| {
        let fields = Fields::of(v, at)?;
        Some(CheckProbe::Http {
            path: fields.get("path", line),
            scheme_https: fields
                .get("scheme", |v, at| word(v, at, words::SCHEMES))
                .unwrap_or(false),
            port: port_ref(&fields),
        })
    });
    let tcp =
        fields.get("tcp", |v, at| Some(CheckProbe::Tcp { port: port_ref(&Fields::of(v, at)?) }));
    Some(Check {
        probe: exec.map(CheckProbe::Exec).or(http).or(tcp)?,
        interval_seconds: seconds("intervalSeconds", 60),
        timeout_seconds: seconds("timeoutSeconds", 20),
        delay_seconds: seconds("delaySeconds", 15),
    })
}

fn command(value: &Value, at: At<'_>) -> Option<CheckCommand> {
    let fields = Fields::of(value, at)?;
    if fields.raw("shell").is_none() && fields.raw("argv").is_some() {
        let argv = fields.get("argv", strings)?;
        if argv.is_empty() {
            return at.field("argv").wrong("error.minLength");
        }
        return Some(CheckCommand::Argv(argv));
    }
    fields.need("shell", name).map(CheckCommand::Shell)
}

pub(super) fn readiness_check(value: &Value, at: At<'_>) -> Option<ReadinessCheck> {
    let fields = Fields::of(value, at)?;
    let seconds = |name: &str, min: i32, default: u64| {
        let read = fields.get(name, |v, at| int_in(v, at, min, i32::MAX));
        read.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(default)
    };
    let text = |given: Option<String>, default: &str| given.unwrap_or_else(|| default.to_owned());
    let codes = fields.get("httpStatusCodesForReady", status_codes);
    Some(ReadinessCheck {
        name: text(fields.get("name", name), "readinessCheck"),
        https: fields.get("protocol", |v, at| word(v, at, words::SCHEMES)).unwrap_or(false),
        path: text(fields.get("path", line), "/"),
        port_name: text(fields.get("portName", |v, at| matching(v, at, is_port_name)), "http-api"),
        interval_seconds: seconds("intervalSeconds", 0, 30),
        timeout_seconds: seconds("timeoutSeconds", 1, 10),
        http_status_codes_for_ready: codes.unwrap_or_else(|| BTreeSet::from([200])),
        preserve_last_response: fields.get("preserveLastResponse", boolean).unwrap_or(false),
    })
}

fn status_codes(value: &Value, at: At<'_>) -> Option<BTreeSet<u16>> {
    let codes = super::shape::list(value, at, status_code)?;
    if codes.is_empty() {
        return at.wrong("error.minLength");
    }
    Some(codes.into_iter().collect())
}
