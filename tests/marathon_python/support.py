"""What the scenarios stand on: a client, waiting, cleaning up."""

import collections
import collections.abc
import json
import threading
import time

import requests

# The release is older than Python 3.10, which moved this name.
if not hasattr(collections, 'Iterable'):
    collections.Iterable = collections.abc.Iterable

from marathon import MarathonApp, MarathonClient

PATIENCE = 60


class Cluster:
    def __init__(self, marathon, master):
        self.url = marathon
        self.master = master
        self.client = MarathonClient(marathon)

    # --- beside the client ---

    def get(self, path, **arguments):
        """What the client has no method for, or cannot read."""
        return requests.get(self.url + path, timeout=PATIENCE, **arguments)

    def running(self, app_id):
        """The tasks of an app that the master says are running."""
        state = requests.get('http://%s/tasks?limit=10000' % self.master, timeout=PATIENCE).json()
        prefix = app_id.strip('/').replace('/', '_') + '.'
        return [task for task in state['tasks']
                if task['id'].startswith(prefix) and task['state'] == 'TASK_RUNNING']

    # --- waiting ---

    def deployed(self, answer=None):
        """Waits until a deployment, or every one, is over."""
        wanted = answer and answer['deploymentId']

        def over():
            ids = [deployment['id'] for deployment in self.get('/v2/deployments').json()]
            return wanted not in ids if wanted else not ids
        wait('the deployment %s to end' % (wanted or ''), over)

    def create(self, app_id, **fields):
        """Creates an app and waits until all of it runs."""
        if 'args' not in fields:
            fields.setdefault('cmd', 'sleep 3600')
        fields.setdefault('cpus', 0.1)
        fields.setdefault('mem', 16)
        app = self.client.create_app(app_id, MarathonApp(**fields))
        self.deployed()
        return app

    def clean_up(self):
        for app in self.client.list_apps():
            self.client.delete_app(app.id, force=True)
        for group in self.get('/v2/groups').json()['groups']:
            self.client.delete_group(group['id'].strip('/'), force=True)
        self.deployed()
        equal(self.client.list_apps(), [])
        equal(self.client.list_tasks(), [])


class Listener:
    """Reads events on a thread of its own until the end or the first error."""

    def __init__(self, cluster, raw=False, event_types=None):
        self.client = MarathonClient(cluster.url)
        self.events = []
        self.error = None
        self.stream = self.client.event_stream(raw=raw, event_types=event_types)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for event in self.stream:
                self.events.append(json.loads(event) if isinstance(event, str) else event)
        except Exception as error:  # Told by the test that looks at it.
            self.error = error

    def expect(self, what, wanted):
        def found():
            return next((event for event in list(self.events) if wanted(event)), None)
        return wait(lambda: '%s; there are %r, %r' % (what, self.events, self.error), found)


def wait(what, probe):
    deadline = time.time() + PATIENCE
    while True:
        found = probe()
        if found:
            return found
        if time.time() > deadline:
            raise AssertionError('waited in vain for %s' % (what() if callable(what) else what))
        time.sleep(0.05)


def equal(left, right):
    assert left == right, '%r is not %r' % (left, right)


def raises(kind, call, *arguments, **named):
    try:
        answer = call(*arguments, **named)
    except kind as error:
        return error
    raise AssertionError('%r instead of %s' % (answer, kind))
