"""A Postbuch server of a test's own: real processes, real sandbox, loopback ports, its own folder.

The programs come from $POSTBUCH_BUILD (a release build; default build/release). Started as root the
processes become users that every Debian has; started as an ordinary user they stay that user.
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('POSTBUCH_BUILD', ROOT / 'build' / 'release')).resolve()
PROGRAM = BUILD / 'src' / 'postbuch'
DOMAIN = 'postbuch.test'
PROCESSES = ('smtpd', 'queue', 'book', 'directory', 'mailbox', 'report', 'resolver', 'smtp')
IS_ROOT = os.geteuid() == 0

CONFIG = '''\
hostname: mail.postbuch.test
spool: file:{folder}/spool
ledger: {folder}/ledger
control: {folder}/run/control
drop: {folder}/drop
sandbox: {sandbox}
listen:
  mx: {{ address: ["{address}:{port}"] }}
domains:
  postbuch.test:
    deliver: maildir:{folder}/mail/%d/%u
    users: file:{folder}/users
    aliases: file:{folder}/aliases
users: {{ queue: daemon, network: nobody, directory: games, mailbox: mail }}
{extra}'''


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def eventually(condition, what, patience=60.0):
    """Waits until condition() is true. The patience is no measure of speed: it ends a hung test."""
    end = time.monotonic() + patience
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f'never came true: {what}')
        time.sleep(0.02)
    return result


def is_dead(pid):
    """Gone, or a zombie without threads whose new parent doesn't reap (proc(5), stat)."""
    try:
        fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
        return fields[0] == 'Z' and int(fields[17]) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def digest(data):
    return hashlib.sha256(data).hexdigest()


def libexec(folder, instead):
    """A folder of all processes, with other programs for some: {'queue': path below the build}."""
    folder.mkdir()
    for name in PROCESSES:
        (folder / name).symlink_to(BUILD / instead.get(name, f'src/proc/{name}/{name}'))
    return folder


