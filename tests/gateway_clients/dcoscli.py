"""The HTTP calls of DC/OS's command line, in its order, with `requests`."""

from support import eventually, expect, main

PACKAGE = "application/vnd.dcos.package.{}+json;charset=utf-8;version=v1"


def package(session, cluster, operation, body, version="v1"):
    accept = PACKAGE.format(f"{operation}-response").replace("v1", version)
    content = PACKAGE.format(f"{operation}-request")
    headers = {"Content-Type": content, "Accept": accept}
    url = f"{cluster.gateway}/package/{operation}"
    return session.post(url, json=body, headers=headers)


def setting_up_a_cluster(cluster):
    stranger = cluster.session()
    answer = expect(stranger.head(cluster.gateway + "/", allow_redirects=True), 200)
    assert answer.url.startswith(cluster.gateway), answer.url
    with open(cluster.ca_file, encoding="ascii") as file:
        authority = file.read()
    answer = expect(stranger.get(cluster.gateway + "/ca/dcos-ca.crt"), 200)
    assert answer.text.strip() == authority.strip()
    providers = expect(stranger.get(cluster.gateway + "/acs/api/v1/auth/providers"), 200).json()
    assert providers["dcos-users"]["authentication-type"], providers
    assert providers["dcos-services"]["authentication-type"], providers
    session = cluster.session_of_admin()
    metadata = expect(session.get(cluster.gateway + "/metadata"), 200).json()
    assert len(metadata["CLUSTER_ID"]) == 36, metadata
    assert metadata["PUBLIC_IPV4"], metadata
    summary = expect(session.get(cluster.gateway + "/mesos/state-summary"), 200).json()
    assert summary["cluster"], summary
    version = expect(stranger.get(cluster.gateway + "/dcos-metadata/dcos-version.json"), 200)
    assert version.json()["version"].startswith("2."), version.text


def nobody_is_told_to_log_in(cluster):
    stranger = cluster.session()
    for path in ["/mesos/master/state", "/service/marathon/v2/apps", "/service/absent/",
                 "/package/list", "/metadata", "/agent/x/state", "/acs/api/v1/users",
                 "/capabilities", "/net/v1/nodes", "/pkgpanda/active/", "/exhibitor/"]:
        answer = expect(stranger.get(cluster.gateway + path, allow_redirects=False), 401)
        assert answer.headers["WWW-Authenticate"] == "acsjwt", (path, answer.headers)
        assert answer.headers["Content-Type"].startswith("text/html"), (path, answer.headers)


def wrong_passwords_are_refused(cluster):
    for body in [{"uid": cluster.admin, "password": "wrong"}, {"uid": "no-one", "password": "x"}]:
        login = cluster.gateway + "/acs/api/v1/auth/login"
        answer = expect(cluster.session().post(login, json=body), 401)
        assert answer.json()["code"] == "ERR_INVALID_CREDENTIALS", answer.text
        assert answer.headers["WWW-Authenticate"] == "acsjwt", answer.headers
    answer = expect(cluster.session().post(login, json={"uid": "x"}), 400)
    assert "password" in answer.json()["description"], answer.text


def a_service_from_the_catalog(cluster):
    session = cluster.session_of_admin()
    described = package(session, cluster, "describe", {"packageName": "hello-world"}, "v3")
    assert expect(described, 200).json()["package"]["name"] == "hello-world"
    installed = expect(package(session, cluster, "install", {"packageName": "hello-world"}), 200)
    app = installed.json()["appId"]
    marathon = cluster.gateway + "/service/marathon"

    def running():
        found = expect(session.get(f"{marathon}/v2/apps/{app}"), 200).json()["app"]
        return found["tasksRunning"] >= 1 and not found["deployments"] and found["tasks"]

    task = eventually("hello-world to run", running)[0]
    apps = expect(session.get(f"{marathon}/v2/apps"), 200).json()["apps"]
    assert app in [one["id"] for one in apps], apps

    state = expect(session.get(cluster.gateway + "/mesos/master/state"), 200).json()
    frameworks = [one for one in state["frameworks"] if one["name"] == "marathon"]
    found = [one for one in frameworks[0]["tasks"] if one["id"] == task["id"]][0]
    agent = f"{cluster.gateway}/agent/{found['slave_id']}"
    told = expect(session.get(f"{agent}/state"), 200).json()
    executors = [one for framework in told["frameworks"] for one in framework["executors"]]
    executor = [one for one in executors if one["id"] in (found["id"], found["executor_id"])][0]
    path = executor["directory"] + "/stdout"
    answer = session.get(f"{agent}/files/read", params={"path": path, "offset": -1})
    assert expect(answer, 200).json()["offset"] >= 0, answer.text

    listed = expect(package(session, cluster, "list", {}), 200).json()
    assert [one["appId"] for one in listed["packages"]] == [app], listed
    body = {"packageName": "hello-world"}
    expect(package(session, cluster, "uninstall", body), 200)
    eventually("hello-world to go", lambda: session.get(f"{marathon}/v2/apps/{app}").status_code == 404)


def a_service_by_its_labels(cluster):
    session = cluster.session_of_admin()
    marathon = cluster.gateway + "/service/marathon"
    app = {
        "id": "/web/site", "cpus": 0.1, "mem": 32, "instances": 1,
        "cmd": "mkdir -p page && echo hello > page/index.html && cd page && "
               "exec python3 -m http.server --bind 127.0.0.1 $PORT0",
        "portDefinitions": [{"port": 0, "name": "web"}],
        "labels": {"DCOS_SERVICE_NAME": "web/site", "DCOS_SERVICE_SCHEME": "http",
                   "DCOS_SERVICE_PORT_INDEX": "0"},
        "healthChecks": [{"protocol": "TCP", "portIndex": 0, "gracePeriodSeconds": 30,
                          "intervalSeconds": 1}],
    }
    expect(session.post(f"{marathon}/v2/apps", json=app), 201)
    page = cluster.gateway + "/service/web/site/"
    eventually("the page", lambda: session.get(page).status_code == 200)
    assert session.get(page).text == "hello\n"
    answer = expect(session.get(page.rstrip("/"), allow_redirects=False), 200)
    answer = expect(session.get(cluster.gateway + "/service/web", allow_redirects=False), 301)
    assert answer.headers["Location"] == "/service/web/", answer.headers
    # The server redirects to the form with a slash; its redirect leads through the gateway.
    answer = expect(session.get(page + "absent"), 404)
    expect(session.delete(f"{marathon}/v2/apps//web/site"), 200)
    eventually("the page to go", lambda: session.get(page).status_code == 404)
    answer = expect(session.get(page), 404)
    assert answer.text == "404 Not Found: service not found.\n", answer.text


main([
    setting_up_a_cluster,
    nobody_is_told_to_log_in,
    wrong_passwords_are_refused,
    a_service_from_the_catalog,
    a_service_by_its_labels,
])
