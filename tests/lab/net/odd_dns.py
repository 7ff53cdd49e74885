"""A name server for one zone that gives each question the answer which its name asks for.

The label before the zone is TYPE-ANSWER: at "a-refused.odd.example" the question for A is answered with
REFUSED. Every such domain has one mail server, "host.TYPE-ANSWER...", and that has neither address
but for what the label says. So "mx-…" tries the answer to MX, "a-…" that to A where AAAA says that
there is none, "aaaa-…" the other way round.
"""
import socket
import struct
import threading

MX, TYPES = 15, {'a': 1, 'mx': 15, 'aaaa': 28}
RCODES = {'nodata': 0, 'formerr': 1, 'servfail': 2, 'nxdomain': 3, 'notimp': 4, 'refused': 5,
          'yxdomain': 6, 'notauth': 9, 'rcode11': 11}
ANSWERS = (*RCODES, 'silence', 'garbage')
PATIENCE = 0.5  # of the loop that ends the thread


def read_name(packet, at):
    labels = []
    while size := packet[at]:
        labels.append(packet[at + 1:at + 1 + size].decode('ascii', 'replace').lower())
        at += 1 + size
    return labels, at + 1


def write_name(name):
    return b''.join(bytes([len(part)]) + part.encode() for part in name.split('.')) + b'\0'


def soa(zone):
    data = write_name(f'ns.{zone}') + write_name(f'host.{zone}') + struct.pack('>5I', 1, 60, 60, 60, 5)
    return write_name(zone) + struct.pack('>HHIH', 6, 1, 5, len(data)) + data


def reply(packet, zone):
    """The answer to a question; None for none."""
    labels, end = read_name(packet, 12)
    kind, _ = struct.unpack_from('>HH', packet, end)
    question = packet[12:end + 4]
    asked = labels[-len(zone.split('.')) - 1] if len(labels) > len(zone.split('.')) else ''
    type_name, _, wish = asked.partition('-')
    is_host = labels[0] == 'host'
    answer, authority, rcode = b'', soa(zone), 0
    if TYPES.get(type_name) == kind and (kind == MX) != is_host:
        if wish == 'silence':
            return None
        if wish == 'garbage':
            return packet[:2] + b'\x84\x00' + b'\xff' * 40
        rcode = RCODES[wish]
    elif kind == MX and not is_host and type_name in TYPES:
        data = struct.pack('>H', 10) + write_name('host.' + '.'.join(labels))
        answer, authority = b'\xc0\x0c' + struct.pack('>HHIH', MX, 1, 5, len(data)) + data, b''
    flags = 0x8400 | (packet[2] & 1) << 8 | rcode
    return (packet[:2] + struct.pack('>HHHHH', flags, 1, bool(answer), bool(authority), 0)
            + question + answer + authority)


class OddNameServer:
    """Answers over UDP on ip:port, in a thread of its own."""

    def __init__(self, ip, port, zone):
        self.zone = zone
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip, port))
        self.socket.settimeout(PATIENCE)
        self.going = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.going:
            try:
                packet, client = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            if (answer := reply(packet, self.zone)) is not None:
                self.socket.sendto(answer, client)

    def stop(self):
        self.going = False
        self.thread.join()
        self.socket.close()
