"""The mail servers that bench/compare lets work, each tuned for it as its manual advises. Each has a
folder of its own, a port of its own and namespaces of its own (bench/cage). Needs root.

A server is started for a way that mail goes:
  hold      mail for far.test is accepted and stays: what acceptance alone costs
  relay     mail for far.test goes to the port `next_hop` here
  dead      the same, and nobody is at that port
  beside    mail for live.test goes to `next_hop`, all other to where nobody is
  maildir   mail for bob@bench.test goes into his Maildir
A work that needs something else of the server has a way of its own, so that `ways` tells who can do
it.
"""
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/lab/net"))
import postfix_folder  # noqa: E402

DOMAIN = "bench.test"
USER = "bob"
ENDS_WITH_US = ["setpriv", "--pdeathsig", "KILL"]  # the command behind it, however we end


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    name = ""
    build = HERE.parent / "build/release"
    ways = {"hold", "relay", "dead", "maildir", "idle"}
    is_load = False  # no server: the load programs with each other
    uncounted = ()  # ways in which perf can't count its system calls
    package = ""  # unpacked below `packages`; none: installed
    idle_connections = 200
    relayed_max = 1000000  # messages that it can relay in a time that one wants to wait

    def __init__(self, folder, packages, way, next_hop):
        self.folder, self.way, self.next_hop = pathlib.Path(folder), way, next_hop
        self.port, self.process = free_port(), None
        self.folder.mkdir(parents=True)
        os.chmod(self.folder, 0o755)
        if self.package:
            (self.folder / "usr").symlink_to(packages / self.package / "usr")
            for name in ("spool", "lib", "var-log"):
                (self.folder / name).mkdir()
        self.configure()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()

    def start(self):
        with open(self.folder / "server.log", "ab") as log:
            # A session of its own, so that Ctrl-C doesn't reach it before stop() does.
            self.process = subprocess.Popen(
                ENDS_WITH_US + ["unshare", "--mount", "--pid", "--fork", "--kill-child",
                                "--mount-proc", HERE / "cage", self.folder] + self.command(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        for _ in range(1200):
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                probe.settimeout(60)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and probe.recv(3) == b"220":
                    return self
            time.sleep(0.05)
        self.stop()
        raise OSError(f"{self.name} did not start: "
                      + (self.folder / "server.log").read_text(errors="replace")[-1000:])

    def root_pid(self):
        return self.process.pid

    def cage_pid(self):
        """The process 1 of the server's namespace."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def run(self, *command, **options):
        """A command of this server's, in its namespaces."""
        pid = str(self.cage_pid())
        return subprocess.run(["nsenter", "-t", pid, "-m", "-p", "--"] + list(command),
                              check=True, **options)

    def stop(self):
        try:
            os.kill(self.cage_pid(), signal.SIGTERM)
        except (OSError, IndexError):
            pass  # it has ended
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @staticmethod
    def version():
        return ""

    def maildir(self):
        return self.folder / "mail" / DOMAIN / USER

    def delivered(self):
        """Paths of the files in bob's Maildir."""
        new = self.maildir() / "new"
        return [entry.path for entry in os.scandir(new)] if new.is_dir() else []

    def make_mail_folder(self):
        owner = pwd.getpwnam("vmail")
        (self.folder / "mail" / DOMAIN).mkdir(parents=True)
        for folder in ("mail", f"mail/{DOMAIN}"):
            os.chown(self.folder / folder, owner.pw_uid, owner.pw_gid)
        return owner

    def add_users(self, *names):
        """passwd and group as they are, and system users that the package would have made."""
        passwd, group = (pathlib.Path(f"/etc/{file}").read_text() for file in ("passwd", "group"))
        for number, name in enumerate(names, start=64100):
            passwd += f"{name}:x:{number}:{number}::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n"
            group += f"{name}:x:{number}:\n"
        (self.folder / "passwd").write_text(passwd)
        (self.folder / "group").write_text(group)


# ---- no mail servers: what the machine allows ----

class Load(Server):
    """The load programs with each other: no server can seem faster."""
    name, is_load, ways = "the load alone", True, {"hold", "relay"}

    def configure(self):
        pass

    def command(self):
        return [self.build / "bench/bench_take", str(self.port)]


class Bare(Load):
    """Takes messages and forgets them, once they are written and synced many at a time."""
    name, is_load, ways = "bare acceptor", False, {"hold"}

    def command(self):
        return super().command() + [self.folder / "taken"]


# ---- Postbuch ----

POSTBUCH_YAML = """hostname: mail.{domain}
spool: file:spool
ledger: ledger
control: control
drop: drop
trusted: [127.0.0.0/8]
listen:
  mx: {{ address: ["127.0.0.1:{port}"] }}
domains:
  {domain}: {{ deliver: "maildir:mail/%d/%u", users: users }}
routes:
  live.test: {{ to: ["smtp:127.0.0.1:{next_hop}"] }}
  "*": {{ to: ["smtp:127.0.0.1:{other_hop}"] }}
limits: {{ connections: 12000, client_connections: 0, network_connections: 0, client_rate: 0, network_rate: 0 }}
"""


class Postbuch(Server):
    """As it comes, without limits per client. It has no switch that holds back all new mail, so in
    the works that only accept it also tries the next hop and finds nobody there."""
    name = "Postbuch"
    ways = Server.ways | {"beside", "book"}
    idle_connections = 10000

    def configure(self):
        self.program = self.build / "src/postbuch"
        (self.folder / "users").write_text(f"{USER}@{DOMAIN}:*:\n")
        (self.folder / "postbuch.yaml").write_text(POSTBUCH_YAML.format(
            domain=DOMAIN, port=self.port, next_hop=self.next_hop or 1,
            other_hop=self.next_hop if self.way == "relay" else 1))

    def postbuch(self, command, *arguments):
        return [self.program, command, "--config", self.folder / "postbuch.yaml", *arguments]

    def command(self):
        return self.postbuch("serve")

    @classmethod
    def version(cls):
        commit = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"],
                                capture_output=True, text=True, check=False)
        return commit.stdout.strip() or "as built"

    def stored(self):
        return self.folder / "spool"

    def list_queue(self, output, *options):
        self.run(*self.postbuch("queue", *options), stdout=output)

    def status(self):
        done = subprocess.run(self.postbuch("status", "--json"), check=False, capture_output=True)
        if done.returncode not in (0, 1):  # 1: under such load it may well defer new mail
            raise OSError(done.stderr)
        return json.loads(done.stdout)

    def trace(self, *arguments):
        """Empty where nothing is found (exit code 1)."""
        done = subprocess.run(self.postbuch("trace", *arguments), check=False, capture_output=True,
                              text=True)
        if done.returncode not in (0, 1):
            raise OSError(done.stderr)
        return done.stdout


# ---- Postfix ----

MAIN_CF = """myhostname = mail.{domain}
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtputf8_enable = yes
message_size_limit = 60000000
mailbox_size_limit = 0
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = inline:{{ {{ {user}@{domain} = {domain}/{user}/ }} }}
virtual_mailbox_limit = 0
relayhost = [127.0.0.1]:{next_hop}
smtpd_client_connection_count_limit = 0
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
in_flow_delay = 0
default_process_limit = 300
initial_destination_concurrency = 20
default_destination_concurrency_limit = 50
default_destination_recipient_limit = 1000
virtual_destination_concurrency_limit = 50
{hold}
"""


class Postfix(Server):
    """Debian's Postfix with its default durability (each queue file and each mailbox file is
    synced), no chroot, no look-up of client names, and the limits that its TUNING_README raises for
    a load like this one. To hold means its hold queue, where nothing is done with a message."""
    name = "Postfix"

    def configure(self):
        values = {"domain": DOMAIN, "user": USER, "next_hop": self.next_hop or 1,
                  "hold": "smtpd_client_restrictions = check_client_access static:HOLD"
                  if self.way == "hold" else ""}
        postfix_folder.make(self.folder, self.make_mail_folder(), MAIN_CF.format(**values),
                            [f"127.0.0.1:{self.port}"], wakeup=300)

    def command(self):
        return postfix_folder.command(self.folder, "start-fg")

    def stop(self):
        """`postfix start-fg` is a script around the master."""
        try:
            self.run(*postfix_folder.command(self.folder, "stop"), stderr=subprocess.DEVNULL)
        except (OSError, IndexError, subprocess.CalledProcessError):
            pass  # it has ended
        super().stop()

    @staticmethod
    def version():
        return subprocess.run(["/usr/sbin/postconf", "-dh", "mail_version"], capture_output=True,
                              text=True, check=True).stdout.strip()

    def stored(self):
        return self.folder / "queue"

    def list_queue(self, output):
        self.run("/usr/sbin/postqueue", "-c", self.folder / "etc", "-p", stdout=output)


# ---- Exim ----

EXIM_CONF = """primary_hostname = mail.{domain}
domainlist local_domains = {domain}
hostlist relay_from_hosts = 127.0.0.1
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = accept_all
smtp_accept_max = 1000
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
smtp_connect_backlog = 500
message_size_limit = 60M
split_spool_directory = true
message_logs = false
queue_only = {hold}
never_users =
begin acl
accept_all:
  accept
begin routers
here:
  driver = accept
  domains = +local_domains
  local_parts = {user}
  transport = maildir
elsewhere:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = onward
begin transports
maildir:
  driver = appendfile
  directory = {folder}/mail/{domain}/$local_part_data
  maildir_format
  user = vmail
onward:
  driver = smtp
  port = {next_hop}
  allow_localhost
  connection_max_messages = 500
begin retry
* * F,4d,5m
"""


class Exim(Server):
    """Debian's Exim with its default durability, without message logs, with a split spool, and
    without its limits of connections and of messages a connection. To hold means queue_only; the
    same for mail whose next hop is dead, as else each message would be a process that fails."""
    name = "Exim"
    package = "exim4"
    uncounted = ("relay", "maildir")  # deliveries begin with a setuid program, where counting ends

    def configure(self):
        self.make_mail_folder()
        self.add_users("Debian-exim")
        for name in ("lib/exim4", "spool/exim4", "var-log/exim4"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, 64100, 64100)
        (self.folder / "lib/exim4/config.autogenerated").write_text(EXIM_CONF.format(
            folder=self.folder, domain=DOMAIN, user=USER, port=self.port,
            next_hop=self.next_hop or 1, hold=str(self.way in ("hold", "dead")).lower()))

    def command(self):
        return ["/usr/sbin/exim4", "-bdf", "-q30m"]

    def stored(self):
        return self.folder / "spool"

    def list_queue(self, output):
        self.run("/usr/sbin/exim4", "-bp", stdout=output)


# ---- OpenSMTPD ----

SMTPD_CONF = """smtp max-message-size 60M
smtp limit max-mails 1000000
mta limit max-conn-per-host 50
mta limit max-conn-per-route 50
mta limit max-conn-per-source 50
mta limit max-conn-per-connector 50
mta limit max-conn-per-relay 50
mta limit conn-delay-host 0
mta limit conn-delay-route 0
mta limit conn-delay-source 0
mta limit conn-delay-connector 0
mta limit conn-delay-relay 0
mta limit reconn-delay-route 0
mta limit session-mail-max 1000
mta limit task-hiwat 500
scheduler limit max-inflight 10000
listen on 127.0.0.1 port {port} hostname mail.{domain}
action here maildir "{folder}/mail/{domain}/%{{dest.user}}" virtual {{ "@" = vmail }}
action onward relay host smtp://127.0.0.1:{next_hop}
match from any for domain {domain} action here
match from any for any action onward
"""


class Opensmtpd(Server):
    """Debian's OpenSMTPD. It syncs nothing of its queue, so that a power cut takes accepted mail: its
    figures are for another promise. Its limits of connections to a host and of mails a connection
    are raised, its delays between connections are gone."""
    name = "OpenSMTPD"
    relayed_max = 1000
    package = "opensmtpd"

    def configure(self):
        self.make_mail_folder()
        self.add_users("opensmtpd", "opensmtpq")
        (self.folder / "resolv.conf").write_text("lookup file\n")  # clients' names: no DNS
        # Its package would have made it so; it refuses to work otherwise.
        shutil.copy(self.folder / "usr/sbin/smtpctl", self.folder / "smtpctl")
        os.chown(self.folder / "smtpctl", 0, 64101)
        os.chmod(self.folder / "smtpctl", 0o2755)
        (self.folder / "lib/opensmtpd/empty").mkdir(parents=True)
        (self.folder / "spool/smtpd").mkdir(mode=0o711)
        (self.folder / "smtpd.conf").write_text(SMTPD_CONF.format(
            folder=self.folder, domain=DOMAIN, port=self.port, next_hop=self.next_hop or 1))

    def command(self):
        pause = ["-P", "mta"] if self.way == "hold" else []
        return ["/usr/sbin/smtpd", "-d", "-f", self.folder / "smtpd.conf"] + pause

    def stored(self):
        return self.folder / "spool"

    def list_queue(self, output):
        self.run(self.folder / "smtpctl", "show", "queue", stdout=output)


ALL = {"load": Load, "bare": Bare, "postbuch": Postbuch, "postfix": Postfix, "exim": Exim,
       "opensmtpd": Opensmtpd}
