//! The proxies side by side: configuration of each, one worker, one backend, one certificate.
//!
//! Each proxies `/package/…` over kept connections and adds the headers that the gateway adds;
//! none writes an access log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::certificate::{self, Files};
use crate::gateway;
use crate::load::{Load, Target};
use crate::original;
use crate::process::{Place, Process, free_port, on};

/// What all of them share.
pub(crate) struct Setup {
    pub(crate) folder: PathBuf,
    pub(crate) files: Files,
    pub(crate) backend: u16,
    /// The original's Lua, if it is to be measured.
    original: Option<PathBuf>,
}

/// One of them, running.
pub(crate) struct Proxy {
    name: &'static str,
    processes: Vec<Process>,
    pub(crate) plain: Option<u16>,
    pub(crate) tls: Option<u16>,
    authorization: Option<String>,
    /// What it needs beside itself.
    _others: Vec<Process>,
}

// === impl Proxy ===

impl Proxy {
    pub(crate) fn new(
        name: &'static str,
        processes: Vec<Process>,
        (plain, tls): (Option<u16>, Option<u16>),
        authorization: Option<String>,
        others: Vec<Process>,
    ) -> Proxy {
        Proxy { name, processes, plain, tls, authorization, _others: others }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        self.processes.iter().map(Process::cpu_seconds).sum()
    }

    /// Memory of its own, in bytes.
    pub(crate) fn memory(&self) -> Result<f64> {
        self.processes.iter().map(Process::memory).sum()
    }

    /// Where this proxy takes such a load; None if it does not.
    pub(crate) fn target(&self, load: &Load) -> Option<Target> {
        let (scheme, port) =
            if load.tls || load.http2 { ("https", self.tls?) } else { ("http", self.plain?) };
        let url = format!("{scheme}://localhost:{port}/package/{}", load.path);
        Some(Target { url, authorization: self.authorization.clone() })
    }

    /// The header of a request by hand.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

// === impl Setup ===

impl Setup {
    pub(crate) fn prepare(folder: &Path, original: Option<PathBuf>) -> Result<Setup> {
        for program in ["taskset", "wrk", "h2load", "nginx", "haproxy", "caddy"] {
            let found = Command::new("which").arg(program).output()?.status.success();
            if !found {
                bail!(
                    "{program} is missing: apt-get install nginx haproxy caddy wrk nghttp2-client"
                );
            }
        }
        let files = certificate::make(folder)?;
        Ok(Setup { folder: folder.to_owned(), files, backend: free_port()?, original })
    }

    /// nginx with answers of both sizes, beside the client and not on the proxies' core.
    pub(crate) fn start_backend(&self) -> Result<Process> {
        let root = self.folder.join("backend");
        let files = root.join("package");
        fs::create_dir_all(&files)?;
        fs::write(files.join("1k"), vec![b'x'; 1024])?;
        fs::write(files.join("100k"), vec![b'x'; 100 * 1024])?;
        let configuration = format!(
            "{}\n  sendfile on; tcp_nopush on; open_file_cache max=10; root {};\n  \
             server {{ listen 127.0.0.1:{} backlog=4096; }}\n}}\n",
            nginx_head(&root),
            root.display(),
            self.backend,
        );
        let mut process = self.nginx("backend", Place::Other, &configuration)?;
        process.wait_for(&[self.backend])?;
        Ok(process)
    }

    pub(crate) fn start_proxies(&self) -> Result<Vec<Proxy>> {
        let mut proxies = gateway::start_both(self)?;
        proxies.extend([self.start_nginx()?, self.start_haproxy()?, self.start_caddy()?]);
        if let Some(source) = &self.original {
            proxies.push(original::start(self, source)?);
        }
        Ok(proxies)
    }

    pub(crate) fn nginx(&self, name: &str, place: Place, configuration: &str) -> Result<Process> {
        let path = self.folder.join(format!("{name}.conf"));
        fs::write(&path, configuration)?;
        let mut command = on(place, "nginx");
        command.arg("-c").arg(&path).arg("-e").arg(self.folder.join(format!("{name}.err")));
        Process::start(&mut command, &self.folder.join(format!("{name}.log")))
    }

