"""Debian's Postfix in a folder of the test, as the mail server at an address of the small internet. It
takes mail for bob in its domains into a Maildir, relays for the address that it has itself, and
gives what is for loop.example to its peer."""
import pwd
import shutil
import socket
import subprocess

import lab
from net import postfix_folder

POSTFIX = shutil.which('postfix', path='/usr/sbin')

MAIN_CF = '''\
myhostname = {hostname}
inet_interfaces = {addresses}
inet_protocols = all
mynetworks = {ipv4}/32
local_transport = error:no local mail
alias_maps =
smtp_bind_address = {ipv4}
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = regexp:{{ {{/^bob@/ bob/}} }}
virtual_minimum_uid = 1
relay_domains = loop.example
transport_maps = inline:{{ {{ loop.example = smtp:[{peer}]:25 }} }}
minimal_backoff_time = 1s
queue_run_delay = 1s
notify_classes =
'''


class Postfix:
    def __init__(self, folder, hostname, ipv4, ipv6, domains, name_server, peer):
        self.folder, self.ipv4, self.process = folder, ipv4, None
        owner = pwd.getpwnam('mail')
        postfix_folder.make(folder, owner, MAIN_CF.format(
            hostname=hostname, ipv4=ipv4, addresses=f'{ipv4}, {ipv6}', peer=peer,
            domains=', '.join(domains)), (f'{ipv4}:25', f'[{ipv6}]:25'), wakeup=1)
        (folder / 'mail').mkdir()
        shutil.chown(folder / 'mail', 'mail', 'mail')
        (folder / 'etc/resolv.conf').write_text(f'nameserver {name_server}\n')

    def start(self):
        """It asks the name server of resolv.conf, so it gets one of its own."""
        mount = f'mount --bind {self.folder}/etc/resolv.conf /etc/resolv.conf && exec "$@"'
        with open(self.folder / 'start.log', 'wb') as log:
            self.process = subprocess.Popen(
                ['unshare', '--mount', 'sh', '-c', mount, 'sh',
                 *postfix_folder.command(self.folder, 'start-fg')],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        lab.eventually(lambda: self.process.poll() is not None or self._answers(), 'Postfix runs')
        assert self.process.poll() is None, (self.folder / 'start.log').read_text()
        return self

    def _answers(self):
        with socket.socket() as probe:
            return probe.connect_ex((self.ipv4, 25)) == 0 and probe.recv(3) == b'220'

    def stop(self):
        if self.process:
            subprocess.run(postfix_folder.command(self.folder, 'stop'), stderr=subprocess.DEVNULL,
                           check=False)
            self.process.wait(60)
            self.process = None

    def log(self):
        path = self.folder / 'mail.log'
        return path.read_text(errors='replace') if path.exists() else ''

    def message(self, line):
        """The one message with this line, when it is there."""
        return lab.eventually(lambda: next((data for path in self.messages()
                                            if line + b'\n' in (data := path.read_bytes())), None),
                              f'Postfix has the message with {line}')

    def messages(self, user='bob'):
        new = self.folder / 'mail' / user / 'new'
        return sorted(new.iterdir()) if new.is_dir() else []
