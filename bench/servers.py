"""The mail servers that bench/compare lets work: each in a folder of its own, on a port of its own,
delivering to a Maildir below that folder. Needs root, as the servers do that change users."""
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import time

DOMAIN = "bench.test"
USER = "bob"


def clock_ticks():
    return os.sysconf("SC_CLK_TCK")


def processes():
    """pid -> (parent, seconds of CPU it and its reaped children used)"""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="latin-1") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry)] = (int(fields[1]), sum(map(int, fields[11:15])) / clock_ticks())
    return found


def tree(root):
    """The pids of a process and all below it, and their CPU seconds."""
    all_processes = processes()
    members, last = {root}, 0
    while len(members) != last:
        last = len(members)
        members |= {pid for pid, (parent, _) in all_processes.items() if parent in members}
    return members, sum(all_processes[pid][1] for pid in members if pid in all_processes)


class Server:
    name = ""

    def __init__(self, folder, port):
        self.folder, self.port = pathlib.Path(folder), port
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        os.chmod(self.folder, 0o755)
        self.process = None

    def start(self):
        self.configure()
        log = open(self.folder / "server.log", "wb")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        for _ in range(300):
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and probe.recv(3) == b"220":
                    return self
            time.sleep(0.1)
        raise SystemExit(f"{self.name} did not start; see {self.folder}/server.log")

    def root_pid(self):
        return self.process.pid

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def delivered(self):
        """Paths of the files in bob's Maildir."""
        new = self.maildir() / "new"
        return [entry.path for entry in os.scandir(new)] if new.is_dir() else []


class Postbuch(Server):
    name = "Postbuch"
    program = pathlib.Path(__file__).parent.parent / "build/release/src/postbuch"

    def configure(self):
        subprocess.run([self.program, "init", self.folder], check=True)
        (self.folder / "users").write_text(f"{USER}@{DOMAIN}:*:\n")
        config = (self.folder / "postbuch.yaml").read_text()
        config = config.replace("postbuch.test", DOMAIN).replace("2525", str(self.port))
        (self.folder / "postbuch.yaml").write_text(config)

    def command(self):
        return [self.program, "serve", "--config", self.folder / "postbuch.yaml"]

    def maildir(self):
        return self.folder / "mail" / DOMAIN / USER


MAIN_CF = """compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = mail.{domain}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtputf8_enable = yes
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{ {{ {user}@{domain} = {domain}/{user}/ }} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_recipient_restrictions = reject_unauth_destination
in_flow_delay = 0
default_process_limit = 200
initial_destination_concurrency = 20
virtual_destination_concurrency_limit = 50
"""

MASTER_CF = """127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Server):
    """Debian's Postfix with its default durability (each queue file and each mailbox file is
    synced), and the limits that its TUNING_README raises for a load like this one."""
    name = "Postfix"

    def configure(self):
        owner = pwd.getpwnam("vmail")
        config = self.folder / "etc"
        (self.folder / "mail" / DOMAIN).mkdir(parents=True)
        for folder in ("mail", f"mail/{DOMAIN}"):
            os.chown(self.folder / folder, owner.pw_uid, owner.pw_gid)
        config.mkdir()
        (self.folder / "data").mkdir()
        shutil.chown(self.folder / "data", "postfix")
        (self.folder / "queue").mkdir()
        values = {"folder": self.folder, "domain": DOMAIN, "user": USER, "port": self.port,
                  "uid": owner.pw_uid, "gid": owner.pw_gid}
        (config / "main.cf").write_text(MAIN_CF.format(**values))
        (config / "master.cf").write_text(MASTER_CF.format(**values))

    def command(self):
        return ["/usr/sbin/postfix", "-c", self.folder / "etc", "start-fg"]

    def root_pid(self):
        """`postfix start-fg` is a script around the master."""
        return int((self.folder / "queue/pid/master.pid").read_text())

    def stop(self):
        subprocess.run(["/usr/sbin/postfix", "-c", self.folder / "etc", "stop"],
                       stderr=subprocess.DEVNULL, check=False)
        self.process.wait(60)

    def maildir(self):
        return self.folder / "mail" / DOMAIN / USER