    fn start_nginx(&self) -> Result<Proxy> {
        let (plain, tls) = (free_port()?, free_port()?);
        let configuration = format!(
            r#"{head}
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 1024; keepalive_requests 100000000; }}
  ssl_certificate {certificate}; ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:all:10m;
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    listen 127.0.0.1:{tls} ssl http2 backlog=4096;
    location /package/ {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"#,
            head = nginx_head(&self.folder.join("nginx")),
            backend = self.backend,
            certificate = self.files.certificate.display(),
            key = self.files.key.display(),
        );
        let mut process = self.nginx("nginx", Place::Proxy, &configuration)?;
        process.wait_for(&[plain, tls])?;
        Ok(Proxy::new("nginx", vec![process], (Some(plain), Some(tls)), None, Vec::new()))
    }

    fn start_haproxy(&self) -> Result<Proxy> {
        let (plain, tls) = (free_port()?, free_port()?);
        let path = self.folder.join("haproxy.conf");
        let configuration = format!(
            "global\n  nbthread 1\n  maxconn 9000\n  tune.ssl.default-dh-param 2048\n\
             defaults\n  mode http\n  option forwardfor\n  timeout connect 5s\n  \
             timeout client 60s\n  timeout server 60s\n  http-reuse always\n\
             frontend gateway\n  bind 127.0.0.1:{plain} backlog 4096\n  \
             bind 127.0.0.1:{tls} backlog 4096 ssl crt {both} alpn h2,http/1.1\n  \
             http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}\n  \
             http-request set-header X-Real-IP %[src]\n  default_backend backend\n\
             backend backend\n  server one 127.0.0.1:{backend}\n",
            both = self.files.both.display(),
            backend = self.backend,
        );
        fs::write(&path, configuration)?;
        let mut command = on(Place::Proxy, "haproxy");
        command.arg("-db").arg("-f").arg(&path);
        let mut process = Process::start(&mut command, &self.folder.join("haproxy.log"))?;
        process.wait_for(&[plain, tls])?;
        Ok(Proxy::new("haproxy", vec![process], (Some(plain), Some(tls)), None, Vec::new()))
    }

    fn start_caddy(&self) -> Result<Proxy> {
        let (plain, tls) = (free_port()?, free_port()?);
        let path = self.folder.join("Caddyfile");
        let configuration = format!(
            "{{\n  admin off\n  auto_https off\n}}\n\
             http://localhost:{plain} {{\n  bind 127.0.0.1\n  \
             reverse_proxy 127.0.0.1:{backend}\n}}\n\
             https://localhost:{tls} {{\n  bind 127.0.0.1\n  tls {certificate} {key}\n  \
             reverse_proxy 127.0.0.1:{backend}\n}}\n",
            backend = self.backend,
            certificate = self.files.certificate.display(),
            key = self.files.key.display(),
        );
        fs::write(&path, configuration)?;
        let mut command = on(Place::Proxy, "caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&path);
        command.env("GOMAXPROCS", "1").env("HOME", &self.folder);
        let mut process = Process::start(&mut command, &self.folder.join("caddy.log"))?;
        process.wait_for(&[plain, tls])?;
        Ok(Proxy::new("caddy", vec![process], (Some(plain), Some(tls)), None, Vec::new()))
    }
}

/// One worker, no log, kept connections without an end.
pub(crate) fn nginx_head(folder: &Path) -> String {
    let _ = fs::create_dir_all(folder);
    let folder = folder.display();
    format!(
        "daemon off; worker_processes 1; pid {folder}/pid; worker_rlimit_nofile 20000;\n\
         events {{ worker_connections 18000; }}\nhttp {{\n  access_log off; server_tokens off;\n  \
         keepalive_requests 100000000; keepalive_timeout 600s; client_body_temp_path {folder}/b;\n  \
         proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; \
         scgi_temp_path {folder}/s;"
    )
}
