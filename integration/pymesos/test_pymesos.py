"""Subscribe, launch, message, kill, reconcile, reconnect, fail over, agent restart, agent loss: with pymesos as the
scheduler and as the executor, against our master and agent as separate processes."""

import json
import logging
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

from pymesos import MesosSchedulerDriver, Scheduler, decode_data, encode_data

BCS = sys.argv.pop(1)
HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def toml(values):
    lines = []
    for key, value in values.items():
        if not isinstance(value, dict):
            lines.append('%s = %s' % (key, json.dumps(value)))
    for key, value in values.items():
        if isinstance(value, dict):
            lines.append('[%s]' % key)
            lines.extend('%s = %s' % (k, json.dumps(v)) for k, v in value.items())
    return '\n'.join(lines) + '\n'


class Daemon:
    """One role in a process of its own."""

    def __init__(self, folder, role, settings):
        self.role = role
        self.config = os.path.join(folder, role + '.toml')
        with open(self.config, 'w') as file:
            file.write(toml(settings))
        self.log = open(os.path.join(folder, role + '.log'), 'ab')
        self.process = None
        self.start()

    def start(self):
        command = [BCS, 'run', self.role, '--config', self.config]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def kill(self):
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def remove(self):
        self.kill()
        self.log.close()


class TestScheduler(Scheduler):
    """Puts all that it hears into queues."""

    def __init__(self):
        self.events = queue.Queue()
        self.seen = []

    def __getattr__(self, name):
        if name.startswith('_'):
            raise AttributeError(name)
        return lambda driver, *arguments: self.events.put((name, arguments))

    def error(self, driver, message):
        # As a scheduler should: who was replaced does not subscribe again, or the two would throw each other out.
        driver.abort()
        self.events.put(('error', (message,)))

    def processHeartBeat(self, driver):
        self.events.put(('heartbeat', ()))


for method in ('registered', 'reregistered', 'disconnected', 'resourceOffers', 'offerRescinded', 'statusUpdate',
               'frameworkMessage', 'slaveLost', 'executorLost'):
    def make(name):
        return lambda self, driver, *arguments: self.events.put((name, arguments))
    setattr(TestScheduler, method, make(method))


class Framework:
    def __init__(self, master, secret, info=None):
        self.scheduler = TestScheduler()
        self.info = info or {
            'user': 'root', 'name': 'pymesos', 'hostname': 'localhost', 'checkpoint': True, 'principal': 'tester',
            'failover_timeout': 3600.0, 'capabilities': [{'type': 'PARTITION_AWARE'}],
        }
        self.driver = MesosSchedulerDriver(
            self.scheduler, self.info, master, principal='tester', secret=secret, failover=True)
        self.driver.start()

    def wait(self, what, fits=lambda *arguments: True):
        """The arguments of the next such event; others are kept."""
        for event in list(self.scheduler.seen):
            if event[0] == what and fits(*event[1]):
                self.scheduler.seen.remove(event)
                return event[1]
        deadline = time.monotonic() + PATIENCE
        while True:
            left = deadline - time.monotonic()
            try:
                event = self.scheduler.events.get(timeout=max(left, 0.01))
            except queue.Empty:
                raise AssertionError('no %s; seen: %r' % (what, self.scheduler.seen))
            if event[0] == what and fits(*event[1]):
                return event[1]
            if event[0] != 'heartbeat':
                self.scheduler.seen.append(event)

    def forget(self):
        while not self.scheduler.events.empty():
            self.scheduler.events.get()
        self.scheduler.seen.clear()

    def offer(self):
        return self.wait('resourceOffers')[0][0]

    def status(self, task, state, fits=lambda status: True):
        return self.wait('statusUpdate', lambda status: (
            status['task_id']['value'] == task and status['state'] == state and fits(status)))[0]

    def launch(self, offer, executor, *tasks, seconds=0):
        def scalar(name, value):
            return {'name': name, 'type': 'SCALAR', 'scalar': {'value': value}}
        python = [sys.executable, os.path.join(HERE, 'executor.py')]
        self.driver.launchTasks(offer['id'], [{
            'name': task, 'task_id': {'value': task}, 'agent_id': offer['agent_id'],
            'resources': [scalar('cpus', 0.1), scalar('mem', 16)],
            'data': encode_data(str(seconds).encode()),
            'executor': {
                'executor_id': {'value': executor}, 'framework_id': {'value': self.driver.framework_id},
                'command': {'value': ' '.join(python)},
                'resources': [scalar('cpus', 0.1), scalar('mem', 32)],
            },
        } for task in tasks], filters={'refuse_seconds': 0})

    def stop(self, failover=True):
        self.driver.stop(failover)
        self.driver.join()


class PymesosTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='bcs-pymesos-')
        self.secret = uuid.uuid4().hex
        credentials = os.path.join(self.folder, 'credentials.json')
        with open(credentials, 'w') as file:
            json.dump({'credentials': [{'principal': 'tester', 'secret': self.secret}]}, file)
        inner, mesos, agent, executors = (free_port() for _ in range(4))
        self.address = '127.0.0.1:%d' % mesos
        self.master = Daemon(self.folder, 'master', {
            'listen': '127.0.0.1:%d' % inner, 'data_dir': os.path.join(self.folder, 'master'),
            'mesos_listen': self.address, 'credentials': credentials, 'agent_timeout': '4s', 'heartbeat': '500ms',
        })
        self.agent = Daemon(self.folder, 'agent', {
            'listen': '127.0.0.1:%d' % agent, 'master': 'http://127.0.0.1:%d' % inner,
            'data_dir': os.path.join(self.folder, 'agent'),
            'executor_listen': '127.0.0.1:%d' % executors, 'authenticate_executors': False,
            'heartbeat': '500ms', 'status_resend': '1s', 'executor_shutdown_grace_period': '1s',
            'executor_reregistration_timeout': '30s',
            'resources': {'cpus': 4, 'mem': 2048, 'disk': 2048, 'ports': '[31000-31099]'},
        })
        self.frameworks = []
        self.wait_for(self.address)

    def wait_for(self, address):
        host, port = address.split(':')
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def framework(self, info=None):
        framework = Framework(self.address, self.secret, info)
        self.frameworks.append(framework)
        return framework

    def tearDown(self):
        for framework in self.frameworks:
            if not framework.driver.aborted:
                try:
                    framework.stop(failover=False)
                except Exception as error:  # the master may be gone
                    print('while stopping: %s' % error)
        time.sleep(0.5)
        self.agent.remove()
        self.master.remove()
        failed = any(error for _, error in getattr(self._outcome, 'errors', []))
        if failed or os.environ.get('KEEP'):
            for role in ('master', 'agent'):
                with open(os.path.join(self.folder, role + '.log')) as file:
                    print('--- %s\n%s' % (role, file.read()))
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def test_launch_message_kill_and_finish(self):
        framework = self.framework()
        framework.wait('registered')
        offer = framework.offer()
        amounts = {r['name']: r.get('scalar', {}).get('value') for r in offer['resources']}
        self.assertEqual((amounts['cpus'], amounts['mem']), (4, 2048))
        framework.launch(offer, 'e1', 'kill-me', 'keep-me')
        running = framework.status('kill-me', 'TASK_RUNNING')
        self.assertEqual(running['source'], 'SOURCE_EXECUTOR')
        framework.status('keep-me', 'TASK_RUNNING')
        framework.driver.sendFrameworkMessage(
            {'value': 'e1'}, offer['agent_id'], encode_data(b'hello'))
        self.assertEqual(decode_data(framework.wait('frameworkMessage')[2]), b'HELLO')
        framework.driver.killTask({'value': 'kill-me'})
        framework.status('kill-me', 'TASK_KILLED')
        framework.launch(framework.offer(), 'e2', 'short', seconds=0.2)
        framework.status('short', 'TASK_FINISHED')
        framework.driver.killTask({'value': 'nobody'})
        framework.status('nobody', 'TASK_UNKNOWN')

    def test_reconnect_fail_over_and_reconcile(self):
        framework = self.framework()
        framework.wait('registered')
        framework.launch(framework.offer(), 'e', 't')
        framework.status('t', 'TASK_RUNNING')
        # The master is killed and comes back: pymesos subscribes again by itself, the agent too.
        self.master.kill()
        framework.wait('disconnected')
        self.master.start()
        self.wait_for(self.address)
        framework.wait('reregistered')
        framework.forget()
        deadline = time.monotonic() + PATIENCE
        while True:
            framework.driver.reconcileTasks([{'task_id': {'value': 't'}}])
            status = framework.wait('statusUpdate', lambda s: s['task_id']['value'] == 't')[0]
            if status['state'] == 'TASK_RUNNING' or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        self.assertEqual(status['state'], 'TASK_RUNNING')
        # Another instance takes over with the same id.
        info = dict(framework.info, id={'value': framework.driver.framework_id})
        second = self.framework(info)
        second.wait('reregistered')
        self.assertEqual(framework.wait('error')[0], 'Framework failed over')
        second.driver.reconcileTasks([])
        second.status('t', 'TASK_RUNNING', lambda s: s.get('reason') == 'REASON_RECONCILIATION')
        second.driver.killTask({'value': 't'})
        second.status('t', 'TASK_KILLED')

    def test_agent_killed_restarted_and_lost(self):
        framework = self.framework()
        framework.wait('registered')
        offer = framework.offer()
        framework.launch(offer, 'e', 't')
        framework.status('t', 'TASK_RUNNING')
        # kill -9 of the agent alone: the executor lives on and subscribes again.
        self.agent.kill()
        self.agent.start()
        framework.forget()
        again = framework.offer()
        self.assertEqual(again['agent_id'], offer['agent_id'])
        time.sleep(6)  # pymesos itself waits up to that long before it connects again
        framework.driver.killTask({'value': 't'})
        framework.status('t', 'TASK_KILLED')
        framework.launch(again, 'e2', 't2')
        framework.status('t2', 'TASK_RUNNING')
        # And for longer than the master waits.
        self.agent.kill()
        framework.wait('offerRescinded')
        lost = framework.status('t2', 'TASK_UNREACHABLE')
        self.assertIn('unreachable_time', lost)
        framework.wait('slaveLost')
        self.agent.start()
        framework.status('t2', 'TASK_RUNNING', lambda s: s.get('reason') == 'REASON_SLAVE_REREGISTERED' or
                         s.get('reason') == 'REASON_AGENT_REREGISTERED')

    def test_wrong_secret_is_refused(self):
        import http.client
        connection = http.client.HTTPConnection(*self.address.split(':'))
        body = json.dumps({'type': 'SUBSCRIBE', 'subscribe': {'framework_info': {'user': 'root', 'name': 'x'}}})
        connection.request('POST', '/api/v1/scheduler', body, {
            'Content-Type': 'application/json', 'Authorization': 'Basic dGVzdGVyOnd4eXo='})
        self.assertEqual(connection.getresponse().status, 401)
        connection.close()


if __name__ == '__main__':
    threading.excepthook = lambda args: None if args.exc_type is KeyboardInterrupt else sys.__excepthook__(
        args.exc_type, args.exc_value, args.exc_traceback)
    logging.basicConfig(level=logging.CRITICAL)
    unittest.main(verbosity=2, warnings='ignore')
