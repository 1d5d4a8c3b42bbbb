//! What an operator configures.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::audit::{self, RefusalLimits};
use crate::throttle::Limits;

/// Configuration of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub ip: IpAddr,
    /// 0 picks one.
    pub port: u16,
    /// Key of the node, audit log, password of the first administrator, service accounts.
    pub data_dir: PathBuf,
    /// What `uiconfig` answers as the cluster's id.
    pub cluster_id: String,
    /// How long a token and its cookie are good.
    pub token_lifetime: Duration,
    /// The longest that a service may have a token live; `"exp": 0` asks for it. Keys stay
    /// published that long after they signed.
    pub token_longest: Duration,
    /// How long the cookie that tells a page who is logged in stays.
    pub info_cookie_lifetime: Duration,
    /// Where browsers reach the cluster, `https://host`: for providers of logins that say
    /// nothing else.
    pub public_url: Option<String>,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, besides gateways that
    /// show a token of theirs.
    pub trusted_proxies: Vec<IpAddr>,
    /// An audit file that grows beyond this is closed and the next one begun.
    pub audit_file_bytes: u64,
    /// Full audit files that are kept, the oldest goes first; 0 keeps all.
    pub audit_files: usize,
    /// Room on the disk that is kept for logins and changes to be told when there is no other.
    pub audit_reserve_bytes: u64,
    /// How many refusals the audit log has one by one.
    pub refusals: RefusalLimits,
    /// A key that has signed tokens this long gets a successor; `None` leaves that to the
    /// operator.
    pub key_rotation: Option<Duration>,
    /// How long a new key is published before it signs.
    pub key_publish_ahead: Duration,
    /// A superuser with a key that the installation brings: uid and public key (PEM).
    pub superuser_service_account: Option<(String, String)>,
    /// How failed logins slow each other down.
    pub login_limits: Limits,
    /// What `uiconfig` answers besides the cluster's facts.
    pub ui_configuration: serde_json::Value,
    /// How often a follower of the policy hears that nothing changed.
    pub heartbeat: Duration,
}

impl Config {
    /// As the original runs, on this machine.
    pub fn new(data_dir: PathBuf) -> Config {
        let audit = audit::Settings::default();
        Config {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8101,
            data_dir,
            cluster_id: String::new(),
            token_lifetime: Duration::from_secs(5 * 86_400),
            token_longest: Duration::from_secs(365 * 86_400),
            info_cookie_lifetime: Duration::from_secs(5 * 86_400),
            public_url: None,
            trusted_proxies: Vec::new(),
            audit_file_bytes: audit.file_bytes,
            audit_files: audit.files,
            audit_reserve_bytes: audit.reserve_bytes,
            refusals: RefusalLimits::default(),
            key_rotation: Some(Duration::from_secs(90 * 86_400)),
            key_publish_ahead: Duration::from_secs(300),
            superuser_service_account: None,
            login_limits: Limits::default(),
            ui_configuration: ui_configuration(),
            heartbeat: Duration::from_secs(5),
        }
    }
}

/// As the original installs it where nothing is configured.
fn ui_configuration() -> serde_json::Value {
    json!({
        "plugins": {
            "banner": {
                "enabled": false,
                "backgroundColor": "#1E232F",
                "foregroundColor": "#FFFFFF",
                "headerTitle": null,
                "headerContent": null,
                "footerContent": null,
                "imagePath": null,
                "dismissible": null,
            },
            "branding": { "enabled": false },
            "external-links": { "enabled": false },
            "authentication": { "enabled": true },
            "oauth": { "enabled": false },
            "mesos": { "logging-strategy": "logrotate" },
        },
    })
}
