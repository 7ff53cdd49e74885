"""Very many destinations at once of which nothing comes back, not even from their name servers."""
import contextlib
import socket

import lab
from net import hostile

DEAD, A_MESSAGE, SHARE = 15000, 500, 6144  # attempts at whom nothing is known of, at most


@contextlib.contextmanager
def silent_name_server():
    """It takes each question and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        yield s.getsockname()[1]


def config(name_server, good):
    return (f'resolver: {{ servers: ["127.0.0.1@{name_server}"] }}\n'
            'trusted: [127.0.0.0/8]\nroutes:\n'
            f'  good.example: {{ to: ["smtp:127.0.0.1:{good}"] }}\n')


def attempts(server):
    """Under way, and ended in vain."""
    figures = server.figures('queue')
    return figures['active'], figures['attempts_deferred']


def send_to_the_dead(server):
    with server.smtp() as client:
        for first in range(0, DEAD, A_MESSAGE):
            client.sendmail('alice@postbuch.test',
                            [f'x@d{first + i}.example' for i in range(A_MESSAGE)],
                            'Subject: to nobody\r\n\r\nhello\r\n')


def test_who_has_answered_is_served_at_once():
    station = hostile.Station('127.0.0.1', {}, port=lab.free_port())
    port = station.listener.getsockname()[1]
    try:
        with silent_name_server() as dns, lab.Server(extra=config(dns, port)) as server:
            server.send('x@good.example', 'Subject: first\r\n\r\nhello\r\n')
            lab.eventually(lambda: len(station.messages) == 1, 'the first has come')
            send_to_the_dead(server)
            lab.eventually(lambda: attempts(server)[0] == SHARE, 'all that may go to them go')
            for i in range(20):
                server.send('x@good.example', f'Subject: {i}\r\n\r\nhello\r\n')
            lab.eventually(lambda: len(station.messages) == 21, 'the others have come')
            under_way, in_vain = attempts(server)
            assert under_way <= SHARE
            # Their turn didn't come after the dead ones': of these many have not been tried yet.
            assert under_way + in_vain < DEAD
    finally:
        station.stop()
