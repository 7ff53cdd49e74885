"""Debian's Postfix in a folder of the test, as the mail server at an address of the small internet. It
takes mail for bob in its domains into a Maildir, relays for the address that it has itself, and
gives what is for loop.example to its peer."""
import grp
import pwd
import shutil
import socket
import subprocess

import lab

POSTFIX = shutil.which('postfix', path='/usr/sbin')

MAIN_CF = '''\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = {hostname}
mydestination =
inet_interfaces = {addresses}
inet_protocols = all
mynetworks = {networks}
local_transport = error:no local mail
alias_maps =
smtp_bind_address = {ipv4}
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
virtual_mailbox_domains = {domains}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = regexp:{{ {{/^bob@/ bob/}} }}
virtual_minimum_uid = 1
relay_domains = loop.example
transport_maps = inline:{{ {{ loop.example = smtp:[{peer}]:25 }} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
minimal_backoff_time = 1s
queue_run_delay = 1s
notify_classes =
'''

MASTER_CF = '''\
{services}
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
smtp unix - - n - - smtp
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
'''


class Postfix:
    def __init__(self, folder, hostname, ipv4, ipv6, domains, name_server, peer):
        self.folder, self.ipv4, self.process = folder, ipv4, None
        owner = pwd.getpwnam('mail')
        for name in ('etc', 'queue', 'data', 'mail'):
            (folder / name).mkdir(parents=True)
        shutil.chown(folder / 'data', 'postfix')
        shutil.chown(folder / 'mail', 'mail', 'mail')
        (folder / 'etc/main.cf').write_text(MAIN_CF.format(
            folder=folder, hostname=hostname, ipv4=ipv4, addresses=f'{ipv4}, {ipv6}',
            networks=f'{ipv4}/32', peer=peer, domains=', '.join(domains), uid=owner.pw_uid,
            gid=grp.getgrnam('mail').gr_gid))
        services = '\n'.join(f'{ip}:25 inet n - n - - smtpd' for ip in (ipv4, f'[{ipv6}]'))
        (folder / 'etc/master.cf').write_text(MASTER_CF.format(services=services))
        (folder / 'etc/resolv.conf').write_text(f'nameserver {name_server}\n')

    def command(self, *arguments):
        return ['/usr/sbin/postfix', '-c', str(self.folder / 'etc'), *arguments]

    def start(self):
        """It asks the name server of resolv.conf, so it gets one of its own."""
        mount = f'mount --bind {self.folder}/etc/resolv.conf /etc/resolv.conf && exec "$@"'
        with open(self.folder / 'start.log', 'wb') as log:
            self.process = subprocess.Popen(
                ['unshare', '--mount', 'sh', '-c', mount, 'sh', *self.command('start-fg')],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        lab.eventually(lambda: self.process.poll() is not None or self._answers(), 'Postfix runs')
        assert self.process.poll() is None, (self.folder / 'start.log').read_text()
        return self

    def _answers(self):
        with socket.socket() as probe:
            return probe.connect_ex((self.ipv4, 25)) == 0 and probe.recv(3) == b'220'

    def stop(self):
        if self.process:
            subprocess.run(self.command('stop'), stderr=subprocess.DEVNULL, check=False)
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
