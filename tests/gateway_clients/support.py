"""What the clients share: where the cluster is, and how long to wait for it."""

import json
import sys
import time

import requests

PATIENCE = 60


class Cluster:
    """A cluster as its endpoints.json describes it."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.endpoints = json.load(file)
        self.gateway = self.endpoints["gateway"]
        self.ca_file = self.endpoints["ca_file"]
        self.admin = self.endpoints["admin_user"]
        with open(self.endpoints["admin_password_file"], encoding="utf-8") as file:
            self.password = file.read().strip()

    def session(self, token=None):
        session = requests.Session()
        # An authority of the environment would be taken instead of the cluster's.
        session.trust_env = False
        session.verify = self.ca_file
        if token:
            session.headers["Authorization"] = f"token={token}"
        return session

    def login(self, uid=None, password=None):
        body = {"uid": uid or self.admin, "password": password or self.password}
        answer = self.session().post(f"{self.gateway}/acs/api/v1/auth/login", json=body)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()["token"]

    def session_of_admin(self):
        return self.session(self.login())


def eventually(what, condition):
    """Waits until the condition gives something, and gives that."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"still waiting for {what}")


def expect(answer, status):
    """The answer, if it has the status."""
    request = answer.request
    told = f"{request.method} {request.url}: {answer.status_code} {answer.text[:500]}"
    assert answer.status_code == status, told
    return answer


def main(scenarios):
    """Runs each scenario on the cluster of the first argument."""
    cluster = Cluster(sys.argv[1])
    for scenario in scenarios:
        print(f"--- {scenario.__name__}", flush=True)
        scenario(cluster)
    print("all scenarios passed")
