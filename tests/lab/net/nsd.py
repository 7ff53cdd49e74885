"""NSD, Debian's name server, with all it needs in a folder of the test."""
import os
import pwd
import shutil
import signal
import subprocess

import lab

NSD = shutil.which('nsd', path='/usr/sbin:/usr/bin')
SIGNER = shutil.which('ldns-signzone')

CONFIG = '''\
server:
{addresses}
  username: {user}
  chroot: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  xfrdir: "{folder}"
  logfile: "{folder}/nsd.log"
  server-count: 1
remote-control:
  control-enable: no
'''


class NameServer:
    """`addresses` as "192.0.2.1@53"; without one a port of loopback."""

    def __init__(self, folder, addresses=()):
        self.folder = folder
        self.port = lab.free_port()
        self.addresses = addresses or [f'127.0.0.1@{self.port}']
        self.zones = {}
        self.process = None

    def _file(self, name, kind):
        return self.folder / (name.replace('.', '_') + kind)

    def add(self, name, text):
        self._file(name, 'zone').write_text(text)
        self.zones[name] = self._file(name, 'zone')

    def sign(self, name):
        """Signs the zone; returns the file of its key, the trust anchor."""
        def run(*command):
            return subprocess.run(command, cwd=self.folder, check=True, capture_output=True,
                                  text=True).stdout.strip()
        key = run('ldns-keygen', '-a', 'ECDSAP256SHA256', '-k', name)
        run(SIGNER, '-n', '-o', name, '-f', self._file(name, 'signed'), self._file(name, 'zone'), key)
        self.zones[name] = self._file(name, 'signed')
        return self.folder / f'{key}.key'

    def tamper(self, name, owner, old, new):
        """Changes a signed MX record: it is no longer what was signed."""
        text = self.zones[name].read_text()
        lines = [line.replace(old, new) if line.startswith(owner) and '\tMX\t' in line else line
                 for line in text.splitlines()]
        self.zones[name].write_text('\n'.join(lines) + '\n')
        assert self.zones[name].read_text() != text

    def start(self):
        addresses = '\n'.join(f'  ip-address: {a}' for a in self.addresses)
        config = [CONFIG.format(addresses=addresses, folder=self.folder,
                                user=pwd.getpwuid(os.geteuid()).pw_name)]
        config += [f'zone:\n  name: "{n}"\n  zonefile: "{p}"\n' for n, p in self.zones.items()]
        (self.folder / 'nsd.conf').write_text(''.join(config))
        self.process = subprocess.Popen([NSD, '-d', '-c', str(self.folder / 'nsd.conf')],
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        log = self.folder / 'nsd.log'
        lab.eventually(lambda: self.process.poll() is not None
                       or (log.exists() and 'nsd started' in log.read_text()), 'NSD runs')
        assert self.process.poll() is None, log.read_text() if log.exists() else ''
        return self

    def stop(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(30)
            self.process = None