class Server:
    """One server. Use as a context manager, or by the `server` fixture."""

    def __init__(self, extra='', users=('alice', 'bob'), aliases='', sandbox='kill', libexec=None,
                 folder=None, address='127.0.0.1', port=None,
                 limits='limits: { client_rate: 0, client_connections: 0, '
                        'network_rate: 0, network_connections: 0, client_refusals: 0 }'):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix='postbuch-lab-', dir='/var/tmp'))
        self.folder.chmod(0o755)
        self.address, self.port = address, port or free_port()
        self.extra, self.sandbox, self.libexec, self.limits = extra, sandbox, libexec, limits
        self.process = None
        self.environment = {}
        self.log_path = self.folder / 'log'
        self.allowed = []  # of what must never be in the log
        (self.folder / 'users').write_text(''.join(f'{u}@{DOMAIN}:*\n' for u in users))
        (self.folder / 'aliases').write_text(aliases)
        self.write_config()

    def write_config(self, extra=None):
        if extra is not None:
            self.extra = extra
        text = CONFIG.format(folder=self.folder, address=self.address, port=self.port,
                             sandbox=self.sandbox,
                             extra=self.limits + '\n' + self.extra)
        (self.folder / 'postbuch.yaml').write_text(text)

    # ---- life ----

    def start(self, wait=True):
        program = [str(PROGRAM), 'serve', '--config', str(self.folder / 'postbuch.yaml')]
        if self.libexec:
            program = [str(BUILD / 'src/proc/supervisor/supervisor'), '--config',
                       str(self.folder / 'postbuch.yaml'), '--libexec', str(self.libexec)]
        before = self.log().count('info: ready')
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **self.environment})
        if wait:
            eventually(lambda: self.log().count('info: ready') > before or self.has_ended(),
                       'the server is ready')
            assert not self.has_ended(), self.log()
        return self

    def has_ended(self):
        return self.process.poll() is not None

    def stop(self):
        if self.process and not self.has_ended():
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def pids(self, name):
        """Pids of its processes of this name ("smtpd")."""
        found = []
        for line in subprocess.run(['ps', '--ppid', str(self.process.pid), '-o', 'pid=,comm='],
                                   capture_output=True, text=True).stdout.splitlines():
            pid, comm = line.split(None, 1)
            if comm.strip() == name:
                found.append(int(pid))
        return found

    def kill(self, name, number=signal.SIGKILL):
        for pid in self.pids(name):
            os.kill(pid, number)

    def kill_all(self):
        """What a power cut leaves of processes: nothing, at once."""
        pids = [self.process.pid] + [p for n in PROCESSES for p in self.pids(n)]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(60)
        for pid in pids:  # who still ends may hold the spool's lock
            eventually(lambda: is_dead(pid), f'{pid} is dead')
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()
        if exception[0] is None:
            self.check_log()
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(self.log()[-8000:])

    def log(self):
        return self.log_path.read_text(errors='replace') if self.log_path.exists() else ''

    def check_log(self, allowed=()):
        """Nothing in the log that must never be there; after a crash book and queue agree."""
        for line in self.log().splitlines():
            if re.search(r': (panic|fatal): |AddressSanitizer|runtime error|ALARM: by the book ', line):
                assert any(a in line for a in (*allowed, *self.allowed)), line

    # ---- commands ----

    def command(self, *arguments, stdin=None, check=True):
        done = subprocess.run([str(PROGRAM), *(str(a) for a in arguments[:1]), '--config',
                               str(self.folder / 'postbuch.yaml'), *(str(a) for a in arguments[1:])],
                              input=stdin, capture_output=True)
        if check:
            assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *arguments, check=True):
        return json.loads(self.command(*arguments, '--json', check=check).stdout)

    def status(self):
        """As JSON; that something is wrong (exit 1) is an answer, too."""
        return self.json('status', check=False)

    def figures(self, process):
        """What the process says of itself in the status; a busy one may miss one status."""
        def look():
            processes = self.status()['processes']
            return next(p.get('figures') for p in processes if p['name'] == process)
        return eventually(look, f'{process} tells its figures')

    def trace(self, what):
        """What the ledger knows: one object a message or refusal, none when it knows nothing."""
        lines = self.command('trace', what, '--json', check=False).stdout.splitlines()
        return [json.loads(line) for line in lines]

    # ---- mail ----

    def smtp(self):
        return smtplib.SMTP(self.address, self.port, local_hostname='client.test', timeout=120)

    def send(self, recipients, data, sender='alice@postbuch.test', **options):
        with self.smtp() as client:
            return client.sendmail(sender, recipients, data, **options)

    def socket(self):
        """A raw connection, past the banner."""
        s = socket.create_connection((self.address, self.port), timeout=120)
        stream = s.makefile('rwb', buffering=0)
        assert stream.readline().startswith(b'220 ')
        return s, stream

    def mailbox(self, user='bob'):
        return self.folder / 'mail' / DOMAIN / user

    def messages(self, user='bob'):
        """Paths of the delivered messages."""
        new = self.mailbox(user) / 'new'
        return sorted(new.iterdir()) if new.is_dir() else []

    def wait_for(self, count, user='bob'):
        return eventually(lambda: (m := self.messages(user)) and len(m) >= count and m,
                          f'{count} messages for {user}')

    def bodies(self, user='bob'):
        """Each delivered message without the fields that Postbuch put in front, ending in LF."""
        return [strip_trace_fields(path.read_bytes()) for path in self.messages(user)]


def strip_trace_fields(data):
    """Return-Path, Delivered-To and our Received: what a delivery adds, nothing else."""
    for name in (b'Return-Path:', b'Delivered-To:', b'Received:'):
        assert data.startswith(name), data[:300]
        data = re.sub(rb'\A[^\n]*\n([ \t][^\n]*\n)*', b'', data)
    return data


def reply(stream):
    """One whole SMTP reply."""
    lines = []
    while True:
        line = stream.readline()
        assert line.endswith(b'\r\n'), (lines, line)
        lines.append(line.rstrip(b'\r\n'))
        if line[3:4] != b'-':
            return b'\n'.join(lines)


def talk(stream, *lines):
    """Sends each line, returns the last reply."""
    answer = b''
    for line in lines:
        stream.write(line + b'\r\n')
        answer = reply(stream)
    return answer
