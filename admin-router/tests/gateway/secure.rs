//! TLS: the certificate that IAM's authority issues.

use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use http_kit::client::Authorities;
use http_kit::{Client, ClientConfig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::fakes::Gate;
use crate::wire::ask;

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_of_the_cluster_issues_the_certificate() {
    let gate = Gate::start(|config| {
        config.plain = Some(([127, 0, 0, 1], 0).into());
        config.tls = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let tls = gate.running.tls.unwrap();
    let authorities = Authorities::from_pem(gate.iam.authority_pem.as_bytes()).unwrap();
    let client = Client::new(ClientConfig { authorities, ..ClientConfig::default() });
    let get = |path: &str| {
        let request = Request::get(format!("https://{tls}{path}"));
        let request = request.header("authorization", gate.iam.header("admin"));
        client.fetch(request.body(Full::<Bytes>::default()).unwrap())
    };
    let answer = get("/mesos/state").await.unwrap();
    assert_eq!(answer.status(), 200);
    let head = String::from_utf8(answer.body().to_vec()).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /state http/1.1\r\n"), "{head}");
    assert!(head.contains("x-forwarded-proto: https"), "{head}");
    let page = get("/").await.unwrap();
    assert_eq!(page.headers()["strict-transport-security"], "max-age=31536000");
    // Nobody else is believed.
    let stranger = Client::new(ClientConfig::default());
    let request = Request::get(format!("https://{tls}/")).body(Full::default()).unwrap();
    assert!(stranger.fetch(request).await.is_err());
    // Without TLS one is only told where to go.
    let plain = ask(gate.address(), "GET /mesos/x?y", &[("Host", "evil")], "").await;
    let location = format!("https://127.0.0.1:{}/mesos/x?y", tls.port());
    assert_eq!((plain.status, plain.header("location")), (301, Some(location.as_str())));
    assert_eq!(ask(gate.address(), "GET /ca/dcos-ca.crt", &[], "").await.status, 200);
    let file = gate.folder.path().join("data/tls/gateway.pem");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_certificate_of_another_authority_is_replaced() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let former = Issuer::new(params, KeyPair::generate().unwrap());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &former).unwrap();
    let kept = format!("{}{}", certificate.pem(), key.serialize_pem());
    let gate = Gate::start(|config| {
        config.names = vec!["127.0.0.1".to_owned()];
        config.tls = Some(([127, 0, 0, 1], 0).into());
        let folder = config.data_dir.join("tls");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("gateway.pem"), &kept).unwrap();
    })
    .await;
    let tls = gate.running.tls.unwrap();
    let authorities = Authorities::from_pem(gate.iam.authority_pem.as_bytes()).unwrap();
    let client = Client::new(ClientConfig { authorities, ..ClientConfig::default() });
    let request = Request::get(format!("https://{tls}/")).body(Full::<Bytes>::default()).unwrap();
    assert_eq!(client.fetch(request).await.unwrap().status(), 200);
    gate.end().await;
}
