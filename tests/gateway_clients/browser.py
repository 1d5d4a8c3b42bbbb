"""A person with Chromium: asks for a page, logs in, gets it, and talks over a WebSocket."""

import pathlib
import tempfile

import websocket
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from support import PATIENCE, eventually, expect, main

SERVICE = pathlib.Path(__file__).with_name("echo_service.py")


def start_service(cluster):
    session = cluster.session_of_admin()
    app = {
        "id": "/echo", "cpus": 0.1, "mem": 32, "cmd": f"exec python3 -B {SERVICE}",
        "portDefinitions": [{"port": 0}],
        "labels": {"DCOS_SERVICE_NAME": "echo", "DCOS_SERVICE_SCHEME": "http",
                   "DCOS_SERVICE_PORT_INDEX": "0"},
    }
    expect(session.post(cluster.gateway + "/service/marathon/v2/apps", json=app), 201)
    page = cluster.gateway + "/service/echo/"
    eventually("the service", lambda: session.get(page).status_code == 200)


def browser(folder):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    options.accept_insecure_certs = True
    for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                     "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost",
                     f"--user-data-dir={folder}"]:
        options.add_argument(argument)
    service = webdriver.ChromeService(executable_path="/usr/bin/chromedriver")
    return webdriver.Chrome(options=options, service=service)


def log_in(driver, uid, password):
    wait = WebDriverWait(driver, PATIENCE)
    field = wait.until(lambda one: one.find_element(By.CSS_SELECTOR, "input[type=password]"))
    name = driver.find_element(By.CSS_SELECTOR, "input[name=uid]")
    name.clear()
    name.send_keys(uid)
    field.send_keys(password)
    field.submit()


def a_person_logs_in(cluster):
    start_service(cluster)
    page = cluster.gateway + "/service/echo/deep/page?x=1&y=%2F"
    with tempfile.TemporaryDirectory() as folder:
        driver = browser(folder)
        try:
            driver.get(page)
            assert "/login" in driver.current_url, driver.current_url
            assert "Echo" not in driver.title
            log_in(driver, cluster.admin, "not the password")
            WebDriverWait(driver, PATIENCE).until(
                lambda one: one.find_elements(By.CSS_SELECTOR, "[role=alert]"))
            log_in(driver, cluster.admin, cluster.password)
            WebDriverWait(driver, PATIENCE).until(lambda one: one.title == "Echo")
            assert driver.current_url == page, driver.current_url
            line = driver.find_element(By.ID, "line").text
            assert line == "GET /deep/page?x=1&y=%2F HTTP/1.1", line
            cookies = {one["name"]: one for one in driver.get_cookies()}
            cookie = cookies["dcos-acs-auth-cookie"]
            assert cookie["httpOnly"] and cookie["secure"] and cookie["sameSite"] != "None", cookie
            assert "dcos-acs-auth-cookie" not in driver.execute_script("return document.cookie")
            echoed = driver.execute_async_script("""
                const done = arguments[arguments.length - 1];
                const socket = new WebSocket(`wss://${location.host}/service/echo/socket`);
                socket.onmessage = (message) => done(message.data);
                socket.onerror = () => done("an error");
                socket.onopen = () => socket.send("hello over " + "x".repeat(1000));
            """)
            assert echoed == "hello over " + "x" * 1000, echoed
            driver.get(cluster.gateway + "/acs/api/v1/auth/logout")
            driver.get(page)
            assert "/login" in driver.current_url, driver.current_url
        finally:
            driver.quit()


def a_program_talks_over_a_websocket(cluster):
    url = cluster.gateway.replace("https://", "wss://") + "/service/echo/socket"
    options = {"ca_certs": cluster.ca_file}
    try:
        websocket.create_connection(url, sslopt=options, timeout=PATIENCE)
        raise AssertionError("nobody was let in")
    except websocket.WebSocketBadStatusException as refusal:
        assert refusal.status_code == 401, refusal
    header = {"Authorization": f"token={cluster.login()}"}
    socket = websocket.create_connection(url, sslopt=options, header=header, timeout=PATIENCE)
    for size in [0, 1, 125, 126, 60000]:
        socket.send("y" * size)
        assert socket.recv() == "y" * size
    socket.close()


def a_page_elsewhere_changes_nothing(cluster):
    session = cluster.session()
    session.cookies.set("dcos-acs-auth-cookie", cluster.login())
    apps = cluster.gateway + "/service/marathon/v2/apps"
    app = {"id": "/evil", "cmd": "true"}
    for headers in [{"Origin": "https://evil.example"}, {"Origin": "null"},
                    {"Sec-Fetch-Site": "cross-site"}]:
        expect(session.post(apps, json=app, headers=headers), 403)
    own = {"Origin": cluster.gateway, "Sec-Fetch-Site": "same-origin"}
    expect(session.delete(apps + "/echo", headers=own), 200)


main([a_person_logs_in, a_program_talks_over_a_websocket, a_page_elsewhere_changes_nothing])
