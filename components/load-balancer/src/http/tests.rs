//! Answers as clients of dcos-net know them.

use std::net::Ipv4Addr;

use http_body_util::BodyExt;

use super::*;
use crate::kernel::Vip;
use crate::vips::label::{Host, Protocol};
use crate::vips::offer::Service as VipService;
use crate::wire::{Entry, Target};

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

fn api(listening: Option<Arc<Listening>>) -> Api {
    Api(Arc::new(Shared {
        view: Arc::new(View::default()),
        metrics: Arc::new(Metrics::default()),
        listening,
        guard: Guard::disabled(),
        client: Client::new(http_kit::ClientConfig::default()),
        dns: None,
        controllers: Vec::new(),
        answer: Mutex::new(None),
        stop: CancellationToken::new(),
    }))
}

fn publish(api: &Api, name: &str, port: u16) -> Vip {
    let target = |last, weight| {
        let ip = Ipv4Addr::new(10, 0, 0, last);
        Target { ip, port: 31000, weight, agent: ip, inside: None }
    };
    let entry = Entry {
        vip: name.to_owned(),
        protocol: Protocol::Tcp,
        ip: name.parse().unwrap_or(Ipv4Addr::new(11, 1, 2, 3)),
        port,
        backends: vec![target(1, 1), target(2, 0)],
    };
    let host = name.parse().map_or_else(|_| Host::Name(name.into()), Host::Address);
    let (service, key) = (VipService { host, protocol: Protocol::Tcp, port }, entry.key());
    api.0.view.publish(vec![(service, Some(Arc::new(entry)))]);
    key
}

async fn ask(api: &Api, path: &str, header: Option<(&str, &str)>) -> Response {
    let mut request = http::Request::get(path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    match api.call(request.body(http_kit::Body::Empty).unwrap(), PEER) {
        Reply::Now(response) => response,
        Reply::Later(response) => response.await,
    }
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect_all().await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn vips_are_listed_as_the_original_does() {
    let api = api(None);
    let unknown = ask(&api, "/v1/vips", None).await;
    assert_eq!(unknown.status(), StatusCode::SERVICE_UNAVAILABLE, "not an empty list");
    publish(&api, "web.marathon", 80);
    publish(&api, "1.2.3.4", 5000);
    let response = ask(&api, "/v1/vips", None).await;
    let etag = response.headers()[ETAG].to_str().unwrap().to_owned();
    let backends = r#"[{"ip":"10.0.0.1","port":31000},{"ip":"10.0.0.2","port":31000}]"#;
    let vip = |name| format!(r#"{{"backend":{backends},"protocol":"tcp","vip":"{name}"}}"#);
    let all = [vip("web.marathon.l4lb.thisdcos.directory:80"), vip("1.2.3.4:5000")].join(",");
    assert_eq!(text(response).await, format!("[{all}]"));
    let same = ask(&api, "/v1/vips", Some(("if-none-match", &format!("\"x\", {etag}")))).await;
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    publish(&api, "web.marathon", 81);
    let other = ask(&api, "/v1/vips", Some(("if-none-match", &etag))).await;
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test]
async fn streams_begin_with_everything() {
    let api = api(None);
    publish(&api, "web.marathon", 80);
    for (path, first) in [
        ("/v1/vips/stream", r#"{"vips":[{"name":"web.marathon","ip":"11.1.2.3"}]}"#),
        ("/v1/vips/stream?backends=true", r#"{"vips":[{"vip":"web.marathon","protocol":"tcp","#),
    ] {
        let mut body = ask(&api, path, None).await.into_body();
        let mut next = async || {
            let frame = body.frame().await.unwrap().unwrap();
            String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
        };
        let line = next().await;
        assert!(line.starts_with(first) && line.ends_with('\n'), "{line}");
        assert_eq!(next().await, "{}\n");
    }
    api.0.stop.cancel();
}

#[tokio::test]
async fn where_listeners_stand_in_their_addresses_are_told() {
    let listening = Arc::new(Listening::default());
    let api = api(Some(Arc::clone(&listening)));
    publish(&api, "web.marathon", 80);
    let mut body = ask(&api, "/v1/vips/stream", None).await.into_body();
    let line = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&line[..], b"{\"vips\":[{\"name\":\"web.marathon\",\"ip\":\"127.1.2.3\"}]}\n");
    api.0.stop.cancel();
}

#[tokio::test]
async fn the_rest_answers_as_it_should() {
    let api = api(None);
    for (path, status, body) in [
        ("/v1/config", 501, ""),
        ("/v1/enumerate", 501, ""),
        ("/lashup/key", 404, "Cluster keys not found in Lashup"),
        ("/lashup/kv/x", 404, ""),
        ("/v1/nodes", 200, "[]"),
        ("/v1/vips/problems", 200, "[]"),
        ("/v1/records", 503, "There is no server here that knows."),
        ("/v1/hosts/web.marathon.mesos", 503, "There is no server here that knows."),
        ("/health", 200, "{\"healthy\":true}"),
    ] {
        let response = ask(&api, path, None).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(text(response).await, body, "{path}");
    }
    let version = text(ask(&api, "/v1/version", None).await).await;
    assert!(version.starts_with(r#"{"Service":"dcos-dns","Version":""#), "{version}");
    let metrics = text(ask(&api, "/v1/metrics/l4lb", None).await).await;
    assert!(metrics.contains("\nl4lb_vips 0\n"), "{metrics}");
    let post = http::Request::post("/v1/vips").body(http_kit::Body::Empty).unwrap();
    let Reply::Now(refused) = api.call(post, PEER) else { panic!("at once") };
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
}
