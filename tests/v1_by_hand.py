"""The v1 scheduler flow with the standard library's HTTP client, call by call as
the public documentation of Mesos describes them.

Usage: v1_by_hand.py HOST:PORT
"""

import getpass
import http.client
import json
import sys
import time

PATH = '/api/v1/scheduler'


def connect():
    host, port = sys.argv[1].split(':')
    return http.client.HTTPConnection(host, int(port), timeout=60)


class Scheduler:
    def __init__(self):
        self.stream = connect()
        self.calls = connect()
        body = {'type': 'SUBSCRIBE', 'subscribe': {'framework_info': {
            'user': getpass.getuser(), 'name': 'by hand', 'roles': ['test'],
            'capabilities': [{'type': 'MULTI_ROLE'}]}}}
        self.stream.request('POST', PATH, json.dumps(body), {
            'Content-Type': 'application/json', 'Accept': 'application/json'})
        self.events = self.stream.getresponse()
        assert self.events.status == 200, (self.events.status, self.events.read())
        assert self.events.getheader('Content-Type') == 'application/json'
        assert self.events.getheader('Transfer-Encoding') == 'chunked'
        self.stream_id = self.events.getheader('Mesos-Stream-Id')
        assert self.stream_id
        subscribed = self.event('SUBSCRIBED')['subscribed']
        self.framework_id = subscribed['framework_id']
        assert subscribed['heartbeat_interval_seconds'] == 15.0, subscribed
        assert subscribed['master_info']['port'] == int(sys.argv[1].split(':')[1])

    def record(self):
        digits = b''
        while True:
            byte = self.events.read(1)
            assert byte, 'the stream ended'
            if byte == b'\n':
                break
            digits += byte
        return json.loads(self.events.read(int(digits)))

    def event(self, kind):
        deadline = time.time() + 60
        while time.time() < deadline:
            event = self.record()
            print('<', event['type'], flush=True)
            if event['type'] == kind:
                return event
            if event['type'] not in ('HEARTBEAT', 'OFFERS', 'RESCIND'):
                raise AssertionError('expected %s: %r' % (kind, event))
        raise AssertionError('waited in vain for ' + kind)

    def call(self, kind, payload=None, expect=202):
        print('>', kind, flush=True)
        body = {'framework_id': self.framework_id, 'type': kind}
        if payload is not None:
            body[kind.lower()] = payload
        self.calls.request('POST', PATH, json.dumps(body), {
            'Content-Type': 'application/json', 'Mesos-Stream-Id': self.stream_id})
        answer = self.calls.getresponse()
        text = answer.read()
        assert answer.status == expect, (kind, answer.status, text)
        return text

    def offer(self):
        return self.event('OFFERS')['offers']['offers'][0]

    def status(self, task_id, state):
        status = self.event('UPDATE')['update']['status']
        assert status['task_id']['value'] == task_id, status
        assert status['state'] == state, status
        if 'uuid' in status:
            self.call('ACKNOWLEDGE', {'agent_id': status['agent_id'],
                                      'task_id': status['task_id'], 'uuid': status['uuid']})
        return status


def main():
    scheduler = Scheduler()
    offer = scheduler.offer()
    assert offer['allocation_info'] == {'role': 'test'}, offer
    kinds = {resource['name']: resource['type'] for resource in offer['resources']}
    assert kinds['cpus'] == kinds['mem'] == 'SCALAR' and kinds['ports'] == 'RANGES', kinds

    def task(name, command, offer):
        return {'name': name, 'task_id': {'value': name}, 'agent_id': offer['agent_id'],
                'command': {'shell': True, 'value': command},
                'resources': [
                    {'allocation_info': {'role': 'test'}, 'name': 'cpus', 'type': 'SCALAR',
                     'scalar': {'value': 0.1}},
                    {'allocation_info': {'role': 'test'}, 'name': 'mem', 'type': 'SCALAR',
                     'scalar': {'value': 32.0}}]}

    def launch(tasks, offer):
        scheduler.call('ACCEPT', {
            'offer_ids': [offer['id']],
            'operations': [{'type': 'LAUNCH', 'launch': {'task_infos': tasks}}],
            'filters': {'refuse_seconds': 0.1}})

    launch([task('good', 'true', offer)], offer)
    for state in ('TASK_STARTING', 'TASK_RUNNING', 'TASK_FINISHED'):
        scheduler.status('good', state)

    offer = scheduler.offer()
    launch([task('bad', 'exit 3', offer)], offer)
    for state in ('TASK_STARTING', 'TASK_RUNNING'):
        scheduler.status('bad', state)
    status = scheduler.status('bad', 'TASK_FAILED')
    assert status['source'] == 'SOURCE_EXECUTOR', status
    assert status['message'] == 'Command exited with status 3', status

    offer = scheduler.offer()
    launch([task('long', 'sleep 1000', offer)], offer)
    for state in ('TASK_STARTING', 'TASK_RUNNING'):
        scheduler.status('long', state)
    scheduler.call('RECONCILE', {'tasks': [{'task_id': {'value': 'long'}}]})
    status = scheduler.status('long', 'TASK_RUNNING')
    assert status['reason'] == 'REASON_RECONCILIATION' and 'uuid' not in status, status
    scheduler.call('KILL', {'task_id': {'value': 'long'}, 'agent_id': offer['agent_id']})
    status = scheduler.status('long', 'TASK_KILLED')
    assert status['message'] == 'Command terminated with signal Terminated', status

    offer = scheduler.offer()
    scheduler.call('DECLINE', {'offer_ids': [offer['id']], 'filters': {'refuse_seconds': 3600}})
    scheduler.call('REVIVE')
    again = scheduler.offer()
    assert again['id'] != offer['id'] and again['agent_id'] == offer['agent_id']
    scheduler.call('SUPPRESS')
    scheduler.call('DECLINE', {'offer_ids': [again['id']]})

    text = scheduler.call('NONSENSE', expect=400)
    assert text == b"Failed to validate scheduler::Call: Expecting 'type' to be present", text
    scheduler.call('TEARDOWN')
    print('done')


if __name__ == '__main__':
    main()
