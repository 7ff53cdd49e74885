"""A slow or dead destination, or a sender with much mail, holds up nobody else."""
import contextlib

import lab
from net import hostile

LIMITS = 'limits: { client_rate: 0, network_rate: 0 }'
DEAD, WAITING = 10, 10


@contextlib.contextmanager
def stations(*scripts):
    """A station each, with the port it listens on."""
    started = [hostile.Station('127.0.0.1', script, port=lab.free_port()) for script in scripts]
    try:
        yield [(s, s.listener.getsockname()[1]) for s in started]
    finally:
        for station in started:
            station.stop()


def route(ports):
    """Destination → port, as configuration."""
    return 'trusted: [127.0.0.0/8]\nroutes:\n' + ''.join(
        f'  {name}: {{ to: ["smtp:127.0.0.1:{port}"] }}\n' for name, port in ports.items())


def send(server, count, recipient, sender='alice@postbuch.test'):
    with server.smtp() as client:
        for _ in range(count):
            client.sendmail(sender, [recipient], f'Subject: by {sender}\r\n\r\nhello\r\n')


def waiting(server):
    return server.json('queue', '--summary')['recipients']


def test_others_overtake_what_nobody_takes():
    """One sender's mail for a station that never ends, and mail for ten that never greet."""
    silent, endless = {'connect': hostile.STALL}, {'dot': hostile.STALL}
    with stations({}, endless, *[silent] * DEAD) as (good, slow, *dead):
        ports = {'good.example': good[1], 'slow.example': slow[1]}
        ports |= {f'dead{i}.example': port for i, (_, port) in enumerate(dead)}
        with lab.Server(extra=route(ports), limits=LIMITS) as server:
            for i in range(DEAD):
                send(server, WAITING, f'x@dead{i}.example')
            send(server, 200, 'x@slow.example')
            stuck = 200 + DEAD * WAITING
            send(server, 50, 'x@good.example', 'bob@postbuch.test')
            lab.eventually(lambda: len(good[0].messages) == 50, 'the good one has all of its mail')
            lab.eventually(lambda: waiting(server) == stuck, 'all others still wait')


def test_senders_take_turns_at_a_slow_station():
    """Also after a restart. Each place in the window goes to another sender in turn."""
    with stations({'dot': hostile.STALL}) as ((slow, port),):
        with lab.Server(extra=route({'slow.example': port}), limits=LIMITS) as server:
            send(server, 1, 'x@slow.example')
            lab.eventually(lambda: slow.stalled, 'the first is under way')
            send(server, 200, 'x@slow.example')
            send(server, 1, 'x@slow.example', 'bob@postbuch.test')
            server.kill('queue')
            lab.eventually(lambda: any(b'by bob@' in m for m in slow.messages), 'bob had his turn')
            assert len(slow.messages) < 50
