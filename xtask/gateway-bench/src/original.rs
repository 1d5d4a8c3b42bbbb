//! The original's Admin Router: its own authentication code before each request, on Debian's nginx
//! with the Lua module.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::{Place, free_port};
use crate::proxies::{Proxy, Setup, nginx_head};

/// Modules that Debian has under another name.
const RENAMED: [&str; 9] =
    ["aes", "md5", "random", "sha", "sha1", "sha224", "sha256", "sha512", "string"];

pub(crate) fn start(setup: &Setup, source: &Path) -> Result<Proxy> {
    let (plain, tls) = (free_port()?, free_port()?);
    let folder = setup.folder.join("original");
    let (key, token) = token(&folder)?;
    let library = source.join("lib").canonicalize().context("the original's lib folder")?;
    let names = folder.join("resty");
    fs::create_dir_all(&names)?;
    for name in RENAMED {
        fs::write(names.join(format!("{name}.lua")), format!("return require \"nginx.{name}\"\n"))?;
    }
    let configuration = format!(
        r#"load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
env AUTH_TOKEN_VERIFICATION_KEY_FILE_PATH={key};
env AUTH_ERROR_PAGE_DIR_PATH={pages};
{head}
  lua_package_path "{library}/?.lua;{folder}/?.lua;;";
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 1024; keepalive_requests 100000000; }}
  ssl_certificate {certificate}; ssl_certificate_key {certificate_key};
  init_by_lua_block {{ auth = (require "auth.open").init("true") }}
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    listen 127.0.0.1:{tls} ssl http2 backlog=4096;
    location /package/ {{
      access_by_lua_block {{ auth.access_package_endpoint() }}
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
}}
"#,
        key = key.display(),
        pages = source.join("errorpages").display(),
        head = nginx_head(&folder),
        library = library.display(),
        folder = folder.display(),
        backend = setup.backend,
        certificate = setup.files.certificate.display(),
        certificate_key = setup.files.key.display(),
    );
    let mut process = setup.nginx("original", Place::Proxy, &configuration)?;
    process.wait_for(&[plain, tls])?;
    let authorization = Some(format!("token={token}"));
    Ok(Proxy::new("original", vec![process], (Some(plain), Some(tls)), authorization, Vec::new()))
}

/// A key for verification, and a token as the original's identity service makes them.
fn token(folder: &Path) -> Result<(std::path::PathBuf, String)> {
    fs::create_dir_all(folder)?;
    let (private, public) = (folder.join("private.pem"), folder.join("public.pem"));
    openssl(Command::new("openssl").args(["genrsa", "-out"]).arg(&private).arg("2048"), b"")?;
    let mut command = Command::new("openssl");
    openssl(command.args(["rsa", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public), b"")?;
    let head = base64(br#"{"alg":"RS256","typ":"JWT"}"#);
    let claims = base64(br#"{"uid":"bench","exp":4102444800}"#);
    let text = format!("{head}.{claims}");
    let mut command = Command::new("openssl");
    let signature =
        openssl(command.args(["dgst", "-sha256", "-sign"]).arg(&private), text.as_bytes())?;
    Ok((public, format!("{text}.{}", base64(&signature))))
}

fn openssl(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("openssl")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", output.status);
    }
    Ok(output.stdout)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
